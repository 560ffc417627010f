"""The axis along which inferences lie, followed through a program: what each inference takes, and what all share.

In a value the axis is known by the number of elements from one inference to the next, which a reshape keeps. What is
made from several inferences and no longer lies along them, such as the state of a recurrent network that steps through
the axis, shows that the axis counts something else: frames, or the rows of a table.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jax.extend import core

from amsim.deployment.mapping.axis_moves import ONE, SUMMARY, TOGETHER, UNKNOWN, Outcome, moved_axis
from amsim.deployment.tracing.primitives import CALLS, ELEMENT_BY_ELEMENT, PRODUCTS, call_body
from amsim.deployment.tracing.steps import Program, Step, Value


class Along(NamedTuple):
    """Inferences lie along an axis, `stride` elements apart in row-major order."""

    stride: int


class InTurn(NamedTuple):
    """Each turn of this loop is another inference."""

    loop: int


SHARED = "shared"
"""A value that is the same for all inferences."""

Place = Along | InTurn | str


class InferenceAxis:
    """Where the inferences of a batch lie in each value of a program.

    Attributes:
        inferences: How many there are.
        loops: Numbers of the loops whose turns are inferences.
    """

    def __init__(self, program: Program, axes: Sequence[int | None], inferences: int) -> None:
        """Follow the axis from the inputs on.

        Args:
            program: The program.
            axes: Axis of each of its inputs that counts inferences; None for parameters and what inferences share.
            inferences: How many there are, 2 at least.
        """
        self.inferences = inferences
        self.loops: set[int] = set()
        self._places: dict[int, Place] = {}
        for value, axis in zip(program.inputs, axes, strict=True):
            self._places[value.number] = SHARED if axis is None else Along(_elements(value.shape[axis + 1 :]))
        self._follow(program)

    def of(self, value: Value) -> Place:
        """Where the inferences lie in a value."""
        return self._places.get(value.number, SHARED)

    def is_together(self, value: Value) -> bool:
        """Whether a value is made from several inferences, or one for all, and does not lie along them."""
        return self.of(value) in (SUMMARY, ONE, TOGETHER)

    def _follow(self, program: Program) -> None:
        for step in program.steps:
            if not step.bodies:
                places = self._results(step.equation, [self.of(value) for value in step.inputs])
            else:
                places = self._branches(step) if step.primitive == "cond" else self._loop(step)
            self._places |= {value.number: place for value, place in zip(step.outputs, places, strict=True)}

    def _branches(self, step: Step) -> list[Place]:
        for body in step.bodies:
            self._follow(body)
        return [_either(map(self.of, results)) for results in zip(*(body.outputs for body in step.bodies), strict=True)]

    def _loop(self, step: Step) -> list[Place]:
        """Results of a loop, once nothing changes any more from turn to turn."""
        body, params, scans = step.bodies[-1], step.equation.params, step.primitive == "scan"
        first = params["num_consts"] if scans else params["body_nconsts"]
        start = first if scans else first + params["cond_nconsts"]
        carried = params["num_carry"] if scans else len(body.inputs) - first
        number = body.enclosures[-1].number
        for inner, outer in zip(body.inputs[first + carried :], step.inputs[start + carried :], strict=True):
            self._places[inner.number] = self._slice(outer, number)
        carry = [self.of(value) for value in step.inputs[start : start + carried]]
        while True:
            self._places |= {one.number: place for one, place in zip(body.inputs[first:], carry, strict=False)}
            for part in step.bodies:
                self._follow(part)
            # What one inference leaves behind for the next is made from both.
            left = [TOGETHER if place == InTurn(number) else place for place in map(self.of, body.outputs[:carried])]
            after = [_either(pair) for pair in zip(carry, left, strict=True)]
            if after == carry:
                break
            carry = after
        stacked = [(self.of(value), value.shape) for value in body.outputs[carried:]]
        return [*carry, *(Along(_elements(shape)) if one == InTurn(number) else one for one, shape in stacked)]

    def _slice(self, value: Value, loop: int) -> Place:
        """Slice that a loop takes of a value at each turn."""
        place = self.of(value)
        if not isinstance(place, Along):
            return place
        found = self._axis(place, value.shape)
        if found is None or found[0] > 0:
            return UNKNOWN if found is None else place
        if found[1] > 1 or value.shape[0] != self.inferences:
            return UNKNOWN
        self.loops.add(loop)
        return InTurn(loop)

    def _axis(self, place: Along, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """Axis in which the inferences lie, and its elements from one to the next; None where it is not one axis."""
        for axis, size in enumerate(shape):
            inner, rest = divmod(place.stride, _elements(shape[axis + 1 :]))
            if inner and not rest and size % (inner * self.inferences) == 0:
                return axis, inner
        return None

    def _results(self, equation: core.JaxprEqn, places: Sequence[Place]) -> list[Place]:
        name, outputs = equation.primitive.name, len(equation.outvars)
        if all(place == SHARED for place in places):
            return [SHARED] * outputs
        if name in CALLS:
            return self._run(call_body(equation).jaxpr, places)
        if name in ("reshape", "squeeze"):
            return [places[0]]
        if not any(isinstance(place, Along) for place in places):
            # Without an axis, whatever is done to the values of an inference stays with it.
            return [_side_by_side(places, name in PRODUCTS)] * outputs
        moved = [self._moved(equation, number, place) for number, place in enumerate(places)]
        return [
            _side_by_side([_placed(one, _shape(variable)) for one in moved], name in PRODUCTS)
            for variable in equation.outvars
        ]

    def _moved(self, equation: core.JaxprEqn, number: int, place: Place) -> Place | Outcome:
        """Where an operation puts the inferences of one of its operands."""
        if not isinstance(place, Along):
            return place
        shape, result = _shape(equation.invars[number]), _shape(equation.outvars[0])
        by_element = equation.primitive.name in ELEMENT_BY_ELEMENT
        if by_element and shape == result:
            return place
        found = self._axis(place, shape)
        if found is None:
            return UNKNOWN
        # Element by element, axes of size 1 are as long as those of the others.
        return found if by_element else moved_axis(equation, number, *found)

    def _run(self, jaxpr: core.Jaxpr, places: Sequence[Place]) -> list[Place]:
        known: dict[Any, Place] = dict(zip(jaxpr.invars, places, strict=True))

        def read(atom: Any) -> Place:
            return SHARED if isinstance(atom, core.Literal) else known.get(atom, SHARED)

        for equation in jaxpr.eqns:
            results = self._results(equation, [read(atom) for atom in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]


def _elements(shape: Iterable[int]) -> int:
    """Elements of an array of this shape; an empty axis counts as one, so that what lies before it keeps a stride."""
    return math.prod(max(size, 1) for size in shape)


def _shape(atom: Any) -> tuple[int, ...]:
    return tuple(getattr(atom.aval, "shape", ()))


def _placed(moved: Place | Outcome, shape: tuple[int, ...]) -> Place:
    """Place in a result of this shape."""
    if isinstance(moved, Along | InTurn | str):
        return moved
    axis, inner = moved
    return Along(inner * _elements(shape[axis + 1 :]))


def _side_by_side(places: Iterable[Place], product: bool = False) -> Place:
    """Place of what is made from values side by side; a summary, such as a mean, belongs to each inference it meets."""
    found = set(places) - {SHARED}
    if not product and found - {SUMMARY, ONE}:
        found -= {SUMMARY, ONE}
    if len(found) < 2:
        return found.pop() if found else SHARED
    return UNKNOWN if UNKNOWN in found else TOGETHER


def _either(places: Iterable[Place]) -> Place:
    """Place of a value that is one of these."""
    found = set(places) - {SHARED}
    if len(found) < 2:
        return found.pop() if found else SHARED
    return TOGETHER if TOGETHER in found else UNKNOWN
