"""Checkpoints of a training: arrays and JSON in one file that appears whole; no code is stored or run."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from amsim.files.array_file import read_own_file, write_array_file
from amsim.files.hardware_parts import Decoder, Encoder

FORMAT = "amsim-fine-tuning-2"
_WITHOUT_ARRAYS = "amsim-fine-tuning-1"
"""Earlier format, whose fingerprints left out arrays that the loss, the constraint or compiled functions hold."""

_HEADER = "header"


@dataclasses.dataclass
class TrainingState:
    """State of a training at the end of an epoch.

    Attributes:
        params: All parameters.
        optimiser_state: State of the optimiser.
        best: Parameters of the best epoch so far.
        best_epoch: Number of that epoch, 0 before training.
        epoch: Epochs done.
        stopped: Whether training is over.
        history: One number per step, by name.
        validation: Validation accuracy of each epoch, the first before training.
    """

    params: PyTree
    optimiser_state: PyTree
    best: PyTree
    best_epoch: int
    epoch: int
    stopped: bool
    history: dict[str, list[float]]
    validation: list[float]

    @property
    def trees(self) -> list[PyTree]:
        """Arrays of parameters, optimiser state and best parameters."""
        return [eqx.filter(tree, eqx.is_array) for tree in (self.params, self.optimiser_state, self.best)]


def write_checkpoint(path: Path, settings: dict[str, Any], state: TrainingState) -> None:
    """Write a checkpoint; a file of the same name is replaced at once."""
    encoder = Encoder()
    header = {
        "format": FORMAT,
        "settings": settings,
        "structure": _structure(state),
        "leaves": encoder.part("leaves", jax.tree.leaves(state.trees)),
        "numbers": encoder.part(
            "numbers",
            {
                "best_epoch": state.best_epoch,
                "epoch": state.epoch,
                "stopped": state.stopped,
                "history": state.history,
                "validation": state.validation,
            },
        ),
    }
    text = np.frombuffer(json.dumps(header, allow_nan=False).encode(), np.uint8)
    write_array_file(path, {_HEADER: text} | encoder.arrays)


def read_checkpoint(path: Path, settings: dict[str, Any], start: TrainingState) -> TrainingState:
    """State in a checkpoint, bit for bit.

    Args:
        path: The file.
        settings: Settings of the training that is to be resumed.
        start: State of that training before the first step, which gives the structure of parameters and optimiser.

    Raises:
        ValueError: The file is damaged, of another kind or of a training with other settings, which are named.
    """
    try:
        return read_own_file(path, lambda arrays: _state(arrays, settings, start))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        text = str(error).rstrip(".")
        raise ValueError(f"Checkpoint {path} cannot be used: {text}. Delete it to start anew.") from None


def _state(arrays: dict[str, np.ndarray], settings: dict[str, Any], start: TrainingState) -> TrainingState:
    header = json.loads(arrays.pop(_HEADER).tobytes().decode("utf-8"))
    if header["format"] == _WITHOUT_ARRAYS:
        raise ValueError(
            "it is of an earlier amsim, whose fingerprint left out arrays that the loss, the constraint or "
            "compiled functions hold, and does not tell whether it is of this training"
        )
    if header["format"] != FORMAT:
        raise ValueError(f"it is of format {header['format']!r}")
    different = _differences(header["settings"], settings)
    if different:
        raise ValueError(f"it is of a training with other settings: {'; '.join(different)}")
    if header["structure"] != _structure(start):
        raise ValueError("it is of a training with another optimiser or other parameters")
    decoder = Decoder(arrays)
    leaves, numbers = decoder.part(header["leaves"]), decoder.part(header["numbers"])
    _check_numbers(numbers, start)
    if [[str(one.dtype), list(one.shape)] for one in leaves] != [one[1:] for one in header["structure"]]:
        raise ValueError("its arrays have other types or shapes than it says")
    params, state, best = jax.tree.unflatten(jax.tree.structure(start.trees), leaves)
    return TrainingState(
        eqx.combine(params, start.params),
        eqx.combine(state, start.optimiser_state),
        eqx.combine(best, start.best),
        **numbers,
    )


def _check_numbers(numbers: dict[str, Any], start: TrainingState) -> None:
    """Raise for counts and records that no training leaves behind."""
    epoch, best = numbers["epoch"], numbers["best_epoch"]
    if type(epoch) is not int or type(best) is not int or not 0 <= best <= epoch:
        raise ValueError(f"it has {best!r} as the best of {epoch!r} epochs")
    if type(numbers["stopped"]) is not bool:
        raise ValueError(f"it has {numbers['stopped']!r} in place of whether training is over")
    history = numbers["history"]
    if set(history) != set(start.history) or len({len(values) for values in history.values()}) != 1:
        raise ValueError("its record of steps is incomplete")
    for values in (*history.values(), numbers["validation"]):
        if not isinstance(values, list) or not all(type(value) is float for value in values):
            raise ValueError("its record of steps has something else than numbers")


def _structure(state: TrainingState) -> list[list[Any]]:
    """Path, type and shape of every array."""
    leaves = jax.tree_util.tree_leaves_with_path(state.trees)
    return [[jax.tree_util.keystr(path), str(leaf.dtype), list(leaf.shape)] for path, leaf in leaves]


def _differences(stored: dict[str, Any], own: dict[str, Any]) -> list[str]:
    there, here = dict(_flatten("", _bare_names(stored))), dict(_flatten("", _bare_names(own)))
    names = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    return [f"{name} is {there.get(name)!r} there and {here.get(name)!r} here" for name in names]


def _bare_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with amsim's own functions by their bare names, which stay when a module moves."""
    functions = settings.get("functions")
    if not isinstance(functions, dict):
        return settings
    own = {name: str(one).rpartition(".")[2] for name, one in functions.items() if str(one).startswith("amsim.")}
    return settings | {"functions": functions | own}


def _flatten(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Values of nested settings by dotted path."""
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flatten(f"{path}.{name}" if path else str(name), item)
    else:
        yield path, value
