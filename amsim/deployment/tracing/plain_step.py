"""One operation of a program, evaluated by JAX itself as the network wrote it."""

from collections.abc import Mapping
from typing import Any

from jax.extend import core

from amsim.deployment.tracing.steps import Step
from amsim.files.one_equation import one_equation


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
