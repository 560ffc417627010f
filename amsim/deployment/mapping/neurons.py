"""Binary neurons: a product whose only use, through an affine chain, is a sign.

Between product and sign stand additions and multiplications by weights (bias, batch normalisation) and changes of
shape; all that matters of their result is which side of zero it is on. Such a chain is one slope and one intercept for
each column.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jaxtyping import Array

from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.selection.codes import ValueRange
from amsim.deployment.mapping.sites import Site
from amsim.deployment.tracing.flattening import CALLS_WITH_RULES, flatten, inner_jaxpr
from amsim.deployment.tracing.steps import Program, Step, Value

SHAPE_CHANGES = ("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "slice", "transpose")
IDENTITIES = ("stop_gradient", "copy", "convert_element_type")
SIGN_KEEPING = ("tanh", "erf", *SHAPE_CHANGES, "rev", "reduce_max", "reduce_min", "reduce_window_max")
"""What keeps decisions: the maximum of values is above zero where that of their signs is."""
ELEMENTWISE = ("tanh", "erf", "clamp", "max", "min")
"""What keeps the sign of each element but not its size."""
_COMPARISONS = ("ge", "gt", "le", "lt")


class Decision(NamedTuple):
    """A step that reads of one operand the sign alone.

    Attributes:
        step: The step.
        operand: Which operand.
    """

    step: Step
    operand: int


class NeuronChain(NamedTuple):
    """The steps from a product to the value that is decided on.

    Attributes:
        steps: Affine steps and changes of shape, in order; the product's own step is not among them. May be empty.
        result: The value that is decided on.
        ties_up: Whether a value of exactly 0 decides like a positive one.
        threshold: What the value is compared with; None is 0.
        decisions: Steps with a derivative that read nothing of the value but its sign.
        kept: Steps between the value and those that change it but not its sign, element by element.
    """

    steps: tuple[Step, ...]
    result: Value
    ties_up: bool
    threshold: Value | None = None
    decisions: tuple["Decision", ...] = ()
    kept: tuple["Decision", ...] = ()

    def neuron(self, site: Site, read: Callable[[Value], Array]) -> Neuron:
        """Slope and intercept of the chain, columns last."""
        dtype = jnp.result_type(float)
        slope, intercept, current = jnp.ones((), dtype), jnp.zeros((), dtype), site.step.outputs[0]
        changes: list[Step] = []
        for step in self.steps:
            if step.primitive in SHAPE_CHANGES:
                changes.append(step)
            elif step.primitive not in IDENTITIES:
                other = [jnp.asarray(read(value), dtype) for value in step.inputs if value.number != current.number]
                first = step.inputs[0].number == current.number
                slope, intercept = _affine(step.primitive, first, slope, intercept, _undone(changes, other))
            current = step.outputs[0]
        if self.threshold is not None:
            threshold = _undone(changes, [jnp.asarray(read(self.threshold), dtype)])
            slope, intercept = _affine("sub", True, slope, intercept, threshold)
        slope, intercept = jnp.broadcast_arrays(*_same_rank(slope, intercept))
        return Neuron(site.layout.to_columns(slope), site.layout.to_columns(intercept), self.ties_up)

    def decided(self, margins: Array, read: Callable[[Value], Array]) -> Array:
        """Margins in the shape of the product as the value that is decided on: on the same side of the threshold."""
        for step in self.steps:
            if step.primitive == "transpose":
                margins = jnp.transpose(margins, step.equation.params["permutation"])
            elif step.primitive in SHAPE_CHANGES:
                margins = margins.reshape(step.outputs[0].shape)
        if self.threshold is None:
            return margins
        threshold = jnp.broadcast_to(jnp.asarray(read(self.threshold), margins.dtype), margins.shape)
        # Far from the threshold, beside which a margin may be lost in rounding; a comparison has no gradient to keep.
        return jnp.where(margins == 0, threshold, jnp.copysign(jnp.inf, margins))


class Consumers:
    """Who reads each value of a program."""

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


def find_chain(site: Site, consumers: Consumers) -> NeuronChain | str:
    """The neuron chain behind a site, or the reason why there is none."""
    current = site.step.outputs[0]
    chain: list[Step] = []
    while True:
        if current.number in consumers.returned:
            return "its result is returned as a number"
        decided = _decided([current], consumers)
        if decided is not None:
            return NeuronChain(tuple(chain), current, decided.ties_up, None, decided.decisions, decided.kept)
        threshold = _threshold(current, consumers)
        if threshold is not None:
            return NeuronChain(tuple(chain), current, *threshold)
        readers = consumers.of(current)
        if len(readers) != 1:
            return f"its result is used {len(readers)} times, not by one sign alone"
        if not _is_affine(readers[0], current) and not _changes_shape_only(readers[0]):
            return f"its result goes through `{readers[0].primitive}` before a sign"
        chain.append(readers[0])
        current = readers[0].outputs[0]


def _threshold(current: Value, consumers: Consumers) -> tuple[bool, Value] | None:
    """How ties decide and the threshold, where all that reads a value is one comparison with a weight or constant."""
    readers = consumers.of(current)
    if len(readers) != 1 or readers[0].primitive not in _COMPARISONS:
        return None
    left, right = readers[0].inputs
    first = left.number == current.number
    other = right if first else left
    return None if other.data or left.number == right.number else (_ties_up(readers[0], first), other)


def _is_affine(step: Step, current: Value) -> bool:
    if not step.outputs or step.outputs[0].shape != current.shape:
        return False
    if step.primitive == "neg" or _is_identity(step):
        return True
    if step.primitive not in ("add", "sub", "mul", "div"):
        return False
    left, right = step.inputs
    other = right if left.number == current.number else left
    divided_by = step.primitive == "div" and right.number == current.number
    return not other.data and not divided_by and left.number != right.number


def _changes_shape_only(step: Step) -> bool:
    """Whether a step moves each element to one other place, in the order of a reshape or a transpose."""
    sizes = {math.prod(value.shape) for value in (*step.inputs, *step.outputs)}
    permutes = step.equation.params.get("dimensions") is not None and step.primitive == "reshape"
    return step.primitive in SHAPE_CHANGES and len(sizes) == 1 and 0 not in sizes and not permutes


def _is_identity(step: Step) -> bool:
    """Whether a step keeps its values; a conversion to integers truncates, so it does not."""
    return step.primitive in IDENTITIES and jnp.issubdtype(step.dtype, jnp.floating)


def _affine(
    primitive: str, first: bool, slope: Array, intercept: Array, others: Sequence[Array]
) -> tuple[Array, Array]:
    """One affine step; `first` where the chain's value is its first operand."""
    if primitive == "neg":
        return -slope, -intercept
    slope, intercept, other = _same_rank(slope, intercept, *others)
    if primitive == "mul":
        return slope * other, intercept * other
    if primitive == "div":
        return slope / other, intercept / other
    if primitive == "add":
        return slope, intercept + other
    return (slope, intercept - other) if first else (-slope, other - intercept)


def _same_rank(*values: Array) -> tuple[Array, ...]:
    rank = max(value.ndim for value in values)
    return tuple(value.reshape((1,) * (rank - value.ndim) + value.shape) for value in values)


def _undone(changes: Sequence[Step], values: Sequence[Array]) -> list[Array]:
    """Values that broadcast to the shape after some changes of shape, as they broadcast to the shape before them."""
    found = []
    for value in values:
        for step in reversed(changes) if value.ndim else ():
            if step.primitive == "transpose":
                value = jnp.transpose(value, np.argsort(step.equation.params["permutation"]).tolist())
            else:
                value = _regrouped(value, step.outputs[0].shape, step.inputs[0].shape)
        found.append(value)
    return found


def _regrouped(value: Array, old: tuple[int, ...], new: tuple[int, ...]) -> Array:
    """A value that broadcasts to shape `old`, reshaped to broadcast to `new`; axes it does not span stay 1."""
    whole = list(value.shape)
    shape: list[int] = []
    for before, after in _axis_groups(old, new):
        spans = math.prod(value.shape[before]) > 1
        whole[before] = old[before] if spans else value.shape[before]
        shape += new[after] if spans else (1,) * len(new[after])
    return jnp.broadcast_to(value, whole).reshape(shape)


def _axis_groups(old: tuple[int, ...], new: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Smallest runs of axes of equal size on both sides of a reshape."""
    i = j = 0
    while i < len(old) or j < len(new):
        start, left, right = (i, j), math.prod(old[i : i + 1]), math.prod(new[j : j + 1])
        i, j = min(i + 1, len(old)), min(j + 1, len(new))
        while left != right:
            if left < right:
                left, i = left * old[i], i + 1
            else:
                right, j = right * new[j], j + 1
        yield slice(start[0], i), slice(start[1], j)


_OTHER = -1
"""Stands in a sum for whatever is not the value that is followed."""


class _Decided(NamedTuple):
    """How a value is decided on, of which nothing but the sign is used; fields as in `NeuronChain`."""

    ties_up: bool
    decisions: tuple[Decision, ...]
    kept: tuple[Decision, ...]


def _decided(entries: Sequence[Value], consumers: Consumers) -> _Decided | None:
    """Whether all that is used of a value is its sign: None if not, else whether 0 counts as positive, and who decides.

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
        found = _combined(step, read)
        if found is None:
            # Only a value itself is decided on, not a sum.
            if any(set(one.values()) != {1} or len(one) != 1 for one in read if one):
                return None
            tied = _decision(step, [bool(one) for one in read])
            if tied is not None:
                ties.add(tied)
                decisions += [Decision(step, operand) for operand, one in enumerate(read) if one]
                continue
            if not _keeps_sign(step, [bool(one) for one in read]):
                return None
            if step.primitive in ELEMENTWISE:
                kept.append(Decision(step, [bool(one) for one in read].index(True)))
            found = Counter({step.outputs[0].number: 1})
        found = Counter({base: count for base, count in found.items() if count})
        if set(found) - {_OTHER}:
            sums[step.outputs[0].number] = found
    if any(number in sums for number in consumers.returned):
        return None
    return _Decided(ties.pop(), tuple(decisions), tuple(kept)) if len(ties) == 1 else None


def _combined(step: Step, read: Sequence[Counter[int]]) -> Counter[int] | None:
    """The sum that a linear step forms of what it reads; None for any other step."""
    if _is_identity(step):
        return read[0]
    if step.primitive not in ("add", "sub"):
        return None
    found = Counter(read[0])
    (found.update if step.primitive == "add" else found.subtract)(read[1])
    found[_OTHER] = int(not all(read) or any(_OTHER in one for one in read))
    return found


def _decision(step: Step, marked: Sequence[bool]) -> bool | None:
    """Whether a step reads of its marked inputs the sign alone: None if not, else whether 0 counts as positive."""
    if step.primitive == "sign":
        return True
    if step.primitive in _COMPARISONS:
        other = step.inputs[1] if marked[0] else step.inputs[0]
        with_zero = other.range == (0.0, 0.0) and not other.data and not other.params
        return _ties_up(step, marked[0]) if with_zero and not all(marked) else None
    return _decision_in_call(step.equation, marked) if step.primitive in CALLS_WITH_RULES else None


def _ties_up(step: Step, first: bool) -> bool:
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


def _decision_in_call(equation: core.JaxprEqn, marked: Sequence[bool]) -> bool | None:
    """Whether a call with a gradient rule reads nothing of its marked inputs but the sign."""
    jaxpr, consts = inner_jaxpr(equation)
    inner = flatten(core.ClosedJaxpr(jaxpr, list(consts)), 0)
    entries = [value for value, mark in zip(inner.inputs, marked, strict=True) if mark]
    decided = _decided(entries, Consumers(inner))
    return None if decided is None else decided.ties_up
