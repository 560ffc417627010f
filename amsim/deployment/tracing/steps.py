"""Parts of a traced function: values, the steps between them, and the loops and branches around them."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend import core

from amsim.circuits.selection.value_range import ValueRange


class Enclosure(NamedTuple):
    """A loop or branch around a part of the program.

    Attributes:
        number: Number that no other loop or branch has.
        primitive: "scan", "while" or "cond".
        turns: Iterations of a `scan`; None where they depend on data.
    """

    number: int
    primitive: str
    turns: int | None

    def __str__(self) -> str:
        """As the site table shows it."""
        return self.primitive if self.turns is None else f"{self.primitive} of {self.turns}"


class Quantised(NamedTuple):
    """Whole multiples of a number that is known only when the program runs.

    Attributes:
        words: Range and step of the value over that number.
        factor: Value that holds the number: one for all, or for a weight also one for each element.
    """

    words: ValueRange
    factor: "Value"


class Value(NamedTuple):
    """One value of the program.

    Attributes:
        number: Its number in the program.
        params: Parameter leaves it depends on.
        data: Whether it depends on the function's inputs.
        range: Range and grid that are known before any data are seen.
        shape: Its shape.
        loops: Loops whose every iteration sees a different value.
        origin: Number of the outer value that it equals or is a slice of; -1 where it is neither.
        chosen: Whether it is made from weights alone, but data decide from which ones, or when.
        quantised: Grid whose step another value holds, within the same loop or branch; None where there is none.
    """

    number: int
    params: frozenset[int]
    data: bool
    range: ValueRange
    shape: tuple[int, ...]
    loops: frozenset[Enclosure] = frozenset()
    origin: int = -1
    chosen: bool = False
    quantised: Quantised | None = None

    @property
    def is_number(self) -> bool:
        """Whether it has one element."""
        return math.prod(self.shape) == 1

    @property
    def is_weight(self) -> bool:
        """Whether it depends on parameters and on nothing else."""
        return bool(self.params) and not self.data

    @property
    def source(self) -> int:
        """Number of the outer value that it equals or is a slice of, else its own."""
        return self.number if self.origin < 0 else self.origin


class Step(NamedTuple):
    """One operation: its equation, the values it reads and writes, and what it holds.

    Attributes:
        equation: The operation itself.
        inputs: Values it reads.
        outputs: Values it writes.
        bodies: Programs of a loop or branch with products of weights inside: body of a `scan`, condition and body of a
            `while`, branches of a `cond`; empty for any other operation, which runs as it is.
    """

    equation: core.JaxprEqn
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    bodies: tuple["Program", ...] = ()

    @property
    def primitive(self) -> str:
        """Name of the operation."""
        return self.equation.primitive.name

    @property
    def dtype(self) -> Any:
        """Type of its first result."""
        return self.equation.outvars[0].aval.dtype  # type: ignore[attr-defined]


class Region(NamedTuple):
    """A call with a custom derivative and a site inside, after inlining.

    Attributes:
        equation: The call.
        numbers: Numbers of the values inside.
        results: Values it returns.
    """

    equation: core.JaxprEqn
    numbers: range
    results: tuple[Value, ...]

    @property
    def gives_data(self) -> bool:
        """Whether all results that have a derivative depend on data."""
        smooth = [jnp.issubdtype(variable.aval.dtype, jnp.inexact) for variable in self.equation.outvars]  # type: ignore[attr-defined]
        return all(value.data for value, has_slope in zip(self.results, smooth, strict=True) if has_slope)


class Program(NamedTuple):
    """A flat function; programs inside loops and branches belong to the steps that hold them.

    Attributes:
        inputs: Values of parameters and inputs, in order.
        constants: Values of constants, by number.
        steps: Operations in an order in which they can run, those on parameters alone first.
        outputs: Values returned.
        enclosures: Loops and branches around it, the outermost first.
        regions: Calls with a custom derivative and a site inside; of the whole function only.
    """

    inputs: tuple[Value, ...]
    constants: dict[int, Any]
    steps: tuple[Step, ...]
    outputs: tuple[Value, ...]
    enclosures: tuple[Enclosure, ...] = ()
    regions: tuple[Region, ...] = ()
