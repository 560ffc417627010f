"""Quantisers in a traced function: grids whose step is a value of the program, and straight-through differences.

A quantiser multiplies whole numbers with a scale. Where the scale is a number in the program the ranges know the grid;
where it is learned, computed, or one for each channel, its value is kept beside the product, through changes of shape.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.extend import core

from amsim.deployment.tracing.plain_step import distinct_operands, one_equation
from amsim.deployment.tracing.primitives import IDENTITIES, SHAPE_CHANGES, VALUE_KEEPING, bodies
from amsim.deployment.tracing.ranges import ZERO, hull
from amsim.deployment.tracing.steps import Quantised, Value

JOINS = ("max", "min", "select_n", "concatenate", "pad")
"""Operations each of whose elements is one of an operand's."""

Run = Callable[[core.ClosedJaxpr, list[Value]], list[Value]]
"""Appends a program to the one that is being flattened."""


class Quantisers:
    """What is known of quantisers, operation by operation.

    Args:
        run: Appends steps that compute a factor.
    """

    def __init__(self, run: Run) -> None:
        """Begin without any."""
        self._run = run
        self._single: dict[int, Value] = {}
        self._spread: set[int] = set()
        self._differences: dict[int, tuple[Value, Value]] = {}

    def passed_through(self, equation: core.JaxprEqn, inputs: Sequence[Value]) -> Value | None:
        """The value that `x + (q - x)` or `x - (x - q)` stands for, q; None for any other operation."""
        name = equation.primitive.name
        if name not in ("add", "sub", "add_any"):
            return None
        for kept, other in ((0, 1), (1, 0)) if name != "sub" else ((0, 1),):
            found = self._differences.get(inputs[other].source)
            if found is None:
                continue
            minuend, subtrahend = found
            same, wanted = (minuend, subtrahend) if name == "sub" else (subtrahend, minuend)
            if same.source == inputs[kept].source:
                return wanted
        return None

    def note(self, equation: core.JaxprEqn, inputs: Sequence[Value], output: Value) -> None:
        """Remember differences, and numbers that are spread over an array."""
        name = equation.primitive.name
        if name == "sub":
            self._differences[output.number] = inputs[0], inputs[1]
        if name == "broadcast_in_dim":
            self._spread.add(output.number)
        if name in (*SHAPE_CHANGES, *IDENTITIES, "convert_element_type") and inputs:
            one = inputs[0] if inputs[0].is_number else self._single.get(inputs[0].number)
            if one is not None:
                self._single[output.number] = self._single.get(one.number, one)

    def of(self, equation: core.JaxprEqn, inputs: Sequence[Value]) -> Quantised | None:
        """Grid of a result whose step is a value of the program."""
        name = equation.primitive.name
        if name == "mul":
            return self._product(*inputs) or self._product(*reversed(inputs))
        if name == "div":
            return self._quotient(*inputs)
        if name in JOINS:
            return self._joined(inputs[1:] if name == "select_n" else inputs)
        known = inputs[0].quantised if inputs else None
        if known is None:
            return None
        if of_every_element(inputs[0]):
            return known if name in (*VALUE_KEEPING, "convert_element_type") else None
        if name in IDENTITIES:
            return known
        if name not in SHAPE_CHANGES:
            return None
        # The factors take the same way as what they belong to.
        operands = [known.factor, *(inputs[index] for index in distinct_operands(equation)[1:])]
        return known._replace(factor=self._run(one_equation(equation), operands)[0])

    def _joined(self, values: Sequence[Value]) -> Quantised | None:
        """Grid of values each of which is one of several: the one that all but constant zeros share."""
        found = [value.quantised for value in values if not _is_zero(value)]
        one = found[0] if found else None
        if one is None or not one.factor.is_number:
            return None
        words = [other.words for other in found if other is not None and other.factor.number == one.factor.number]
        return one._replace(words=hull([*words, ZERO])) if len(words) == len(found) else None

    def _product(self, words: Value, factor: Value) -> Quantised | None:
        if _is_constant(words) or not (words.range.step or words.quantised):
            return None
        found = self._factor(words, factor)
        if found is None:
            return None
        if words.quantised is None:
            return Quantised(words.range, found)
        both = [words.quantised.factor, found]
        if math.prod(both[0].shape) != math.prod(both[1].shape):
            return None
        return words.quantised._replace(factor=self._computed(lambda a, b: a.reshape(b.shape) * b, both))

    def _quotient(self, words: Value, divisor: Value) -> Quantised | None:
        if _is_constant(words) or not words.range.step:
            return None
        found = self._factor(words, divisor)
        return None if found is None else Quantised(words.range, self._computed(lambda numbers: 1 / numbers, [found]))

    def _factor(self, words: Value, factor: Value) -> Value | None:
        """The number that a factor is everywhere, or for a weight its elements; None where it is no scale."""
        one = factor if factor.is_number else self._single.get(factor.number)
        if one is not None and (one.range.low is None or one.range.low != one.range.high):
            return one
        if one is not None or words.data or factor.data or math.prod(factor.shape) > math.prod(words.shape):
            return None
        if factor.shape != words.shape:
            return self._computed(lambda numbers: jnp.broadcast_to(numbers, words.shape), [factor])
        return factor if factor.number in self._spread else None

    def _computed(self, function: Callable[..., jax.Array], values: list[Value]) -> Value:
        shapes = [jax.ShapeDtypeStruct(value.shape, jnp.result_type(float)) for value in values]
        return self._run(jax.make_jaxpr(function)(*shapes), values)[0]


def of_every_element(value: Value) -> Quantised | None:
    """Grid of a slice of a value: that of the whole, where one number holds its step."""
    known = value.quantised
    return known if known is not None and known.factor.is_number else None


def rounds_inside(equation: core.JaxprEqn) -> bool:
    """Whether a call holds a rounding, and so may be a quantiser."""
    return any(
        inner.primitive.name in ("round", "floor", "ceil", "sign") or rounds_inside(inner)
        for body in bodies(equation)
        for inner in body.jaxpr.eqns
    )


def _is_constant(value: Value) -> bool:
    return not value.data and not value.params


def _is_zero(value: Value) -> bool:
    return _is_constant(value) and value.range.low == 0 == value.range.high
