"""One operation of a traced program, as a program by itself."""

import functools
from typing import Any

import jax
from jax.extend import core


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
