"""What a traced function consists of: values, the steps between them, and the loops and branches around them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend import core

from amsim.circuits.selection.codes import ValueRange


class Enclosure(NamedTuple):
    """A loop or branch around a part of the program.

    Attributes:
        number: Tells one from another.
        primitive: "scan", "while" or "cond".
        turns: How often a `scan` runs its body; None where only the data tell.
    """

    number: int
    primitive: str
    turns: int | None

    def __str__(self) -> str:
        """As the site table shows it."""
        return self.primitive if self.turns is None else f"{self.primitive} of {self.turns}"


class Value(NamedTuple):
    """One value of the program.

    Attributes:
        number: Its place in the environment.
        params: Parameter leaves it depends on.
        data: Whether it depends on the function's inputs.
        range: What is known of it before any data are seen.
        shape: Its shape.
        loops: Loops in which it is another one at each turn.
        origin: Number of the value that it is, or is a slice of, seen from outside all loops; -1 is its own number.
        chosen: Whether it is made from weights alone, but which ones or when depends on data.
    """

    number: int
    params: frozenset[int]
    data: bool
    range: ValueRange
    shape: tuple[int, ...]
    loops: frozenset[Enclosure] = frozenset()
    origin: int = -1
    chosen: bool = False

    @property
    def is_weight(self) -> bool:
        """Whether it depends on parameters and on nothing else."""
        return bool(self.params) and not self.data

    @property
    def source(self) -> int:
        """Number of the value that it is, or is a slice of."""
        return self.number if self.origin < 0 else self.origin


class Step(NamedTuple):
    """One operation: its equation, the values it reads and writes, and what it holds.

    Attributes:
        equation: The operation itself.
        inputs: Values it reads.
        outputs: Values it writes.
        bodies: Of a loop or branch with products of weights inside: the body of a `scan`; condition and body of a
            `while`; the branches of a `cond`. () of any other operation, which runs as it is.
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
    """What a call with a custom derivative and a site inside has become.

    Attributes:
        equation: The call.
        numbers: Values that came to be inside.
        results: Values that leave it.
    """

    equation: core.JaxprEqn
    numbers: range
    results: tuple[Value, ...]

    @property
    def gives_data(self) -> bool:
        """Whether all that has a derivative of what leaves it depends on data."""
        smooth = [jnp.issubdtype(variable.aval.dtype, jnp.inexact) for variable in self.equation.outvars]  # type: ignore[attr-defined]
        return all(value.data for value, has_slope in zip(self.results, smooth, strict=True) if has_slope)


class Program(NamedTuple):
    """A flat function; those inside loops and branches hang on the steps that hold them.

    Attributes:
        inputs: Values of parameters and inputs, in order.
        constants: Numbers by place in the environment.
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
