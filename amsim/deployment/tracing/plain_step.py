"""One operation of a program, evaluated by JAX itself as the network wrote it."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
from jax.extend import core

from amsim.deployment.tracing.steps import Step


def plain_results(step: Step, values: Mapping[int, Any]) -> list[Any]:
    """Results of a step, custom derivatives included.

    Args:
        step: The step.
        values: Values by number.
    """
    operands = (step.inputs[index] for index in distinct_operands(step.equation))
    return core.jaxpr_as_fun(one_equation(step.equation))(*(values[value.number] for value in operands))


def distinct_operands(equation: core.JaxprEqn) -> list[int]:
    """Positions of an operation's distinct operands, literals left out."""
    return list(
        {atom: index for index, atom in enumerate(equation.invars) if not isinstance(atom, core.Literal)}.values()
    )


def one_equation(equation: core.JaxprEqn) -> core.ClosedJaxpr:
    """One operation as a function of its distinct operands."""
    variables = list(dict.fromkeys(atom for atom in equation.invars if not isinstance(atom, core.Literal)))
    names = tuple(f"operand{index}" for index in range(len(variables)))
    results = tuple(f"result{index}" for index in range(len(equation.outvars)))
    debug = _debug_info_type()("amsim", equation.primitive.name, names, results)
    return core.ClosedJaxpr(core.Jaxpr((), variables, equation.outvars, [equation], equation.effects, debug), ())


@functools.cache
def _debug_info_type() -> Any:
    # `jax.extend.core` exports it from version 0.10 on.
    return type(jax.make_jaxpr(lambda: 0.0)().jaxpr.debug_info)
