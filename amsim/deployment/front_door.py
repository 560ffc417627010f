"""The front door of deployment: a chip from a network and hardware, or from a file."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from amsim.circuits.checks import finite, function, one_of, part_of, shown
from amsim.circuits.contract.macro import Die
from amsim.deployment.chip import Chip, check_key, chip_of
from amsim.deployment.chip_file import read_chip_file
from amsim.deployment.site_ranges import Calibration
from amsim.noise.checks import is_real_dtype
from amsim.noise.gradients import NOISY_DECISION_RULES
from amsim.system.accelerator import Accelerator


def deploy(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    *,
    key: PRNGKeyArray | None = None,
    calibration: Calibration | None = None,
    decision_rule: str | None = None,
) -> Chip:
    """Deploy a JAX function on hardware.

    Args:
        fn: Network `fn(params, *inputs)`: any traceable function of any framework.
        params: Parameters; the macros compute products with a weight that depends on these alone.
        hardware: A macro, an `Accelerator`, or rules `{site name pattern: macro}` tried in order.
        key: Draws the die of each macro; None deploys the nominal macros.
        calibration: Codes and readout ranges by site, as `amsim.calibrate` chooses them; None takes the ranges that the
            program fixes, or else those of each sample.
        decision_rule: Derivative of a fused neuron's decision: one of `amsim.noise.gradients.NOISY_DECISION_RULES`, of
            which "physical" is the derivative of the average over the noise of the macro's reads, with respect to its
            parameters too; None keeps that of the network's own sign. No output depends on it. A neuron compared with
            a threshold other than 0 has no derivative under any rule.

    Returns:
        The chip.

    A `jax.custom_vjp` or `custom_jvp` keeps its rule. Where products inside are on a macro, derivatives with respect to
    the call's inputs come from the rule, those with respect to circuit parameters from the macro. Where a neuron is
    fused across the rule's boundary, or `decision_rule` is given, the macro supplies all of them; `Chip.sites` counts
    such rules.

    Raises:
        ValueError: `fn` is not callable, a parameter is NaN, infinite or no number, or hardware, calibration or
            decision rule is not as above.
    """
    check_key("key", key)
    params = params_on_device(params)
    accelerator = _check(fn, hardware, calibration, decision_rule)
    dies: tuple[Die, ...] = (None,) * len(accelerator.macros)
    if key is not None and not accelerator.deterministic:
        keys = jax.random.split(key, len(accelerator.macros))
        dies = tuple(macro.fabricate(k) for macro, k in zip(accelerator.macros, keys, strict=True))
    return chip_of(fn, params, accelerator, dies, calibration, decision_rule)


def check_deployable(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    *,
    calibration: Calibration | None = None,
    decision_rule: str | None = None,
) -> Accelerator:
    """Hardware as an accelerator, once all that `deploy` takes is found to be in order; nothing is traced.

    For functions that deploy inside `jit`, where values can no longer be looked at.

    Args:
        fn: As in `deploy`.
        params: As in `deploy`.
        hardware: As in `deploy`.
        calibration: As in `deploy`.
        decision_rule: As in `deploy`.

    Raises:
        ValueError: As `deploy`.
    """
    params_on_device(params)
    return _check(fn, hardware, calibration, decision_rule)


def _check(fn: Any, hardware: Any, calibration: Any, decision_rule: Any) -> Accelerator:
    _check_function(fn)
    part_of("calibration", calibration, Calibration, optional=True)
    if decision_rule is not None:
        one_of("decision_rule", decision_rule, NOISY_DECISION_RULES)
    return Accelerator.of(hardware)


def load_chip(path: str | Path, fn: Callable[..., Any], *, params: PyTree = None) -> Chip:
    """Read a chip that `Chip.save` wrote; its outputs are those of the chip that was saved, bit for bit.

    Args:
        path: The file.
        fn: The network, `fn(params, *inputs)`, that was deployed.
        params: Parameters of the same structure, any numbers, where theirs is more than dicts, lists and tuples: that
            of an Equinox module, for instance. Default: the structure is in the file.

    Returns:
        The chip.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of another kind, of a newer version, or holds numbers of 64 bits while JAX is
            set to 32; `fn` cannot be called; `params` are missing or of another structure.
    """
    _check_function(fn)
    return chip_of(fn, *read_chip_file(path, params))


def _check_function(fn: Any) -> None:
    function("fn", fn, "fn(params, *inputs)")


def params_on_device(params: PyTree) -> PyTree:
    """Parameters with arrays of JAX in place of those of NumPy; what stands beside numbers, as in a module, is left.

    Raises:
        ValueError: A parameter is NaN or infinite, or an array of something else than numbers.
    """
    return jax.tree_util.tree_map_with_path(_on_device, params)


def _on_device(path: Any, leaf: Any) -> Any:
    name = f"params{jax.tree_util.keystr(path)}"
    if isinstance(leaf, np.ndarray):
        kind = leaf.dtype
        numbers = is_real_dtype(kind) or jnp.issubdtype(kind, jnp.complexfloating) or jnp.issubdtype(kind, bool)
        if isinstance(leaf, np.ma.MaskedArray) or not numbers:
            raise ValueError(f"Argument `{name}` must be numbers, but is {shown(leaf)} and dtype {kind}.")
        leaf = jnp.asarray(leaf)
    if isinstance(leaf, float):
        # An infinite one is a bound, such as the start of a maximum.
        if math.isnan(leaf):
            raise ValueError(f"Argument `{name}` must be a number, but is {leaf}.")
    elif eqx.is_inexact_array(leaf) and not isinstance(leaf, jax.core.Tracer):
        finite(name, leaf)
    return leaf
