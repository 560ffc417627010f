"""ONNX operators with a state: plain recurrent layer, LSTM, GRU."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.foreign.operators.registry import Strings, Value, known, operator
from amsim.noise.loops import scan

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": lambda x: jnp.maximum(x, 0), "softsign": jax.nn.soft_sign,
    "softplus": jax.nn.softplus,
}  # fmt: skip
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


class _Direction(NamedTuple):
    """Weights of one direction, inputs first, and its activations."""

    weight: Array
    recurrence: Array
    input_bias: Array
    state_bias: Array
    peepholes: Array
    activations: list[Callable[[Array], Array]]


_Step = Callable[[_Direction, Any, Array], Any]


@operator("RNN", settings=(4,))
def plain_recurrent(
    x: Value,
    weight: Value,
    recurrence: Value,
    bias: Value | None = None,
    lengths: Value | None = None,
    initial: Value | None = None,
    *,
    activations: Strings = (),
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
) -> tuple[Value, ...]:
    """Plain recurrent layer: h = f(W x + R h + b)."""

    def step(of: _Direction, state: tuple[Array, ...], fed: Array) -> tuple[Array, ...]:
        return (of.activations[0](fed + state[0] @ of.recurrence + of.state_bias),)

    names = activations or ("Tanh",) * 2
    return _run(step, 1, names, x, (weight, recurrence, bias, None), lengths, (initial,), direction, layout)


@operator("LSTM", settings=(4,))
def long_short_term_memory(
    x: Value,
    weight: Value,
    recurrence: Value,
    bias: Value | None = None,
    lengths: Value | None = None,
    initial: Value | None = None,
    initial_cell: Value | None = None,
    peepholes: Value | None = None,
    *,
    activations: Strings = (),
    direction: str = "forward",
    hidden_size: int = 0,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[Value, ...]:
    """LSTM with gates in the order input, output, forget, cell."""
    if input_forget:
        raise ValueError("it couples its input and forget gates")

    def step(of: _Direction, state: tuple[Array, ...], fed: Array) -> tuple[Array, ...]:
        (hidden, cell), (gate, candidate, output) = state, of.activations
        look_in, look_out, look_forget = jnp.split(of.peepholes, 3)
        into, out, forget, new = jnp.split(fed + hidden @ of.recurrence + of.state_bias, 4, axis=-1)
        kept = gate(forget + _row(look_forget) * cell) * cell
        cell = kept + gate(into + _row(look_in) * cell) * candidate(new)
        return gate(out + _row(look_out) * cell) * output(cell), cell

    names = activations or ("Sigmoid", "Tanh", "Tanh") * 2
    weights = (weight, recurrence, bias, peepholes)
    return _run(step, 3, names, x, weights, lengths, (initial, initial_cell), direction, layout)


@operator("GRU", settings=(4,))
def gated_recurrent_unit(
    x: Value,
    weight: Value,
    recurrence: Value,
    bias: Value | None = None,
    lengths: Value | None = None,
    initial: Value | None = None,
    *,
    activations: Strings = (),
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Value, ...]:
    """GRU with gates in the order update, reset, candidate."""

    def step(of: _Direction, state: tuple[Array, ...], fed: Array) -> tuple[Array, ...]:
        (hidden,), (gate, candidate) = state, of.activations
        units = hidden.shape[-1]
        gates, last = of.recurrence[:, : 2 * units], of.recurrence[:, 2 * units :]
        of_gates, of_last = of.state_bias[:, : 2 * units], of.state_bias[:, 2 * units :]
        update, reset = jnp.split(gate(fed[:, : 2 * units] + hidden @ gates + of_gates), 2, axis=-1)
        past = reset * (hidden @ last + of_last) if linear_before_reset else (reset * hidden) @ last + of_last
        return ((1 - update) * candidate(fed[:, 2 * units :] + past) + update * hidden,)

    names = activations or ("Sigmoid", "Tanh") * 2
    return _run(step, 2, names, x, (weight, recurrence, bias, None), lengths, (initial,), direction, layout)


def _row(values: Array) -> Array:
    return values.reshape(1, -1)


def _run(
    step: _Step,
    functions: int,
    names: Strings,
    x: Value,
    weights: tuple[Value | None, ...],
    lengths: Value | None,
    initial: tuple[Value | None, ...],
    direction: str,
    layout: int,
) -> tuple[Value, ...]:
    """All states over time, and the last ones, of each direction."""
    x = jnp.swapaxes(jnp.asarray(x), 0, 1) if layout else jnp.asarray(x)
    if direction not in _DIRECTIONS or x.ndim != 3:
        raise ValueError(f"it runs over an array of shape {x.shape} in direction {direction!r}")
    if lengths is not None and np.any(known("sequence_lens", lengths) != x.shape[0]):
        raise ValueError("it has sequences shorter than its input")
    turns = _DIRECTIONS[direction]
    directions = _directions(weights, functions, names, len(turns), x.dtype)
    states = []
    for place, (turned, of) in enumerate(zip(turns, directions, strict=True)):
        zeros = jnp.zeros((x.shape[1], of.recurrence.shape[0]), x.dtype)
        start = tuple(zeros if one is None else jnp.asarray(one)[:, place] if layout else one[place] for one in initial)
        # The part that needs no state, at all times at once.
        fed = x @ of.weight + of.input_bias.reshape(1, 1, -1)

        def advance(state: Any, now: Array, of: _Direction = of) -> tuple[Any, Array]:
            state = step(of, state, now)
            return state, state[0]

        states.append(scan(advance, tuple(map(jnp.asarray, start)), fed, reverse=turned))
    over_time = jnp.stack([hidden for _, hidden in states], axis=1)
    last = [jnp.stack([one[place] for one, _ in states]) for place in range(len(initial))]
    if layout:
        return jnp.transpose(over_time, (2, 0, 1, 3)), *(jnp.swapaxes(one, 0, 1) for one in last)
    return over_time, *last


def _directions(
    weights: tuple[Value | None, ...], functions: int, names: Strings, count: int, dtype: Any
) -> list[_Direction]:
    weight, recurrence, bias, peepholes = (None if one is None else jnp.asarray(one) for one in weights)
    if weight is None or recurrence is None or weight.ndim != 3 or recurrence.ndim != 3 or len(weight) != count:
        raise ValueError(f"its weights do not have {count} directions")
    if len(names) < count * functions:
        raise ValueError(f"it has activations {names}")
    unknown = [name for name in names if name.lower() not in _ACTIVATIONS]
    if unknown:
        raise ValueError(f"its activation {unknown[0]!r} is not supported")
    found, (gates, units) = [], recurrence.shape[1:]
    for place in range(count):
        both = jnp.zeros(2 * gates, dtype) if bias is None else bias[place]
        looks = jnp.zeros(3 * units, dtype) if peepholes is None else peepholes[place]
        chosen = [_ACTIVATIONS[name.lower()] for name in names[place * functions : (place + 1) * functions]]
        parts = weight[place].T, recurrence[place].T, both[:gates], _row(both[gates:]), looks
        found.append(_Direction(*parts, chosen))
    return found
