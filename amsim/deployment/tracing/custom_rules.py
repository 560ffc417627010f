"""Custom derivatives around products: the user's rule for the call's inputs, the macro's for circuit parameters.

Inputs of such a call carry no derivative inside; its results get the rule's derivative at the same operands, as in the
plain network. Values stay those of the macro, at no extra cost where nothing is differentiated.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from amsim.deployment.tracing.plain_step import distinct_operands
from amsim.files.one_equation import one_equation

Call = Callable[..., list[Any]]
WithRule = Callable[[list[Any], list[Any]], list[Any]]


def without_derivative(variables: Sequence[Any]) -> core.ClosedJaxpr:
    """Program that hands on values of the types of these variables without their derivative."""
    return jax.make_jaxpr(lambda *values: [jax.lax.stop_gradient(value) for value in values])(*_shapes(variables))


def with_rule(equation: core.JaxprEqn) -> core.ClosedJaxpr:
    """Program that hands on results of a call, with the derivative of its rule added to their own.

    Its inputs are the results, followed by the operands of the call (`distinct_operands`).
    """
    call = core.jaxpr_as_fun(one_equation(equation))
    with_derivative = _by_tangents(call) if equation.primitive.name == "custom_jvp_call" else _by_cotangents(call)
    operands = [equation.invars[index] for index in distinct_operands(equation)]
    return jax.make_jaxpr(with_derivative)(_shapes(equation.outvars), _shapes(operands))


def _by_tangents(call: Call) -> WithRule:
    @jax.custom_jvp
    def hand_on(results: list[Any], operands: list[Any]) -> list[Any]:
        return results

    @hand_on.defjvp
    def tangents(primals: Any, moved: Any) -> Any:
        (results, operands), (own, inward) = primals, moved
        outward = jax.jvp(call, tuple(operands), tuple(inward))[1]
        return results, [_sum(one, other) for one, other in zip(own, outward, strict=True)]

    return hand_on


def _by_cotangents(call: Call) -> WithRule:
    @jax.custom_vjp
    def hand_on(results: list[Any], operands: list[Any]) -> list[Any]:
        return results

    def forward(results: list[Any], operands: list[Any]) -> tuple[list[Any], Any]:
        return results, jax.vjp(call, *operands)[1]

    def backward(pull: Any, slopes: list[Any]) -> tuple[list[Any], list[Any]]:
        return slopes, list(pull(slopes))

    hand_on.defvjp(forward, backward)
    return hand_on


def _sum(one: Any, other: Any) -> Any:
    # Tangents of integers and truth values have size zero.
    return one if one.dtype == jax.dtypes.float0 else one + other


def _shapes(variables: Sequence[Any]) -> list[Any]:
    avals = [variable.aval for variable in variables]
    return [
        jax.ShapeDtypeStruct(np.shape(variable.val), aval.dtype, weak_type=aval.weak_type)
        if isinstance(variable, core.Literal)
        else jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))
        for variable, aval in zip(variables, avals, strict=True)
    ]
