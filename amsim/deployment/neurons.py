"""Binary neurons: a product whose only use, through an affine chain, is a sign.

Between product and sign stand additions and multiplications by weights (bias, batch normalisation); all that matters
of their result is which side of zero it is on. Such a chain is one slope and one intercept for each column.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array

from amsim.circuits.neuron import Neuron
from amsim.deployment.program import Program, Step, Value, flatten, inner_jaxpr
from amsim.deployment.sites import Site

SIGN_KEEPING = ("tanh", "erf", "copy", "convert_element_type", "optimization_barrier")


class NeuronChain(NamedTuple):
    """The steps from a product to the value that is decided on.

    Attributes:
        steps: Affine steps, in order; the product's own step is not among them. May be empty.
        result: The value that is decided on.
        ties_up: Whether a value of exactly 0 decides like a positive one.
    """

    steps: tuple[Step, ...]
    result: Value
    ties_up: bool

    def neuron(self, site: Site, read: Callable[[Value], Array]) -> Neuron:
        """Slope and intercept of the chain, columns last."""
        dtype = jnp.result_type(float)
        slope, intercept, current = jnp.ones((), dtype), jnp.zeros((), dtype), site.step.outputs[0]
        for step in self.steps:
            slope, intercept = _affine(step, current, slope, intercept, read)
            current = step.outputs[0]
        slope, intercept = jnp.broadcast_arrays(*_same_rank(slope, intercept))
        return Neuron(site.layout.to_columns(slope), site.layout.to_columns(intercept), self.ties_up)


class Consumers:
    """Who reads each value of a program."""

    def __init__(self, program: Program) -> None:
        """Index the program's steps by the values they read."""
        self.steps: dict[int, list[Step]] = {}
        self.returned = {value.number for value in program.outputs}
        for step in program.steps:
            for number in {value.number for value in step.inputs}:
                self.steps.setdefault(number, []).append(step)

    def of(self, value: Value) -> list[Step]:
        """Steps that read a value."""
        return self.steps.get(value.number, [])


def find_chain(site: Site, consumers: Consumers) -> NeuronChain | str:
    """The neuron chain behind a site, or the reason why there is none."""
    current, chain = site.step.outputs[0], []
    while True:
        if current.number in consumers.returned:
            return "its result is returned as a number"
        ties = _decided(current, consumers)
        if ties is not None:
            return NeuronChain(tuple(chain), current, ties)
        readers = consumers.of(current)
        if len(readers) != 1:
            return f"its result is used {len(readers)} times, not by one sign alone"
        if not _is_affine(readers[0], current):
            return f"its result goes through `{readers[0].primitive}` before a sign"
        chain.append(readers[0])
        current = readers[0].outputs[0]


def _is_affine(step: Step, current: Value) -> bool:
    if step.outputs and step.outputs[0].shape != current.shape:
        return False
    if step.primitive in ("neg", "convert_element_type", "copy"):
        return True
    if step.primitive not in ("add", "sub", "mul", "div"):
        return False
    left, right = step.inputs
    other = right if left.number == current.number else left
    divided_by = step.primitive == "div" and right.number == current.number
    return not other.data and not divided_by and left.number != right.number


def _affine(
    step: Step, current: Value, slope: Array, intercept: Array, read: Callable[[Value], Array]
) -> tuple[Array, Array]:
    if step.primitive in ("convert_element_type", "copy"):
        return slope, intercept
    if step.primitive == "neg":
        return -slope, -intercept
    left, right = step.inputs
    first = left.number == current.number
    other = jnp.asarray(read(right if first else left), slope.dtype)
    slope, intercept, other = _same_rank(slope, intercept, other)
    if step.primitive == "mul":
        return slope * other, intercept * other
    if step.primitive == "div":
        return slope / other, intercept / other
    if step.primitive == "add":
        return slope, intercept + other
    return (slope, intercept - other) if first else (-slope, other - intercept)


def _same_rank(*values: Array) -> tuple[Array, ...]:
    rank = max(value.ndim for value in values)
    return tuple(value.reshape((1,) * (rank - value.ndim) + value.shape) for value in values)


def _decided(value: Value, consumers: Consumers) -> bool | None:
    """Whether all that is used of a value is its sign: None if not, else whether 0 counts as positive."""
    found: set[bool] = set()
    signs: list[Value] = []
    later: list[Step] = []
    for step in consumers.of(value):
        ties = _decision(step, value, consumers)
        if ties is None:
            later.append(step)
        else:
            found.add(ties)
            signs.append(step.outputs[0])
    # `x + stop_gradient(sign(x) - x)` reads x besides its sign, but its value is the sign alone.
    if not signs or not all(_straight_through(step, value, signs, consumers) for step in later):
        return None
    return found.pop() if len(found) == 1 else None


def _decision(step: Step, value: Value, consumers: Consumers) -> bool | None:
    name = step.primitive
    if name in ("sign", "ge", "gt", "le", "lt"):
        return _comparison(name, step.inputs, value)
    if name in ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"):
        return _decision_in_call(step.equation, step.inputs.index(value))
    clips = name == "clamp" and _straddles_zero(step.inputs[0], step.inputs[2]) and step.inputs[1] == value
    if clips or name in SIGN_KEEPING:
        output = step.outputs[0]
        return None if output.number in consumers.returned else _decided(output, consumers)
    return None


def _comparison(name: str, inputs: tuple[Value, ...], value: Value) -> bool | None:
    if name == "sign":
        return True
    left, right = inputs
    other = right if left.number == value.number else left
    if other.range != (0.0, 0.0) or other.data or other.params:
        return None
    # Read as `value OP 0`: with `ge` and `lt` zero goes with the positive values.
    mirrored = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt"}
    return (name if left.number == value.number else mirrored[name]) in ("ge", "lt")


def _straddles_zero(low: Value, high: Value) -> bool:
    return low.range.high is not None and high.range.low is not None and low.range.high < 0 < high.range.low


def _straight_through(step: Step, value: Value, signs: list[Value], consumers: Consumers) -> bool:
    """Whether a step is the difference or the sum in `x + stop_gradient(sign(x) - x)`."""
    numbers = {sign.number for sign in signs}
    if step.primitive == "sub" and step.inputs[1] == value and step.inputs[0].number in numbers:
        readers = consumers.of(step.outputs[0])
        return all(reader.primitive == "stop_gradient" for reader in readers)
    if step.primitive == "add" and value in step.inputs:
        other = step.inputs[1] if step.inputs[0] == value else step.inputs[0]
        return any(
            stop.primitive == "stop_gradient" and stop.outputs[0] == other
            for sign in signs
            for difference in consumers.of(sign)
            if difference.primitive == "sub" and difference.inputs[1] == value
            for stop in consumers.of(difference.outputs[0])
        )
    return False


def _decision_in_call(equation: core.JaxprEqn, position: int) -> bool | None:
    """Whether a call with a gradient rule reads nothing of its input but the sign."""
    jaxpr, consts = inner_jaxpr(equation)
    inner = flatten(core.ClosedJaxpr(jaxpr, list(consts)), 0)
    entry = inner.inputs[position]
    if entry.number in {value.number for value in inner.outputs}:
        return None
    return _decided(entry, Consumers(inner))

