"""A custom derivative around a product: the user's rule for what goes in, the macro's own for the circuit's parameters.

What goes into such a call loses its derivative inside, and its results get that of the rule at the same operands, as
the plain network has it. Values stay those of the macro, and cost nothing more where nothing is differentiated.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from amsim.deployment.tracing.plain_step import distinct_operands, one_equation

Call = Callable[..., list[Any]]
Ruled = Callable[[list[Any], list[Any]], list[Any]]


def without_derivative(variables: Sequence[Any]) -> core.ClosedJaxpr:
    """Program that hands on values of the types of these variables, and no derivative of them."""
    return jax.make_jaxpr(lambda *values: [jax.lax.stop_gradient(value) for value in values])(*_shapes(variables))


def with_rule(equation: core.JaxprEqn) -> core.ClosedJaxpr:
    """Program that hands on results of a call, with the derivative of its rule added to their own.

    Its inputs are the results, and behind them the operands of the call (`distinct_operands`).
    """
    call = core.jaxpr_as_fun(one_equation(equation))
    ruled = _by_tangents(call) if equation.primitive.name == "custom_jvp_call" else _by_cotangents(call)
    operands = [equation.invars[index] for index in distinct_operands(equation)]
    return jax.make_jaxpr(ruled)(_shapes(equation.outvars), _shapes(operands))


def _by_tangents(call: Call) -> Ruled:
    @jax.custom_jvp
    def ruled(results: list[Any], operands: list[Any]) -> list[Any]:
        return results

    @ruled.defjvp
    def tangents(primals: Any, moved: Any) -> Any:
        (results, operands), (own, inward) = primals, moved
        outward = jax.jvp(call, tuple(operands), tuple(inward))[1]
        return results, [_sum(one, other) for one, other in zip(own, outward, strict=True)]

    return ruled


def _by_cotangents(call: Call) -> Ruled:
    @jax.custom_vjp
    def ruled(results: list[Any], operands: list[Any]) -> list[Any]:
        return results

    def forward(results: list[Any], operands: list[Any]) -> tuple[list[Any], Any]:
        return results, jax.vjp(call, *operands)[1]

    def backward(pull: Any, slopes: list[Any]) -> tuple[list[Any], list[Any]]:
        return slopes, list(pull(slopes))

    ruled.defvjp(forward, backward)
    return ruled


def _sum(one: Any, other: Any) -> Any:
    # Of integers and truth values the tangents are of no size.
    return one if one.dtype == jax.dtypes.float0 else one + other


def _shapes(variables: Sequence[Any]) -> list[Any]:
    avals = [variable.aval for variable in variables]
    return [
        jax.ShapeDtypeStruct(np.shape(variable.val), aval.dtype, weak_type=aval.weak_type)
        if isinstance(variable, core.Literal)
        else jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))
        for variable, aval in zip(variables, avals, strict=True)
    ]
