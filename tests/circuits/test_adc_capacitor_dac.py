"""Capacitor arrays of a SAR: charge balance solved as a linear system and a plain search loop are the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits.adc import (
    DacLevels,
    bottom_plate_levels,
    linearity,
    shared_line_levels,
    split_levels,
    transition_levels,
)

REFERENCE = 0.8
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def array(values, dtype=float):
    return jnp.asarray(values, dtype)


def an_array(generator, bits, spread):
    """Binary-weighted capacitors with errors of any size, dummy, parasitics, offset; some of them 0."""
    capacitors = 1e-15 * 2.0 ** np.arange(bits) * np.exp(spread * generator.standard_normal(bits))
    zero = generator.integers(0, 2, 4)
    return {
        "capacitors": capacitors,
        "dummy": 1e-15 * zero[0],
        "parasitic": 5e-15 * zero[1] * generator.uniform(),
        "low_parasitic": 2e-15 * zero[2] * generator.uniform(),
        "offset": 5e-3 * zero[3] * generator.standard_normal(),
        "bridge": 1e-15 * generator.uniform(0.5, 2),
        "line": 3e-14 * generator.uniform(0.1, 2),
        "low_bits": int(generator.choice([0, bits // 2, bits])),
    }


def levels_of(topology, given, dtype=float):
    capacitors, reference = array(given["capacitors"], dtype), array(REFERENCE, dtype)
    offset = {"comparator_offset": array(given["offset"], dtype)}
    if topology == "shared":
        return shared_line_levels(capacitors, reference, line=array(given["line"], dtype), **offset)
    offset |= {"dummy": array(given["dummy"], dtype), "parasitic": array(given["parasitic"], dtype)}
    if topology == "bottom":
        return bottom_plate_levels(capacitors, reference, **offset)
    bridge = {"bridge": array(given["bridge"], dtype), "low_parasitic": array(given["low_parasitic"], dtype)}
    return split_levels(capacitors, reference, low_bits=given["low_bits"], **bridge, **offset)


def keeps(topology, given, code, vin):
    """Whether the comparator keeps the trial `code`: node voltages from Kirchhoff's charge law."""
    capacitors = given["capacitors"]
    bits = (code >> np.arange(len(capacitors))) & 1
    if topology == "shared":
        total = given["line"] + capacitors.sum()
        return vin - REFERENCE * (bits * capacitors).sum() / total >= given["offset"]
    steps = capacitors * (REFERENCE * bits - vin)  # charge that each bottom plate couples, hold after sampling
    if topology == "bottom":
        total = capacitors.sum() + given["dummy"] + given["parasitic"]
        return (steps.sum() - given["dummy"] * vin) / total <= given["offset"]
    low = given["low_bits"]
    matrix = np.array(
        [
            [capacitors[low:].sum() + given["parasitic"] + given["bridge"], -given["bridge"]],
            [
                -given["bridge"],
                capacitors[:low].sum() + given["dummy"] + given["low_parasitic"] + given["bridge"],
            ],
        ]
    )
    charges = np.array([steps[low:].sum(), steps[:low].sum() - given["dummy"] * vin])
    return np.linalg.solve(matrix, charges)[0] <= given["offset"]


def search(topology, given, vin):
    code = 0
    for bit in reversed(range(len(given["capacitors"]))):
        if keeps(topology, given, code | 1 << bit, vin):
            code |= 1 << bit
    return code


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["bottom", "shared", "split"]), st.sampled_from([1, 3, 6]), st.sampled_from([0.0, 0.05, 0.8]), SEEDS
)
def test_transitions_are_those_of_a_plain_search(topology, bits, spread, seed):
    generator = np.random.default_rng(seed)
    given_ = an_array(generator, bits, spread)
    transitions = np.asarray(transition_levels(levels_of(topology, given_)))
    assert transitions.shape == (2**bits - 1,)
    assert np.all(np.diff(transitions) >= 0)
    inputs = np.sort(np.concatenate([generator.uniform(-0.1, 1.0, 40), transitions + 1e-9, transitions - 1e-9]))
    inputs = inputs[np.abs(inputs[:, None] - transitions).min(1) > 1e-12]
    codes = [search(topology, given_, vin) for vin in inputs]
    np.testing.assert_array_equal(codes, np.searchsorted(transitions, inputs, side="right"))


@pytest.mark.parametrize("topology", ["bottom", "shared", "split"])
def test_levels_of_codes_are_sums_of_weights(topology):
    dac = levels_of(topology, an_array(np.random.default_rng(3), 5, 0.1))
    codes = np.arange(32).reshape(4, 8)
    bits = (codes[..., None] >> np.arange(5)) & 1
    np.testing.assert_allclose(dac.level(jnp.asarray(codes)), bits @ np.asarray(dac.weights) + float(dac.offset), 1e-12)


@pytest.mark.parametrize("bits", [1, 2, 10, 14])
def test_ideal_array_is_linear(bits):
    dac = bottom_plate_levels(array(1e-15 * 2.0 ** np.arange(bits)), array(1.0), dummy=array(1e-15))
    transitions = np.asarray(transition_levels(dac))
    np.testing.assert_allclose(transitions, np.arange(1, 2**bits) / 2**bits, rtol=1e-12)
    found = linearity(jnp.asarray(transitions))
    np.testing.assert_allclose(found.inl, 0, atol=1e-9)
    assert found.dnl.shape == (2**bits - 2,)
    assert int(found.missing_codes) == 0
    assert bool(found.monotonic)
    assert np.isnan(found.lsb_fit) if bits == 1 else float(found.lsb_fit) == pytest.approx(2.0**-bits)


def test_a_weak_most_significant_bit_loses_codes():
    """With weights 1, 2 and 2 the levels are 1, 2, 3, 2, 3, 4, 5: the search clips those of codes 3 and 4 at 2."""
    dac = DacLevels(array([1.0, 2.0, 2.0]), array(0.0))
    transitions = np.asarray(transition_levels(dac))
    np.testing.assert_array_equal(transitions, [1, 2, 2, 2, 3, 4, 5])
    found = linearity(jnp.asarray(transitions))
    np.testing.assert_array_equal(np.asarray(found.dnl) == -1, [False, True, True, False, False, False])
    assert int(found.missing_codes) == 2
    assert not bool(found.monotonic)
    # End points 1 and 5 over six codes.
    assert float(found.lsb_fit) == pytest.approx(4 / 6)
    np.testing.assert_allclose(found.inl, (transitions - 1) / (4 / 6) - np.arange(7), atol=1e-12)


@pytest.mark.parametrize("topology", ["bottom", "shared", "split"])
def test_float32_keeps_femtofarads(topology):
    given_ = an_array(np.random.default_rng(11), 8, 0.02)
    reference = np.asarray(transition_levels(levels_of(topology, given_)))
    single = transition_levels(levels_of(topology, given_, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, reference, atol=1e-6)
    tiny = {name: value if name == "low_bits" else np.float64(value) * 1e-6 for name, value in given_.items()}
    tiny["offset"] = given_["offset"]
    np.testing.assert_allclose(transition_levels(levels_of(topology, tiny, jnp.float32)), reference, atol=1e-6)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("topology", ["bottom", "shared", "split"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_gradients_by_capacitors_are_finite_differences(topology, dtype):
    given_ = an_array(np.random.default_rng(5), 5, 0.05) | {"dummy": 0.0, "parasitic": 0.0, "low_parasitic": 0.0}
    given_["low_bits"] = 2
    place = np.random.default_rng(6).standard_normal(31)

    def total(units, dtype=dtype):
        found = linearity(transition_levels(levels_of(topology, given_ | {"capacitors": units * 1e-15}, dtype)))
        return jnp.sum(found.inl * array(place, dtype))

    units = np.asarray(given_["capacitors"]) * 1e15
    gradient = np.asarray(jax.grad(lambda units: total(units))(array(units, dtype)))
    step = 1e-6
    for bit in range(5):
        shift = step * np.eye(5)[bit]
        high, low = (float(total(array(units + sign * shift), jnp.float64)) for sign in (1, -1))
        tolerance = 1e-5 if dtype == jnp.float64 else 2e-3
        scale = float(np.abs(gradient).max())
        assert gradient[bit] == pytest.approx((high - low) / (2 * step), abs=tolerance * scale)


def test_dies_batch_with_vmap():
    capacitors = 1e-15 * 2.0 ** np.arange(6) * np.exp(0.05 * np.random.default_rng(0).standard_normal((4, 6)))

    def one(units):
        return linearity(transition_levels(bottom_plate_levels(units, array(0.8), dummy=array(1e-15))))

    many = jax.jit(jax.vmap(one))(array(capacitors))
    for die in range(4):
        np.testing.assert_allclose(many.inl[die], one(array(capacitors[die])).inl, atol=1e-10)
    stacked = linearity(jnp.stack([jnp.arange(1.0, 8.0), jnp.arange(1.0, 8.0) ** 2]))
    assert stacked.lsb_fit.shape == (2,)
    np.testing.assert_allclose(stacked.inl[1], (np.arange(1, 8) ** 2 - 1) / 8 - np.arange(7))


def test_wrong_arrays():
    good = array([1e-15, 2e-15])
    with pytest.raises(ValueError, match="`capacitances` must be finite and at least 0 everywhere"):
        bottom_plate_levels(-good, array(1.0))
    with pytest.raises(ValueError, match="`parasitic` must be finite and at least 0"):
        bottom_plate_levels(good, array(1.0), parasitic=-1e-15)
    with pytest.raises(ValueError, match="`low_bits` must be an integer from 0 to 2, but is 3"):
        split_levels(good, array(1.0), low_bits=3, bridge=1e-15)
    with pytest.raises(ValueError, match="`bits` must be an integer from 1 to 16, but is 17"):
        transition_levels(DacLevels(jnp.ones(17), array(0.0)))
    with pytest.raises(ValueError, match="`transitions` must hold at least one"):
        linearity(jnp.zeros((0,)))
