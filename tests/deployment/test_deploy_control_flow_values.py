"""Networks with loops and branches on a chip: values, derivatives and reads.

References are plain JAX, the same network with its loops written out, and a plain NumPy loop.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from control_flow_networks import (
    CONSTRUCTS,
    DIGITAL,
    FRAMES,
    IDEAL,
    LSTM,
    NOISY,
    PARAMS,
    UNITS,
    Function,
    X,
    all_of,
    close,
    each,
    lstm,
)

import amsim
from amsim import circuits
from amsim.noise.gradients import decision


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
