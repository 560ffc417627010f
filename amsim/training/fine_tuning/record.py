"""Record of a fine-tuning: all that decides its result, as JSON would hold it."""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import PyTree

from amsim.datasets.inputs import first_arguments
from amsim.datasets.split import Split
from amsim.files.program_digest import program_digest
from amsim.files.reached_values import reached_from
from amsim.results.provenance import described, key_words
from amsim.training.fine_tuning.plan import Plan
from amsim.training.optimiser import optimiser_digest


def settings_of(plan: Plan, step: ClosedJaxpr) -> dict[str, Any]:
    """Settings and fingerprints by which a checkpoint knows its training; names and values are part of the format.

    Args:
        plan: The training.
        step: Program of one of its steps, which holds loss, constraint and hardware with all that they reach.
    """
    items, exposure, updates, dies = plan.items, plan.exposure, plan.updates, plan.exposure.dies
    steps = exposure.of_steps
    reading = {} if steps is exposure.accelerator else {"reading": [macro.reading for macro in steps.macros]}
    functions = {"loss": plan.objective.loss, "constrain": updates.constrain, "each_epoch": updates.each_epoch}
    return reading | {
        "params": _digest(*jax.tree.leaves(eqx.filter(plan.params, eqx.is_array))),
        "network": _network_digest(plan.network, plan.params, first_arguments(items.train.inputs, items.batch)),
        "hardware": json.loads(described(exposure.accelerator)),
        "train": _items_digest(items.train),
        "validation": None if items.validation is None else _items_digest(items.validation),
        "validation_dies": plan.held_out.dies,
        "key": key_words(plan.key),
        "key_kind": str(jax.random.key_impl(plan.key)),
        "dies": dies.members if dies.kind == "ensemble" else dies.kind,
        "held_die": key_words(dies.key) if dies.kind == "held" else None,
        "epochs": items.epochs,
        "batch": items.batch,
        "noise": [float(exposure.scales[0]), float(exposure.scales[-1]), _digest(exposure.scales)],
        "learning_rate": updates.learning_rate,
        "functions": {name: None if one is None else _name(one) for name, one in functions.items()},
        "each_epoch": None if updates.each_epoch is None else reached_from(updates.each_epoch).digest[:16],
        "distil": float(plan.objective.weight),
        "temperature": float(plan.objective.temperature),
        "trainable": updates.names,
        "patience": plan.held_out.patience,
        "decision_rule": exposure.decision_rule,
        "calibration": json.loads(described(exposure.calibration)),
        "precision": str(jnp.result_type(float)),
        "versions": {name: importlib.metadata.version(name) for name in ("amsim", "jax", "optax")},
        "optimiser": optimiser_digest(updates.optimiser, eqx.filter(plan.params, updates.is_trained)),
        "step": program_digest(step, derivatives=False)[:16],
    }


def _items_digest(items: Split) -> str:
    return _digest(*jax.tree.leaves(items.inputs), items.labels)


def _digest(*arrays: Any) -> str:
    """Short fingerprint of arrays: types, shapes and contents."""
    sha = hashlib.sha256()
    for array in arrays:
        plain = np.asarray(jax.random.key_data(array) if eqx.is_array(array) and _is_key(array) else array)
        sha.update(f"{plain.dtype}{plain.shape}".encode())
        sha.update(np.ascontiguousarray(plain).tobytes())
    return sha.hexdigest()[:16]


def _network_digest(fn: Callable[..., Any], params: PyTree, inputs: tuple[Any, ...]) -> str:
    arrays, static = eqx.partition(params, eqx.is_array)
    traced = jax.make_jaxpr(lambda own, *inputs: fn(eqx.combine(own, static), *inputs))(arrays, *inputs)
    return program_digest(traced, derivatives=True)[:16]


def _is_key(array: Any) -> bool:
    return jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key)


def _name(function: Any) -> str:
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"
