"""Derivative of a fused neuron's decision by a named rule, in place of the network's own.

The network reads nothing of the decided value but its sign, so its size is free: the value that is handed on has the
sign of the margin, half the size of a decision, and the derivative of the decision by the rule. Behind it steps that
keep the sign hand the derivative on, and those that decide are taken as straight lines through their two answers, so
that the rule alone gives the slope.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.contract.macro import Die, Macro
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.deployment.mapping.decisions import Decision
from amsim.deployment.tracing.plain_step import plain_results
from amsim.noise.gradients import decision, expected_decision


def decided_value(
    rule: str, margin: Float[Array, "..."], macro: Macro, operands: Operands, neuron: Neuron, die: Die
) -> Float[Array, "..."]:
    """Half of a decision, with the sign of the margin and the derivative of the rule.

    Args:
        rule: One of `NOISY_DECISION_RULES`. "physical" is the derivative of the average over the Gaussian noise of a
            read, `2 Phi(m / sigma) - 1` with the margin m without noise, in weights and in the circuit's parameters.
        margin: As read, columns last.
        macro: Where it was read.
        operands: What was multiplied.
        neuron: What is decided.
        die: The die, or None for the nominal macro.
    """
    if rule == "physical":
        noise = macro.margin_noise(operands, neuron)
        slope = expected_decision(macro.margin(operands, neuron, die=die), noise)
    else:
        slope = decision(margin, rule)
    return _with_tangent_of(jnp.sign(margin) / 2, slope)


def sign_value(one: Decision, values: dict[int, Any]) -> Array:
    """Result of a step that decides on a `decided_value`, on a straight line through its two answers."""
    value = values[one.step.inputs[one.operand].number]

    def answer(half: float) -> Array:
        return plain_results(one.step, values | {one.step.inputs[one.operand].number: jnp.full_like(value, half)})[0]

    rise = jax.lax.stop_gradient(answer(0.5) - answer(-0.5))
    return _with_tangent_of(plain_results(one.step, values)[0], rise / 2 * value)


def kept_sign_value(one: Decision, values: dict[int, Any]) -> Array:
    """Result of a step that keeps the sign of a `decided_value`, with that value's derivative."""
    value = values[one.step.inputs[one.operand].number]
    return _with_tangent_of(plain_results(one.step, values)[0], value)


def has_slope(one: Decision) -> bool:
    """Whether a decision gives one number for each value; a comparison gives truth values, which have no derivative."""
    (operand, *others), results = one.step.inputs, one.step.outputs
    same = len(results) == 1 and results[0].shape == one.step.inputs[one.operand].shape
    alone = all(other.number != operand.number for other in others)
    return same and alone and jnp.issubdtype(one.step.dtype, jnp.floating)


def _with_tangent_of(value: Array, slope: Array) -> Array:
    return jax.lax.stop_gradient(value) + (slope - jax.lax.stop_gradient(slope))
