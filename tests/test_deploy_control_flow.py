"""Products inside loops, branches and transformations: on the macros, each turn a read of its own, counted as they run.

References are plain JAX, the same network with its loops written out, and a plain NumPy loop.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

import amsim
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


@pytest.mark.parametrize("macro", [circuits.Exact(), IDEAL], ids=["Exact", "ADC"])
def test_ideal_macros_equal_plain_jax_inside_every_construct(macro: circuits.Macro) -> None:
    names = list(CONSTRUCTS)
    chip = amsim.deploy(all_of(names), each(names), macro)
    close(chip(X), jax.jit(all_of(names))(each(names), X))
    rows: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for row in chip.sites():
        construct, _, site = row.name.partition(".")
        rows[construct].append((site, row.inside))
        assert (row.macro, row.reason) == (type(macro).__name__, "")
    assert rows == {name: sites for name, (_, sites) in CONSTRUCTS.items()}


COMPARATOR = ["scan", "stacked layers", "scan in scan", "carried weight", "cond in scan", "checkpoint"]


def test_neurons_inside_a_body_are_fused() -> None:
    macro = circuits.SwitchedCapacitor(rows=16, adc=None, bias_dac=circuits.BiasDac(bits=6)).ideal()
    chip = amsim.deploy(all_of(COMPARATOR), each(COMPARATOR), macro)
    close(chip(X), jax.jit(all_of(COMPARATOR))(each(COMPARATOR), X))
    assert {row.readout for row in chip.sites()} == {"comparator"}


def test_a_neuron_whose_sign_is_outside_its_body_is_a_number() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        return decision(jax.lax.map(lambda one: decision(one) @ decision(p["cell"]["w"]), x))

    macro = circuits.SwitchedCapacitor(rows=16, adc=None)
    with pytest.raises(amsim.DeploymentError, match="returned as a number"):
        amsim.deploy(function, PARAMS, macro).sites(X)


def loss(function: Function, params: Any, x: jax.Array) -> jax.Array:
    leaves = [leaf.ravel() for leaf in jax.tree.leaves(function(params, x))]
    return jnp.sum(jnp.sin(jnp.concatenate([leaf + jnp.arange(leaf.size, dtype=leaf.dtype) for leaf in leaves])))


def test_gradients_are_those_of_plain_jax() -> None:
    def smooth(params: Any, x: jax.Array) -> Any:
        """Without signs, whose slopes depend on the last bit of a sum."""
        step = lambda h, own: (jnp.tanh(h @ own["w"] + own["b"][None]), h)  # noqa: E731
        last, states = jax.lax.scan(step, x, params["stack"])
        each_row = jax.lax.map(lambda one: jnp.tanh(one @ params["cell"]["w"]), last)
        either = jax.lax.cond(jnp.sum(x) > 0, lambda x: x @ params["cell"]["u"], lambda x: jnp.sin(x), each_row)
        return jax.checkpoint(lambda x: jax.lax.fori_loop(0, 3, lambda i, h: jnp.tanh(h @ params["cell"]["u"]), x))(
            either + states[1]
        )

    want = jax.jit(jax.grad(lambda p, x: loss(smooth, p, x), (0, 1)))(PARAMS, X)
    chip = amsim.deploy(smooth, PARAMS, circuits.Exact())
    got = jax.jit(jax.grad(lambda c, x: loss(lambda c, x: c(x), c, x), (0, 1), allow_int=True))(chip, X)
    close((got[0].params, got[1]), want)
    precise = circuits.MultiPrecision(weight_bits=16, input_bits=16, accumulator_bits=48)
    chip = amsim.deploy(smooth, PARAMS, precise)
    close(jax.grad(lambda x: loss(lambda _, x: chip(x), None, x))(X), want[1], 2e-3)


def test_surrogate_gradients_through_loops_are_those_of_plain_jax() -> None:
    names = ["stacked layers", "scan in scan", "switch", "custom rules in scan"]
    want = jax.jit(jax.grad(lambda p: loss(all_of(names), p, X)))(each(names))
    chip = amsim.deploy(all_of(names), each(names), circuits.DigitalBinary())
    got = jax.jit(jax.grad(lambda c: loss(lambda c, x: c(x), c, X)))(chip).params
    close(got, want, 1e-4)


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


def numpy_lstm(bits: int, frames: np.ndarray) -> np.ndarray:
    """The same in plain NumPy, operands rounded to words of `bits` bits; 0 is no rounding."""
    own = {name: np.asarray(leaf, np.float64) for name, leaf in LSTM["lstm"].items()}
    top = 2 ** (bits - 1) - 1

    def words(values: np.ndarray, axis: int) -> np.ndarray:
        if not bits:
            return values
        largest = np.max(np.abs(values), axis=axis, keepdims=True)
        scale = np.where(largest > 0, largest, 1.0) / top
        return np.round(values / scale) * scale

    def sigmoid(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    hidden = memory = np.zeros((frames.shape[0], UNITS))
    found = []
    for turn in range(frames.shape[1]):
        gates = words(frames[:, turn], 1) @ words(own["w_in"], 0)
        gates = gates + words(hidden, 1) @ words(own["w_hidden"], 0) + own["b"]
        i, f, g, o = np.split(gates, 4, axis=1)
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(memory)
        found.append(hidden)
    return np.stack(found, 1)


@pytest.mark.parametrize(
    ("macro", "bits", "tolerance"),
    [
        (circuits.Exact(), 0, 1e-5),
        # A value near half a step may round either way in float32.
        (DIGITAL, 8, 6e-3),
        (circuits.SwitchedCapacitor(rows=64, columns=8, weight_bits=4, input_bits=4).ideal(), 4, 1e-1),
    ],
    ids=["Exact", "digital 8-bit", "ADC 4-bit"],
)
def test_an_lstm_equals_a_plain_loop_at_the_same_word_lengths(
    macro: circuits.Macro, bits: int, tolerance: float
) -> None:
    chip = amsim.deploy(lstm, LSTM, macro)
    got = chip(FRAMES)
    np.testing.assert_allclose(got, numpy_lstm(bits, np.asarray(FRAMES, np.float64)), atol=tolerance)
    written_out = amsim.deploy(lambda p, x: lstm(p, x, loop=False), LSTM, macro)
    np.testing.assert_allclose(got, written_out(FRAMES), atol=tolerance)
    rows = chip.sites()
    assert [(row.name, row.rows, row.columns, row.inside) for row in rows] == [
        ("lstm.w_in", UNITS, 4 * UNITS, "scan of 5"),
        ("lstm.w_hidden", UNITS, 4 * UNITS, "scan of 5"),
    ]


def test_jit_and_vmap_of_a_chip_with_loops_equal_a_loop() -> None:
    names = ["while", "cond", "stacked layers"]
    chip = amsim.deploy(all_of(names), each(names), IDEAL)
    close(jax.jit(chip)(X), chip(X))
    several = jnp.stack([X, -X, 2 * X[::-1]])
    got = jax.vmap(chip)(several)
    for index, one in enumerate(several):
        close(jax.tree.map(lambda leaf, i=index: leaf[i], got), chip(one))


def test_each_turn_is_a_read_of_its_own() -> None:
    inputs = jnp.where(X[:1] >= 0, 1.0, -1.0)

    def function(p: Any, x: jax.Array) -> Any:
        w = p["cell"]["w"]
        again = lambda t, _: (t, x @ w)  # noqa: E731
        nested = jax.lax.scan(lambda t, _: jax.lax.scan(again, t, None, 3), 0.0, None, 3)[1]
        found = jnp.zeros((3, 1, UNITS))
        write = lambda s: (s[0] + 1, jax.lax.dynamic_update_index_in_dim(s[1], x @ w, s[0], 0))  # noqa: E731
        _, counted = jax.lax.while_loop(lambda s: s[0] < 3, write, (0, found))
        chosen = jax.lax.map(lambda i: jax.lax.cond(i < 9, lambda x: x @ w, lambda x: x, x), jnp.arange(3))
        return jnp.concatenate([nested.reshape(9, UNITS), counted[:, 0], chosen[:, 0]])

    chip = amsim.deploy(function, PARAMS, NOISY, key=jax.random.key(0))
    silent, one, two, again = (chip(inputs, key=k) for k in (None, *map(jax.random.key, (1, 2, 1))))
    # The die is the same at every turn.
    assert len(np.unique(np.asarray(silent), axis=0)) == 1
    assert not np.array_equal(silent[0], (inputs @ PARAMS["cell"]["w"])[0])
    np.testing.assert_array_equal(one, again)
    assert len(np.unique(np.asarray(jnp.concatenate([one, two])), axis=0)) == 30


def test_noise_of_turns_is_independent() -> None:
    turns = 400

    def function(p: Any, x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda t, _: (t, x @ p["w"]), 0.0, None, turns)[1][:, 0]

    params = {"w": jnp.ones((16, 8))}
    macro = circuits.SwitchedCapacitor(rows=16, columns=8, unit_capacitance=1e-18)
    reads = np.asarray(amsim.deploy(function, params, macro)(jnp.ones((1, 16)) * 1.0, key=jax.random.key(3)))
    reads = (reads - reads.mean(0)) / reads.std(0)
    assert np.all(np.isfinite(reads))
    neighbours = np.mean(reads[1:] * reads[:-1], axis=0)
    # Standard error of a correlation of as many pairs.
    assert np.all(np.abs(neighbours) < 4 / np.sqrt(turns))


def equations(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        total += 1
        for parameter in equation.params.values():
            for item in parameter if isinstance(parameter, tuple | list) else (parameter,):
                inner = item.jaxpr if isinstance(item, core.ClosedJaxpr) else item
                total += equations(inner) if isinstance(inner, core.Jaxpr) else 0
    return total


def size(length: int | None, bits: int, rows: int) -> int:
    """Equations of a chip with a scan of this length, or without one."""

    def function(p: Any, x: jax.Array) -> jax.Array:
        if length is None:
            return x @ p["w"]
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, p["w"])[0]

    macro = circuits.SwitchedCapacitor(rows=rows, columns=8, weight_bits=bits, input_bits=bits)
    params = {"w": jnp.zeros((16, 16) if length is None else (length, 16, 16))}
    chip = amsim.deploy(function, params, macro)
    return equations(jax.make_jaxpr(lambda x, key: chip(x, key=key))(jnp.ones((2, 16)), jax.random.key(0)).jaxpr)


def test_the_program_does_not_grow_with_turns_or_tiles() -> None:
    assert size(3, 4, 8) == size(50, 4, 8) == size(3, 4, 4)
    # Bits are taken apart one by one, with as many equations inside a loop as outside.
    assert size(3, 8, 8) - size(3, 4, 8) == size(None, 8, 8) - size(None, 4, 8)


def total(cost: Any) -> dict[str, float]:
    return {name: float(cost[name].sum()) for name in ("energy", "latency", "macs")}


@pytest.mark.parametrize("macro", [circuits.DigitalBinary(rows=16, columns=8), IDEAL], ids=["digital", "ADC"])
def test_stacked_layers_cost_as_the_same_layers_written_out(macro: circuits.Macro) -> None:
    looped = amsim.deploy(stacked_layers, PARAMS, macro).cost(X)
    plain = amsim.deploy(unrolled_stack, UNROLLED, macro).cost(X)
    assert looped["macs"].values.tolist() == [TURNS * UNITS**2]
    for name, want in total(plain).items():
        # Activity is averaged over the layers, in which energy is not quite linear.
        np.testing.assert_allclose(total(looped)[name], want, rtol=2e-2 if name == "energy" else 1e-6, err_msg=name)
    for name in ("weight_memory", "activation_memory", "dram", "control", "leakage"):
        got, want = (float(one["energy"].sel(component=name).sum()) for one in (looped, plain))
        np.testing.assert_allclose(got, want, rtol=1e-5, err_msg=name)
    workload = amsim.deploy(stacked_layers, PARAMS, macro).workload(X)
    assert workload.weight_words == TURNS * UNITS**2
    by_index = amsim.deploy(stacked_by_index, PARAMS, macro).cost(X)
    np.testing.assert_allclose(total(by_index)["energy"], total(looped)["energy"], rtol=1e-6)


@pytest.mark.parametrize("columns", [8, 64], ids=["weights loaded again", "weights stay"])
def test_a_recurrent_network_costs_as_its_turns_written_out(columns: int) -> None:
    macro = circuits.DigitalBinary(rows=16, columns=columns, weight_bits=8, input_bits=8)
    looped = amsim.deploy(lstm, LSTM, macro)
    plain = amsim.deploy(lambda p, x: lstm(p, x, loop=False), LSTM, macro)
    got, want = total(looped.cost(FRAMES)), total(plain.cost(FRAMES))
    assert got["macs"] == TURNS * 2 * UNITS * 4 * UNITS
    np.testing.assert_allclose(got["macs"], want["macs"])
    np.testing.assert_allclose(got["latency"], want["latency"], rtol=1e-6)
    np.testing.assert_allclose(got["energy"], want["energy"], rtol=2e-2)
    workload = looped.workload(FRAMES)
    assert [layer.repeats for layer in workload.layers] == [TURNS, TURNS]
    assert workload.weight_words == plain.workload(FRAMES).weight_words == 2 * UNITS * 4 * UNITS
    # Reports are those of the turns, averaged.
    each_turn = [layer.activity for layer in plain.workload(FRAMES).layers]
    for name, value in workload.layers[0].activity.items():
        mean = np.mean([activity[name] for activity in each_turn[::2]])
        np.testing.assert_allclose(value, mean, rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_loop_through_the_batch_costs_as_the_batch() -> None:
    looped = amsim.deploy(mapped, PARAMS, IDEAL).cost(X)
    at_once = amsim.deploy(lambda p, x: cell(p["cell"], decision(x)), PARAMS, IDEAL).cost(X)
    for name, want in total(at_once).items():
        np.testing.assert_allclose(total(looped)[name], want, rtol=1e-5, err_msg=name)
    one_by_one = amsim.deploy(vmap_of_scan, PARAMS, IDEAL).cost(X)
    assert one_by_one["macs"].sel(site="cell.w") == TURNS * UNITS**2


def test_what_the_data_decide_is_counted_as_it_runs() -> None:
    def function(p: Any, x: jax.Array) -> Any:
        going = lambda s: (s[0] < 100) & (jnp.sum(s[1] @ p["cell"]["u"]) > -1e9) & (jnp.sum(s[2]) < 6.5)  # noqa: E731
        add = lambda s: (s[0] + 1, jnp.tanh(s[1] @ p["cell"]["w"]), s[2] + 1.0)  # noqa: E731
        looped = jax.lax.while_loop(going, add, (0, x, jnp.zeros(())))[1]
        taken = jax.lax.cond(x[0, 0] > 0, lambda x: x @ p["kernel"]["a"], lambda x: x @ p["kernel"]["b"], looped)
        turn = lambda t, i: (jax.lax.cond(i % 3 == 0, lambda t: t @ p["stack"]["w"], lambda t: t, t), None)  # noqa: E731
        return jax.lax.scan(turn, taken, jnp.arange(7))[0]

    square = PARAMS["cell"]["w"]
    params = {"cell": PARAMS["cell"], "kernel": {"a": square, "b": square.T}, "stack": {"w": square}}
    macro = circuits.DigitalBinary(rows=16, columns=8)
    chip = amsim.deploy(function, params, macro)
    for inputs, branch in ((X.at[0, 0].set(1.0), "a"), (X.at[0, 0].set(-1.0), "b")):
        cost = chip.cost(inputs)
        macs = {str(site): float(cost["macs"].sel(site=site)) / UNITS**2 for site in cost["site"].values}
        want = {"cell.u": 8, "cell.w": 7, "kernel.a": branch == "a", "kernel.b": branch == "b", "stack": 3}
        assert macs == {name: float(times) for name, times in want.items()}
        assert bool(np.isfinite(cost["energy"]).all())
        idle = cost["energy"].sel(site="kernel.b" if branch == "a" else "kernel.a", component="mac")
        assert float(idle) == 0
        np.testing.assert_allclose(float(chip.energy(inputs)), float(cost["energy"].sum()), rtol=1e-6)
    slope = jax.grad(lambda supply: amsim.deploy(scan, PARAMS, dataclasses.replace(macro, supply=supply)).energy(X))(
        jnp.asarray(0.7)
    )
    assert np.isfinite(slope)
    assert slope > 0


def test_members_of_a_batch_leave_a_loop_at_turns_of_their_own() -> None:
    def one(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        going = lambda s: jnp.sum((s[1] @ decision(p["cell"]["u"])) ** 2) > 4.0  # noqa: E731
        turn = lambda s: (s[0] + 1, 0.2 * s[1] @ decision(p["cell"]["w"]))  # noqa: E731
        return jax.lax.while_loop(going, turn, (jnp.zeros((), int), x))

    def function(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.vmap(lambda row: one(p, row))(x)

    scale = jnp.asarray([[0.1], [1.0], [3.0], [30.0]])
    found = amsim.deploy(function, PARAMS, circuits.Exact())(scale * X)
    want = [one(PARAMS, row) for row in scale * X]
    turns = [int(row[0]) for row in want]
    assert len(set(turns)) > 2
    np.testing.assert_array_equal(found[0], turns)
    np.testing.assert_allclose(found[1], jnp.stack([row[1] for row in want]), rtol=1e-5, atol=1e-6)
    # Of each inference its own turns count, and one more answer of the condition.
    macs = amsim.deploy(function, PARAMS, DIGITAL).cost(scale * X)["macs"] / UNITS**2
    np.testing.assert_allclose(macs.sel(site="cell.w"), np.mean(turns), rtol=0, atol=0.5 / UNITS**2)
    np.testing.assert_allclose(macs.sel(site="cell.u"), np.mean(turns) + 1, rtol=0, atol=0.5 / UNITS**2)


def test_one_weight_inside_and_outside_is_stored_once() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        inside = jax.lax.scan(lambda h, _: (jnp.tanh(h @ p["cell"]["w"]), None), x, None, 3)[0]
        return jax.lax.cond(x[0, 0] > 0, lambda h: h @ p["cell"]["w"], lambda h: 2 * h @ p["cell"]["w"], inside)

    workload = amsim.deploy(function, PARAMS, IDEAL).workload(X)
    assert [layer.name for layer in workload.layers] == ["cell", "cell#2", "cell#3"]
    assert workload.weight_words == UNITS**2


def test_a_chip_inside_a_chip_stays_on_its_own_macros() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        inner = amsim.deploy(lambda p, x: decision(x) @ decision(p), p["cell"]["w"], circuits.DigitalBinary())
        return jax.lax.scan(lambda h, _: (decision(inner(h)) @ p["cell"]["u"], None), x, None, 2)[0]

    chip = amsim.deploy(function, PARAMS, circuits.Exact())
    close(chip(X), function(PARAMS, X))
    assert [(row.macro, row.inside) for row in chip.sites()] == [("-", "scan of 2"), ("Exact", "scan of 2")]
    assert chip.sites()[0].reason == "stays digital: it is inside a chip of its own"


def test_rules_reach_into_loops_and_what_they_leave_out_stays_digital() -> None:
    rules = {"cell.u": circuits.DigitalBinary(), "head": circuits.Exact()}
    chip = amsim.deploy(lambda p, x: scan_over_frames(p, x)[0] @ p["head"], PARAMS | {"head": X.T}, rules)
    chip(X)
    assert [(row.name, row.macro, row.reason) for row in chip.sites()] == [
        ("cell.w", "-", "stays digital: no rule matches its name"),
        ("cell.u", "DigitalBinary", ""),
        ("head", "Exact", ""),
    ]


def test_a_weight_chosen_for_each_member_of_a_batch_stays_digital_and_is_listed() -> None:
    chip = amsim.deploy(lambda p, x: jax.vmap(lambda one: branch(p, one[None])[0])(x), PARAMS, IDEAL)
    close(chip(X), jax.vmap(lambda one: branch(PARAMS, one[None])[0])(X))
    (row,) = chip.sites()
    assert (row.name, row.macro) == ("cell", "-")
    assert "data decide which weight" in row.reason


def test_float64_loops_keep_their_types() -> None:
    with jax.enable_x64(True):
        params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (PARAMS, X))
        names = ["scan", "while", "switch"]
        macro = circuits.SwitchedCapacitor(rows=16, columns=8).ideal()
        chip = amsim.deploy(all_of(names), dict.fromkeys(names, params), macro)
        want = jax.jit(all_of(names))(dict.fromkeys(names, params), x)
        got = chip(x, key=jax.random.key(0))
        assert jax.tree.map(lambda leaf: leaf.dtype, got) == jax.tree.map(lambda leaf: leaf.dtype, want)
        close(got, want, 1e-12)
        assert np.isfinite(float(chip.energy(x)))


def test_experts_chosen_by_the_data_stay_digital_and_are_listed() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        expert = jnp.tanh(p["stack"]["w"][jnp.argmax(x[:, :TURNS], axis=1)])
        return jnp.einsum("bi,bij->bj", x @ p["cell"]["u"], expert)

    chip = amsim.deploy(function, PARAMS, circuits.Exact())
    close(chip(X), function(PARAMS, X))
    assert [(row.name, row.macro) for row in chip.sites()] == [("cell", "Exact"), ("stack", "-")]
    assert "data decide which weight" in chip.sites()[1].reason


def test_a_weight_that_a_loop_with_data_makes_stays_digital_and_is_listed() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        def step(state: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
            hidden, weight = state
            return (jnp.tanh(hidden @ weight), weight / jnp.linalg.norm(weight)), None

        hidden, weight = jax.lax.scan(step, (x, p["cell"]["w"]), None, 3)[0]
        return hidden @ (2 * weight)

    chip = amsim.deploy(function, PARAMS, circuits.Exact())
    close(chip(X), function(PARAMS, X))
    assert [(row.name, row.macro, row.inside) for row in chip.sites()] == [
        ("cell", "Exact", "scan of 3"),
        ("cell#2", "-", ""),
    ]
    # The weight is another one at each turn.
    assert chip.workload(X).weight_words == 3 * UNITS**2
