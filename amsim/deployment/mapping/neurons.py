"""Binary neurons: a product whose only use, through an affine chain, is a sign.

Between product and sign stand additions and multiplications by weights (bias, batch normalisation) and changes of
shape; only the sign of their result matters. Such a chain is one slope and one intercept per column.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.circuits.contract.neuron import Neuron
from amsim.deployment.mapping.decisions import Consumers, Decision, is_identity, sign_use, ties_up
from amsim.deployment.mapping.sites import Site
from amsim.deployment.tracing.primitives import AFFINE, FLOAT_IDENTITIES, ORDERINGS, SHAPE_CHANGES
from amsim.deployment.tracing.steps import Step, Value


class NeuronChain(NamedTuple):
    """The steps from a product to the value that is decided on.

    Attributes:
        steps: Affine steps and changes of shape, in order; the product's own step is not among them. May be empty.
        result: The value that is decided on.
        ties_up: Whether a value of exactly 0 decides like a positive one.
        threshold: What the value is compared with; None is 0.
        decisions: Steps that read only the sign of the value.
        kept: Steps before them that change the value but not its sign, element by element.
    """

    steps: tuple[Step, ...]
    result: Value
    ties_up: bool
    threshold: Value | None = None
    decisions: tuple[Decision, ...] = ()
    kept: tuple[Decision, ...] = ()

    def neuron(self, site: Site, read: Callable[[Value], Array]) -> Neuron:
        """Slope and intercept of the chain, columns last."""
        dtype = jnp.result_type(float)
        slope, intercept, current = jnp.ones((), dtype), jnp.zeros((), dtype), site.step.outputs[0]
        changes: list[Step] = []
        for step in self.steps:
            if step.primitive in SHAPE_CHANGES:
                changes.append(step)
            elif step.primitive not in FLOAT_IDENTITIES:
                other = [jnp.asarray(read(value), dtype) for value in step.inputs if value.number != current.number]
                first = step.inputs[0].number == current.number
                slope, intercept = _affine(step.primitive, first, slope, intercept, _before(changes, other))
            current = step.outputs[0]
        if self.threshold is not None:
            threshold = _before(changes, [jnp.asarray(read(self.threshold), dtype)])
            slope, intercept = _affine("sub", True, slope, intercept, threshold)
        slope, intercept = jnp.broadcast_arrays(*_same_rank(slope, intercept))
        return Neuron(site.layout.to_columns(slope), site.layout.to_columns(intercept), self.ties_up)

    def result_from_margins(self, margins: Array, read: Callable[[Value], Array]) -> Array:
        """Value on the same side of the threshold as these margins, which have the shape of the product."""
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


def find_chain(site: Site, consumers: Consumers) -> NeuronChain | str:
    """The neuron chain behind a site, or the reason why there is none."""
    current = site.step.outputs[0]
    chain: list[Step] = []
    while True:
        if current.number in consumers.returned:
            return "its result is returned as a number"
        use = sign_use([current], consumers)
        if use is not None:
            return NeuronChain(tuple(chain), current, use.ties_up, None, use.decisions, use.kept)
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
    """Decision of ties and the threshold, where one comparison with a weight or constant alone reads a value."""
    readers = consumers.of(current)
    if len(readers) != 1 or readers[0].primitive not in ORDERINGS:
        return None
    left, right = readers[0].inputs
    first = left.number == current.number
    other = right if first else left
    return None if other.data or left.number == right.number else (ties_up(readers[0], first), other)


def _is_affine(step: Step, current: Value) -> bool:
    if not step.outputs or step.outputs[0].shape != current.shape:
        return False
    if step.primitive == "neg" or is_identity(step):
        return True
    if step.primitive not in AFFINE:
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


def _before(changes: Sequence[Step], values: Sequence[Array]) -> list[Array]:
    """Values that broadcast after some changes of shape, reshaped to broadcast in the same way before them."""
    found = []
    for value in values:
        for step in reversed(changes) if value.ndim else ():
            if step.primitive == "transpose":
                value = jnp.transpose(value, np.argsort(step.equation.params["permutation"]).tolist())
            else:
                value = _reshape_broadcastable(value, step.outputs[0].shape, step.inputs[0].shape)
        found.append(value)
    return found


def _reshape_broadcastable(value: Array, old: tuple[int, ...], new: tuple[int, ...]) -> Array:
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
