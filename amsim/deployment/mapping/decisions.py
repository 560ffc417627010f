"""Uses of a value's sign: what decides on it, and what keeps it on the way there."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax.extend import core

from amsim.circuits.selection.value_range import ValueRange
from amsim.deployment.tracing.flattening import flatten
from amsim.deployment.tracing.primitives import (
    CALLS_WITH_RULES,
    ELEMENTWISE_SIGN_KEEPING,
    FLOAT_IDENTITIES,
    ORDERINGS,
    SIGN_KEEPING,
    SUMS,
    call_body,
)
from amsim.deployment.tracing.steps import Program, Step, Value


class Decision(NamedTuple):
    """A step that reads only the sign of one operand.

    Attributes:
        step: The step.
        operand: Which operand.
    """

    step: Step
    operand: int


class Consumers:
    """Steps that read each value of a program."""

    def __init__(self, program: Program) -> None:
        """Index the program's steps by the values they read."""
        self.program = program
        self.returned = {value.number for value in program.outputs}
        self.steps: dict[int, list[Step]] = {}
        for step in program.steps:
            for number in {value.number for value in step.inputs}:
                self.steps.setdefault(number, []).append(step)

    def of(self, value: Value) -> list[Step]:
        """Steps that read a value."""
        return self.steps.get(value.number, [])


_OTHER = -1
"""Stands in a sum for every term but the value whose use is asked for."""


class SignUse(NamedTuple):
    """Use of a value of which a program reads only the sign.

    Attributes:
        ties_up: Whether a value of exactly 0 decides like a positive one.
        decisions: Steps that read the sign.
        kept: Steps before them that change the value but not its sign, element by element.
    """

    ties_up: bool
    decisions: tuple[Decision, ...]
    kept: tuple[Decision, ...]


def sign_use(entries: Sequence[Value], consumers: Consumers) -> SignUse | None:
    """Use of a value's sign, or None where more than its sign is read.

    Args:
        entries: The value; several are taken as one, as where a call reads it more than once.
        consumers: Readers of each value of its program.

    Follows what depends on the value as sums of it and of values with its sign, so that a straight-through
    `x + stop_gradient(sign(x) - x)`, in which x cancels, is known to be the sign alone.
    """
    start = entries[0].number
    sums: dict[int, Counter[int]] = {entry.number: Counter({start: 1}) for entry in entries}
    ties: set[bool] = set()
    decisions: list[Decision] = []
    kept: list[Decision] = []
    for step in consumers.program.steps:
        read = [sums.get(value.number, Counter()) for value in step.inputs]
        if not any(read):
            continue
        found = _linear_sum(step, read)
        if found is None:
            # Only a value itself is decided on, not a sum.
            if any(set(one.values()) != {1} or len(one) != 1 for one in read if one):
                return None
            tied = _ties_of_decision(step, [bool(one) for one in read])
            if tied is not None:
                ties.add(tied)
                decisions += [Decision(step, operand) for operand, one in enumerate(read) if one]
                continue
            if not _keeps_sign(step, [bool(one) for one in read]):
                return None
            if step.primitive in ELEMENTWISE_SIGN_KEEPING:
                kept.append(Decision(step, [bool(one) for one in read].index(True)))
            found = Counter({step.outputs[0].number: 1})
        found = Counter({base: count for base, count in found.items() if count})
        if set(found) - {_OTHER}:
            sums[step.outputs[0].number] = found
    if any(number in sums for number in consumers.returned):
        return None
    return SignUse(ties.pop(), tuple(decisions), tuple(kept)) if len(ties) == 1 else None


def _linear_sum(step: Step, read: Sequence[Counter[int]]) -> Counter[int] | None:
    """The sum that a linear step forms of what it reads; None for any other step."""
    if is_identity(step):
        return read[0]
    if step.primitive not in SUMS:
        return None
    found = Counter(read[0])
    (found.update if step.primitive == "add" else found.subtract)(read[1])
    found[_OTHER] = int(not all(read) or any(_OTHER in one for one in read))
    return found


def _ties_of_decision(step: Step, marked: Sequence[bool]) -> bool | None:
    """Whether a step that reads only the sign of its marked inputs takes 0 as positive; None for other steps."""
    if step.primitive == "sign":
        return True
    if step.primitive in ORDERINGS:
        other = step.inputs[1] if marked[0] else step.inputs[0]
        with_zero = other.range.low == 0 == other.range.high and not other.data and not other.params
        return ties_up(step, marked[0]) if with_zero and not all(marked) else None
    return _ties_of_call(step.equation, marked) if step.primitive in CALLS_WITH_RULES else None


def ties_up(step: Step, first: bool) -> bool:
    """Whether equality decides like a larger value, where the value is the first or the second operand."""
    return step.primitive in (("ge", "lt") if first else ("le", "gt"))


def _keeps_sign(step: Step, marked: Sequence[bool]) -> bool:
    """Whether a step's result has the sign of its one marked input."""
    if sum(marked) != 1:
        return False
    low_high = [value.range for value in step.inputs]
    if step.primitive == "clamp":
        return marked[1] and _is_below_zero(low_high[0]) and _is_above_zero(low_high[2])
    if step.primitive in ("max", "min"):
        other = low_high[1] if marked[0] else low_high[0]
        return _is_below_zero(other) if step.primitive == "max" else _is_above_zero(other)
    return step.primitive in SIGN_KEEPING and marked[0]


def _is_below_zero(known: ValueRange) -> bool:
    return known.high is not None and known.high < 0


def _is_above_zero(known: ValueRange) -> bool:
    return known.low is not None and known.low > 0


def _ties_of_call(equation: core.JaxprEqn, marked: Sequence[bool]) -> bool | None:
    """The same for a call with a gradient rule."""
    inner = flatten(call_body(equation).closed, 0)
    entries = [value for value, mark in zip(inner.inputs, marked, strict=True) if mark]
    use = sign_use(entries, Consumers(inner))
    return None if use is None else use.ties_up


def is_identity(step: Step) -> bool:
    """Whether a step keeps its values; a conversion to integers truncates, so it does not."""
    return step.primitive in FLOAT_IDENTITIES and jnp.issubdtype(step.dtype, jnp.floating)
