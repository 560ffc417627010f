"""Names of JAX's operations by what they do to values, and the programs that operations hold.

The one table and the one search for all that reads traced programs. Names are those of the JAX versions that amsim
supports; `tests/deployment/test_primitives.py` holds them against the operations that JAX has.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend import core

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot_general")

TRANSPARENT_CALLS = ("jit", "call", "closed_call")
"""Calls that stand for their body and nothing else."""
CUSTOM_DERIVATIVES = ("custom_jvp_call", "custom_vjp_call")
"""Calls with a derivative of their own."""
CALLS_WITH_RULES = (*CUSTOM_DERIVATIVES, "remat2")
"""Calls whose values are those of their body, and whose derivative is computed in another way."""
CALLS = (*TRANSPARENT_CALLS, *CALLS_WITH_RULES)

IDENTITIES = ("stop_gradient", "copy")
"""Operations that hand on the same numbers."""
FLOAT_IDENTITIES = (*IDENTITIES, "convert_element_type")
"""Operations that hand on the same numbers, to rounding, where their result is floating-point."""
SHAPE_CHANGES = ("reshape", "squeeze", "broadcast_in_dim", "slice", "transpose")
SELECTIONS = ("gather", "dynamic_slice")
"""Operations that take elements of their first operand, at places that the others name."""
SUMS = ("add", "sub")
AFFINE = (*SUMS, "mul", "div")
"""Operations that are affine in either operand, `div` in its first."""
ORDERINGS = ("ge", "gt", "le", "lt")
COMPARISONS = (*ORDERINGS, "eq", "ne", "is_finite")
"""Operations that answer with truth values."""

ELEMENT_BY_ELEMENT = (
    *AFFINE, *COMPARISONS, *FLOAT_IDENTITIES, "abs", "and", "atan2", "cbrt", "ceil", "clamp", "cos", "erf", "erf_inv",
    "erfc", "exp", "exp2", "expm1", "floor", "integer_pow", "log", "log1p", "logistic", "max", "min", "neg",
    "nextafter", "not", "or", "population_count", "pow", "reduce_precision", "rem", "round", "rsqrt", "select_n",
    "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square", "tan",
    "tanh", "xor", "add_any",
)  # fmt: skip
"""Operations each of whose elements is made from the elements at the same place."""
MOVES = ("reshape", "squeeze", "broadcast_in_dim", "slice", "transpose", "rev", "concatenate", "pad", *SELECTIONS)
"""Operations whose elements are those of their first operands, at other places."""

VALUE_KEEPING = (
    *SHAPE_CHANGES, *IDENTITIES, "dynamic_slice", "rev", "reduce_max", "reduce_min", "reduce_window_max",
    "reduce_precision",
)  # fmt: skip
"""Operations whose results lie in the range of their first operand."""
SIGN_KEEPING = ("tanh", "erf", *SHAPE_CHANGES, "rev", "reduce_max", "reduce_min", "reduce_window_max")
"""Operations that keep decisions: the maximum of values is above zero where that of their signs is."""
ELEMENTWISE_SIGN_KEEPING = ("tanh", "erf", "clamp", "max", "min")
"""Operations that keep the sign of each element, but not its size."""
SUMMATIONS = ("add", "sub", "reduce_sum", "cumsum", "reduce_window_sum", "add_any")
"""Operations whose results are sums and differences of whole multiples of the step that their operands share."""
NOT_NEGATIVE = ("add", "mul", "div", "reduce_sum", "cumsum")
"""Operations whose results are not negative where none of their operands is."""


class Body(NamedTuple):
    """A program inside an operation.

    Attributes:
        jaxpr: The program.
        consts: Values of its constants.
    """

    jaxpr: core.Jaxpr
    consts: Sequence[Any]

    @property
    def closed(self) -> core.ClosedJaxpr:
        """The program with its constants."""
        return core.ClosedJaxpr(self.jaxpr, list(self.consts))


def bodies(equation: core.JaxprEqn) -> list[Body]:
    """All programs that an operation holds, in the order of its parameters."""
    found = []
    for parameter in equation.params.values():
        for item in parameter if isinstance(parameter, tuple | list) else (parameter,):
            if isinstance(item, core.ClosedJaxpr):
                found.append(Body(item.jaxpr, item.consts))
            elif isinstance(item, core.Jaxpr):
                found.append(Body(item, ()))
    return found


def call_body(equation: core.JaxprEqn) -> Body:
    """The one program that a call holds.

    Raises:
        ValueError: The operation holds none, or several.
    """
    found = bodies(equation)
    if len(found) != 1:
        raise ValueError(f"Operation {equation.primitive.name} has no body that can be read.")
    return found[0]
