"""Networks whose products stand inside loops and branches, and the same with their loops written out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amsim import circuits
from amsim.noise.gradients import decision

BATCH, UNITS, TURNS = 4, 6, 5
IDEAL = circuits.SwitchedCapacitor(rows=16, columns=8).ideal()
NOISY = circuits.SwitchedCapacitor(rows=16, columns=8, unit_capacitance=1e-18)
DIGITAL = circuits.DigitalBinary(rows=16, columns=8, weight_bits=8, input_bits=8)
Function = Callable[[Any, jax.Array], Any]


def draw(seed: int, *shape: int) -> jax.Array:
    return 0.7 * jax.random.normal(jax.random.key(seed), shape)


PARAMS = {
    "cell": {"w": draw(1, UNITS, UNITS), "u": draw(2, UNITS, UNITS), "b": draw(3, UNITS) + 0.3},
    "stack": {"w": draw(4, TURNS, UNITS, UNITS), "b": draw(5, TURNS, UNITS) + 0.3},
    "pair": {"w": draw(6, 2, 3, UNITS, UNITS)},
    "kernel": {"w": draw(8, 3, 2, 2)},
}
X = draw(7, BATCH, UNITS)
FRAMES = draw(9, BATCH, TURNS, UNITS)


def cell(own: Any, hidden: jax.Array, inputs: jax.Array | None = None) -> jax.Array:
    """One recurrent step with binary weights and a binary state: exact on any ideal macro."""
    sums = hidden @ decision(own["w"]) + own["b"][None]
    return decision(sums if inputs is None else sums + decision(inputs) @ decision(own["u"]), "tanh")


def scan(p: Any, x: jax.Array) -> Any:
    return jax.lax.scan(lambda h, _: (cell(p["cell"], h), jnp.sum(h)), decision(x), None, TURNS)


def scan_over_frames(p: Any, x: jax.Array) -> Any:
    start = jnp.zeros((BATCH, UNITS))
    return jax.lax.scan(lambda h, f: (cell(p["cell"], h, f), h), start, FRAMES.swapaxes(0, 1) * x[None], reverse=True)


def stacked_layers(p: Any, x: jax.Array) -> Any:
    return jax.lax.scan(lambda h, own: (cell(own, h), None), decision(x), p["stack"])[0]


def stacked_by_index(p: Any, x: jax.Array) -> Any:
    stack = p["stack"]
    return jax.lax.fori_loop(
        0, TURNS, lambda i, h: cell(jax.tree.map(lambda leaf: leaf[i], stack), h), decision(x), unroll=2
    )


def scan_in_scan(p: Any, x: jax.Array) -> Any:
    def outer(h: jax.Array, group: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.lax.scan(lambda h, w: (decision(h @ decision(w) + 0.5, "tanh"), h[0]), h, group)

    return jax.lax.scan(outer, decision(x), p["pair"]["w"])


def carried_weight(p: Any, x: jax.Array) -> Any:
    def step(state: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
        hidden, weight = state
        return (decision(hidden @ decision(weight) + 0.5, "tanh"), weight), None

    return jax.lax.scan(step, (decision(x), p["cell"]["w"]), None, TURNS)[0][0]


def while_loop(p: Any, x: jax.Array) -> Any:
    def going(state: Any) -> jax.Array:
        return (state[0] < TURNS) & (jnp.sum(decision(x[:1]) @ decision(p["cell"]["u"])) < 100.0)

    return jax.lax.while_loop(going, lambda s: (s[0] + 1, cell(p["cell"], s[1])), (0, decision(x)))[1]


def branch(p: Any, x: jax.Array) -> Any:
    return jax.lax.cond(x[0, 0] > 0, lambda x: cell(p["cell"], decision(x)), lambda x: x, x)


def switch(p: Any, x: jax.Array) -> Any:
    def several(index: jax.Array) -> jax.Array:
        other = {"w": p["cell"]["u"], "b": p["cell"]["b"]}
        choices = [lambda h: cell(p["cell"], h), lambda h: cell(other, h), lambda h: 2 * h]
        return jax.lax.switch(index, choices, decision(x))

    return jax.lax.map(several, jnp.arange(4))


def branch_in_scan(p: Any, x: jax.Array) -> Any:
    def step(h: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        return jax.lax.cond(i % 2 == 0, lambda h: cell(p["cell"], h), lambda h: -h, h), None

    return jax.lax.scan(step, decision(x), jnp.arange(TURNS))[0]


def mapped(p: Any, x: jax.Array) -> Any:
    return jax.lax.map(lambda one: cell(p["cell"], decision(one)[None])[0], x)


def vmap_of_scan(p: Any, x: jax.Array) -> Any:
    def one(frames: jax.Array, start: jax.Array) -> jax.Array:
        step = lambda h, f: (cell(p["cell"], h[None], (f * start)[None])[0], h)  # noqa: E731
        return jax.lax.scan(step, decision(start), frames)[1]

    return jax.vmap(one)(FRAMES, x)


def checkpointed_scan(p: Any, x: jax.Array) -> Any:
    step = jax.checkpoint(lambda h, _: (cell(p["cell"], h), None))
    return jax.checkpoint(lambda x: jax.lax.scan(step, decision(x), None, TURNS)[0])(x)


def custom_rule_in_scan(p: Any, x: jax.Array) -> Any:
    @jax.custom_vjp
    def product(w: jax.Array, h: jax.Array) -> jax.Array:
        return h @ w

    product.defvjp(lambda w, h: (h @ w, (w, h)), lambda kept, g: (kept[1].T @ g, g @ kept[0].T))

    @jax.custom_jvp
    def shifted(w: jax.Array, h: jax.Array) -> jax.Array:
        return product(w, h) + 0.5

    shifted.defjvps(lambda dw, out, w, h: h @ dw, lambda dh, out, w, h: dh @ w)
    return jax.lax.scan(lambda h, _: (decision(shifted(decision(p["cell"]["w"]), h)), None), decision(x), None, 3)[0]


def jitted_scan(p: Any, x: jax.Array) -> Any:
    return jax.jit(lambda p, x: jax.jit(stacked_layers)(p, x))(p, x)


def convolution_in_scan(p: Any, x: jax.Array) -> Any:
    def step(maps: jax.Array, _: None) -> tuple[jax.Array, None]:
        sums = jax.lax.conv_general_dilated(
            maps, decision(p["kernel"]["w"]), (1,), ((2, 0),), dimension_numbers=("NHC", "HIO", "NHC")
        )
        return decision(sums + 0.5, "tanh"), None

    return jax.lax.scan(step, decision(x.reshape(BATCH, 3, 2)), None, 3)[0]


CONSTRUCTS: dict[str, tuple[Function, list[tuple[str, str]]]] = {
    "scan": (scan, [("cell", "scan of 5")]),
    "scan over frames, backwards": (scan_over_frames, [("cell.w", "scan of 5"), ("cell.u", "scan of 5")]),
    "stacked layers": (stacked_layers, [("stack", "scan of 5")]),
    "stacked layers by index": (stacked_by_index, [("stack", "scan of 5")]),
    "scan in scan": (scan_in_scan, [("pair", "scan of 2, scan of 3")]),
    "carried weight": (carried_weight, [("cell", "scan of 5")]),
    "while": (while_loop, [("cell.u", "while"), ("cell.w", "while")]),
    "cond": (branch, [("cell", "cond")]),
    "switch": (switch, [("cell.w", "scan of 4, cond"), ("cell.u", "scan of 4, cond")]),
    "cond in scan": (branch_in_scan, [("cell", "scan of 5, cond")]),
    "map": (mapped, [("cell", "scan of 4")]),
    "vmap of scan": (vmap_of_scan, [("cell.w", "scan of 5"), ("cell.u", "scan of 5")]),
    "checkpoint": (checkpointed_scan, [("cell", "scan of 5")]),
    "custom rules in scan": (custom_rule_in_scan, [("cell", "scan of 3")]),
    "jit": (jitted_scan, [("stack", "scan of 5")]),
    "convolution in scan": (convolution_in_scan, [("kernel", "scan of 3")]),
}


def all_of(names: list[str]) -> Function:
    """One function of them all compiles in one go; each has parameters of its own."""
    return lambda params, x: {name: CONSTRUCTS[name][0](params[name], x) for name in names}


def each(names: list[str]) -> dict[str, Any]:
    return dict.fromkeys(names, PARAMS)


def close(got: Any, want: Any, tolerance: float = 1e-5) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


def unrolled_stack(p: Any, x: jax.Array) -> jax.Array:
    hidden = decision(x)
    for index in range(TURNS):
        hidden = cell(p[f"layer{index}"], hidden)
    return hidden


UNROLLED = {f"layer{i}": {"w": PARAMS["stack"]["w"][i], "b": PARAMS["stack"]["b"][i]} for i in range(TURNS)}


def lstm(p: Any, frames: jax.Array, loop: bool = True) -> jax.Array:
    """Hidden states of an LSTM, frames (batch, time, features)."""

    def step(state: tuple[jax.Array, jax.Array], inputs: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        hidden, memory = state
        gates = inputs @ p["lstm"]["w_in"] + hidden @ p["lstm"]["w_hidden"] + p["lstm"]["b"][None]
        i, f, g, o = jnp.split(gates, 4, axis=1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(memory)
        return (hidden, memory), hidden

    # Written out, a first state that depends on no input would make no product with one.
    state = (0 * frames[:, 0],) * 2
    if loop:
        return jax.lax.scan(step, state, frames.swapaxes(0, 1))[1].swapaxes(0, 1)
    found = []
    for turn in range(frames.shape[1]):
        state, hidden = step(state, frames[:, turn])
        found.append(hidden)
    return jnp.stack(found, 1)


LSTM = {"lstm": {"w_in": draw(11, UNITS, 4 * UNITS), "w_hidden": draw(12, UNITS, 4 * UNITS), "b": draw(13, 4 * UNITS)}}
