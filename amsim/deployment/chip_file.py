"""Format of chip files: arrays without pickle, and a description of amsim's own parts; no code is stored or run."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from amsim.circuits.checks import finite
from amsim.circuits.contract.macro import Die, Macro
from amsim.deployment.site_ranges import Calibration
from amsim.files.array_file import read_own_file, write_array_file
from amsim.files.hardware_parts import Decoder, Encoder
from amsim.files.path_argument import checked_path
from amsim.noise.gradients import NOISY_DECISION_RULES
from amsim.system.accelerator import Accelerator

FORMAT = "amsim-chip"
VERSION = 3
_HEADER = "header"


class ChipRecord(NamedTuple):
    """What a file holds of a chip: all but its function.

    Attributes:
        params: Parameters of the network.
        accelerator: The hardware.
        dies: A die of each macro, or None for the nominal one.
        calibration: Choices by site, or None.
        decision_rule: Name of the derivative of decisions, or None.
    """

    params: PyTree
    accelerator: Accelerator
    dies: tuple[Die, ...]
    calibration: Calibration | None
    decision_rule: str | None


def write_chip_file(path: str | Path, record: ChipRecord) -> None:
    """Write a record as a NumPy archive, which appears whole or not at all.

    Args:
        path: File to write.
        record: The record.

    Raises:
        ValueError: Its hardware has parts that are not of amsim, it holds NaN or infinity, or it is traced, as inside
            `jit`.
    """
    _check_numbers(record)
    encoder = Encoder()
    header = {
        "format": FORMAT,
        "version": VERSION,
        "params": _describe_params(encoder, record.params),
        "accelerator": encoder.part("accelerator", record.accelerator),
        "dies": encoder.part("dies", record.dies),
        "calibration": encoder.part("calibration", record.calibration),
        "decision_rule": record.decision_rule,
    }
    text = np.frombuffer(json.dumps(header, allow_nan=False).encode(), np.uint8)
    write_array_file(checked_path("path", path), {_HEADER: text} | encoder.arrays)


def read_chip_file(path: str | Path, params: PyTree = None) -> ChipRecord:
    """Read a record that `write_chip_file` wrote, in this version or an earlier one.

    Args:
        path: The file.
        params: Parameters of the same structure, where the file does not hold theirs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As `amsim.load_chip`.
    """
    path = checked_path("path", path)
    try:
        return read_own_file(path, lambda arrays: _record(arrays, params))
    except FileNotFoundError:
        raise FileNotFoundError(f"Chip file {path} does not exist.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise ValueError(f"Chip file {path} cannot be used: {error}.") from None


def _record(arrays: dict[str, np.ndarray], params: PyTree) -> ChipRecord:
    header = _header(arrays)
    decoder = Decoder(arrays, earlier=header["version"] < VERSION)
    accelerator, dies = decoder.part(header["accelerator"]), decoder.part(header["dies"])
    calibration = decoder.part(header.get("calibration"))
    if not isinstance(calibration, Calibration | None):
        raise ValueError("it has something else in place of a calibration")
    rule = header.get("decision_rule")
    if rule is not None and rule not in NOISY_DECISION_RULES:
        raise ValueError(f"it has the unknown decision rule {rule!r}")
    stored = _restore_params(decoder, header["params"], params)
    _check_hardware(accelerator, dies)
    unread = sorted(set(arrays) - decoder.read)
    if unread:
        raise ValueError(f"it has the unexpected arrays {unread[:4]}")
    record = ChipRecord(stored, accelerator, dies, calibration, rule)
    _check_numbers(record)
    return record


def _check_numbers(record: ChipRecord) -> None:
    """Raise for parameters and static errors that no deployment takes, NaN and infinity."""
    for name, part in (("params", record.params), ("dies", record.dies)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            if eqx.is_inexact_array(leaf) and not isinstance(leaf, jax.core.Tracer):
                finite(f"{name}{jax.tree_util.keystr(path)}", leaf)


def _header(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    text = arrays.pop(_HEADER, None)
    if text is None or text.dtype != np.uint8:
        raise ValueError("it is not a file of a chip")
    header = json.loads(text.tobytes().decode("utf-8"))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("it is not a file of a chip")
    version = header.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ValueError(f"it is of version {version!r}, and this amsim reads versions 1 to {VERSION}")
    if set(header) != {"format", "version", "params", "accelerator", "dies"} | (
        {"calibration", "decision_rule"} if version > 1 else set()
    ):
        raise ValueError(f"it has the entries {sorted(header)}")
    return header


def _describe_params(encoder: Encoder, params: PyTree) -> Any:
    """Parameters with their structure if that is plain, else their arrays by path."""
    if _is_plain(params):
        return {"tree": encoder.part("params", params)}
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(params, eqx.is_array))
    return {"leaves": [[jax.tree_util.keystr(path), encoder.part("params", leaf)] for path, leaf in leaves]}


def _is_plain(tree: Any) -> bool:
    if type(tree) is dict:
        return all(isinstance(name, str) and _is_plain(value) for name, value in tree.items())
    if type(tree) in (list, tuple):
        return all(map(_is_plain, tree))
    return tree is None or isinstance(tree, bool | int | float | str) or eqx.is_array(tree)


def _restore_params(decoder: Decoder, described: dict[str, Any], params: PyTree) -> PyTree:
    if "tree" in described:
        return decoder.part(described["tree"])
    stored = [(path, decoder.part(leaf)) for path, leaf in described["leaves"]]
    arrays, rest = eqx.partition(params, eqx.is_array)
    given = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(arrays)]
    different = [
        path
        for (path, leaf), (own_path, own) in zip(stored, given, strict=False)
        if path != own_path or leaf.shape != own.shape or leaf.dtype != own.dtype
    ]
    if len(stored) != len(given) or different:
        what = different[0] if different else f"{len(given)} arrays for {len(stored)}"
        raise ValueError(f"argument `params` must be of the structure that was saved, but differs: {what}")
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(arrays), [leaf for _, leaf in stored]), rest)


def _check_hardware(accelerator: Any, dies: Any) -> None:
    if not isinstance(accelerator, Accelerator) or not isinstance(dies, tuple):
        raise ValueError("it has no accelerator with dies")
    rules, macros = accelerator.patterns, accelerator.macros
    if not macros or not all(isinstance(macro, Macro) for macro in macros):
        raise ValueError("its accelerator has no macros")
    if not len(rules) == len(macros) == len(dies) == len(accelerator.spreads):
        raise ValueError(f"it has {len(rules)} rules for {len(macros)} macros and {len(dies)} dies")
    for rule in rules:
        try:
            re.compile(rule)
        except (re.error, TypeError) as error:
            raise ValueError(f"its rule {rule!r} is not a pattern: {error}") from None
    for number, (macro, die) in enumerate(zip(macros, dies, strict=True)):
        _check_die(number, macro, die)


def _check_die(number: int, macro: Macro, die: Any) -> None:
    """Raise for a die that is neither one of this macro nor such a one prepared."""
    if die is None:
        return
    plain = jax.eval_shape(macro.fabricate, jax.random.key(0))
    if _shapes(die) != _shapes(plain) and _shapes(die) != _shapes(jax.eval_shape(macro.prepare, plain)):
        raise ValueError(f"its die {number} has other parts or shapes than a die of its macro")


def _shapes(die: Any) -> tuple[Any, list[tuple[int, ...]]]:
    return jax.tree.structure(die), [jnp.shape(leaf) for leaf in jax.tree.leaves(die)]
