"""What a fine-tuning does, checked and in plain words before anything is compiled."""

import dataclasses
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, integer_between, one_of, regular_expression, some_items
from amsim.datasets.load import Split
from amsim.deployment.chip import check_key
from amsim.deployment.site_ranges import Calibration
from amsim.deployment.tracing.leaf_names import leaf_name
from amsim.files.program_digest import program_digest
from amsim.noise.gradients import NOISY_DECISION_RULES
from amsim.results.labelled import described, key_words
from amsim.system.accelerator import Accelerator
from amsim.training.fine_tuning.dies import TrainingDies
from amsim.training.fine_tuning.step import Loss, Objective
from amsim.training.optimiser import scheduled

Trainable = str | Sequence[str] | Callable[[str], bool] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Arguments of `fine_tune`, checked, with all that follows from them.

    Attributes:
        fn: The network.
        accelerator: The hardware.
        train: What is trained on.
        validation: What the best epoch is chosen by, or None.
        validation_dies: Dies for that.
        dies: Dies of the training.
        order_key: Draws the order of the items.
        read_key: Draws the dynamic noise of the steps.
        epochs: Passes over the training items.
        batch: Items a step.
        scales: Error scale of each step.
        objective: What is minimised.
        patience: Epochs without a better validation after which training stops; None is never.
        calibration: Codes and readout ranges by site, or None.
        is_trained: Tree of the parameters' structure, True at leaves that are trained.
        settings: All that decides the result, as JSON would hold it.
    """

    fn: Callable[..., Any]
    accelerator: Accelerator
    train: Split
    validation: Split | None
    validation_dies: int
    dies: TrainingDies
    order_key: PRNGKeyArray
    read_key: PRNGKeyArray
    epochs: int
    batch: int
    scales: Float[np.ndarray, " steps"]
    objective: Objective
    patience: int | None
    calibration: Calibration | None
    is_trained: PyTree
    settings: dict[str, Any]

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch; the items that are left over are others each time."""
        return len(self.train) // self.batch

    def order(self, epoch: int) -> np.ndarray:
        """Items of an epoch (from 0), one row a step."""
        drawn = jax.random.permutation(jax.random.fold_in(self.order_key, epoch), len(self.train))
        return np.asarray(drawn)[: self.steps_per_epoch * self.batch].reshape(-1, self.batch)


def make_plan(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    key: PRNGKeyArray,
    *,
    loss: Loss,
    epochs: int,
    batch: int,
    dies: Any,
    noise: optax.Schedule | float,
    distil: float,
    temperature: float,
    trainable: Trainable,
    validation: Split | float | None,
    validation_dies: int,
    patience: int | None,
    decision_rule: str | None,
    calibration: Calibration | None,
    functions: dict[str, Any],
    learning_rate: float | None,
) -> Plan:
    """Check the arguments of `fine_tune`, which documents them.

    `functions` are those whose names belong to the settings; `learning_rate` is None for another optimiser.
    """
    if key is None:
        raise ValueError("Argument `key` must be one key from jax.random.key, but is None.")
    check_key("key", key)
    order_key, read_key, die_key, split_key = jax.random.split(key, 4)
    train, held_out = _split(data, validation, split_key)
    _check_counts(epochs, batch, validation_dies, patience, train, held_out)
    if learning_rate is not None:
        number_between("learning_rate", learning_rate, 0.0, float("inf"))
    number_between("distil", distil, 0.0, 1.0)
    number_between("temperature", temperature, 1e-3, 1e3)
    if decision_rule is not None:
        one_of("decision_rule", decision_rule, NOISY_DECISION_RULES)
    accelerator, met = Accelerator.of(hardware), TrainingDies.of(dies, die_key)
    is_trained, names = trained_leaves(params, getattr(fn, "trainable", None) if trainable is None else trainable)
    scales = _scales(noise, epochs * (len(train) // batch))
    settings = {
        "params": _digest(*jax.tree.leaves(eqx.filter(params, eqx.is_array))),
        "network": _network_digest(fn, params, train.inputs[:batch]),
        "hardware": json.loads(described(accelerator)),
        "train": _digest(train.inputs, train.labels),
        "validation": None if held_out is None else _digest(held_out.inputs, held_out.labels),
        "validation_dies": validation_dies,
        "key": key_words(key),
        "dies": met.members if met.kind == "ensemble" else met.kind,
        "held_die": key_words(met.key) if met.kind == "held" else None,
        "epochs": epochs,
        "batch": batch,
        "noise": [float(scales[0]), float(scales[-1]), _digest(scales)],
        "learning_rate": learning_rate,
        "functions": {name: None if one is None else _name(one) for name, one in functions.items()},
        "distil": float(distil),
        "temperature": float(temperature),
        "trainable": names,
        "patience": patience,
        "decision_rule": decision_rule,
        "calibration": json.loads(described(calibration)),
        "precision": str(jnp.result_type(float)),
        "versions": {name: importlib.metadata.version(name) for name in ("amsim", "jax", "optax")},
    }
    return Plan(
        fn, accelerator, train, held_out, validation_dies, met, order_key, read_key, epochs, batch, scales,
        Objective(loss, float(distil), float(temperature)), patience, calibration, is_trained, settings,
    )  # fmt: skip


def _check_counts(
    epochs: int, batch: int, validation_dies: int, patience: int | None, train: Split, held_out: Split | None
) -> None:
    at_least_one(epochs=epochs, batch=batch, validation_dies=validation_dies)
    if len(train) == 0:
        raise ValueError("Argument `data` must have at least one item to train on, but is empty.")
    integer_between("batch", batch, 1, len(train))
    if patience is not None:
        integer_between("patience", patience, 1)
        if held_out is None:
            raise ValueError(f"Argument `validation` must be given for `patience`={patience}, but is None.")


def _split(data: Split, validation: Any, key: PRNGKeyArray) -> tuple[Split, Split | None]:
    if not isinstance(data, Split):
        raise ValueError(
            f"Argument `data` must be a Split, such as `dataset.train`, but is of type {type(data).__name__}."
        )
    if validation is None or isinstance(validation, Split):
        if validation is not None:
            some_items(validation=validation)
        return data, validation
    number_between("validation", validation, 0.0, 1.0)
    order = np.asarray(jax.random.permutation(key, len(data)))
    count = round(float(validation) * len(data))
    if not 0 < count < len(data):
        raise ValueError(
            f"Argument `validation` must leave items on both sides, but is {validation} of {len(data)} items."
        )
    return data[np.sort(order[count:])], data[np.sort(order[:count])]


def number_between(name: str, value: Any, low: float, high: float) -> None:
    """Raise ValueError unless value is a number in `low..high`."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise ValueError(f"Argument `{name}` must be a number from {low:g} to {high:g}, but is {value!r}.")


def trained_leaves(params: PyTree, trainable: Trainable) -> tuple[PyTree, list[str]]:
    """Tree of True and False, and the names of the leaves that are trained."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    names = [leaf_name(path) for path, leaf in leaves if eqx.is_inexact_array(leaf)]
    patterns = [] if trainable is None or callable(trainable) else _patterns(trainable)
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in names):
            raise ValueError(f"Argument `trainable` must match parameters, but {pattern!r} matches none of {names}.")

    def chosen(name: str) -> bool:
        if callable(trainable):
            return bool(trainable(name))
        return trainable is None or any(re.fullmatch(pattern, name) for pattern in patterns)

    trained = [name for name in names if chosen(name)]
    if not trained:
        raise ValueError(f"Argument `trainable` must choose at least one parameter, but chooses none of {names}.")
    tree = jax.tree_util.tree_map_with_path(
        lambda path, leaf: eqx.is_inexact_array(leaf) and leaf_name(path) in trained, params
    )
    return tree, trained


def _patterns(trainable: str | Sequence[str]) -> list[str]:
    patterns = [trainable] if isinstance(trainable, str) else list(trainable)
    for pattern in patterns:
        regular_expression("trainable", pattern)
    return patterns


def _scales(noise: optax.Schedule | float, steps: int) -> Float[np.ndarray, " steps"]:
    schedule = noise if callable(noise) else optax.constant_schedule(noise)
    scales = scheduled(schedule, steps)
    if scales.shape != (steps,) or not np.all(np.isfinite(scales)) or np.any(scales < 0):
        raise ValueError("Argument `noise` must be a number or a schedule of numbers, finite and at least 0.")
    return scales


def _digest(*arrays: Any) -> str:
    """Short fingerprint of arrays: types, shapes and contents."""
    sha = hashlib.sha256()
    for array in arrays:
        plain = np.asarray(jax.random.key_data(array) if eqx.is_array(array) and _is_key(array) else array)
        sha.update(f"{plain.dtype}{plain.shape}".encode())
        sha.update(np.ascontiguousarray(plain).tobytes())
    return sha.hexdigest()[:16]


def _network_digest(fn: Callable[..., Any], params: PyTree, inputs: np.ndarray) -> str:
    arrays, static = eqx.partition(params, eqx.is_array)
    return program_digest(jax.make_jaxpr(lambda own, inputs: fn(eqx.combine(own, static), inputs))(arrays, inputs))[:16]


def _is_key(array: Any) -> bool:
    return jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key)


def _name(function: Any) -> str:
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"
