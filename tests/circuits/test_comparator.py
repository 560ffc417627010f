"""Comparator and its trim against plain loops, simulated searches and latches, and numerical integrals."""

# mypy: disable-error-code="arg-type"

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config
from scipy import stats

from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.comparator_sizes import ComparatorSizes
from amsim.circuits.charge.trim import Trim
from amsim.circuits.charge.trim_choice import TrimChoice, residual_probability, residual_sigma, trim_bits

UM = 1e-6
SIZES = {"pair_width": 2 * UM, "pair_length": 0.1 * UM, "latch_width": 1 * UM, "latch_length": 0.05 * UM}


def residuals(offset, error, trim):
    """Plain search for the nearest code."""
    step = 2 * float(trim.range) / 2**trim.bits
    codes = np.arange(2**trim.bits) - 2**trim.bits // 2
    chosen = [codes[np.argmin(np.abs(measured - codes * step))] for measured in offset + error]
    return offset - np.array(chosen) * step, np.array(chosen)


@pytest.mark.sampled
@pytest.mark.parametrize("bits", [0, 1, 2, 5, 8])
@pytest.mark.parametrize("x64", [False, True])
def test_residual_is_offset_less_nearest_code(bits, x64):
    rng = np.random.default_rng(bits)
    with jax.enable_x64(x64):
        comparator = Comparator(noise=3e-3, trim=Trim(bits=bits, range=12e-3, averages=20))
        dtype = comparator.noise.dtype
        draws, errors = (jnp.asarray(rng.standard_normal(500), dtype) for _ in range(2))
        offset = comparator.offset(draws)
        np.testing.assert_allclose(np.asarray(offset), 8e-3 * np.asarray(draws), rtol=1e-6)
        error = 3e-3 * math.sqrt(math.pi / 2 / 20) * np.asarray(errors, float)
        for error_given, draw in ((error, errors), (0 * error, None)):
            found = eqx.filter_jit(comparator.residual_offset)(offset, draw)
            assert found.dtype == dtype
            wanted, _ = residuals(np.asarray(offset, float), error_given, comparator.trim)
            # Where rounding in float32 meets the middle between two codes either neighbour is right.
            wrong = np.abs(np.asarray(found) - wanted) > 2e-8
            assert np.mean(wrong) <= (0 if x64 else 0.002)


def test_no_trim_and_finest_trim():
    offset = jnp.linspace(-0.02, 0.02, 7)
    np.testing.assert_array_equal(Comparator(trim=None).residual_offset(offset, offset), offset)
    np.testing.assert_array_equal(Comparator(trim=Trim(range=0.0)).residual_offset(offset), offset)
    assert np.abs(Comparator(trim=Trim(bits=16)).residual_offset(offset)).max() <= 0.5e-6
    ideal = Comparator().ideal()
    np.testing.assert_array_equal(ideal.residual_offset(ideal.offset(offset), offset), 0)


def test_residual_moves_with_offset_and_correction_with_range():
    trim = Trim(bits=6, range=10e-3)
    offset = jnp.linspace(-0.02, 0.02, 9)
    comparator = Comparator(trim=trim)
    by_offset = jax.vmap(jax.grad(lambda v: comparator.residual_offset(v)))(offset)
    np.testing.assert_array_equal(by_offset, 1.0)
    by_range = jax.jacobian(lambda r: Comparator(trim=Trim(bits=6, range=r)).residual_offset(offset))(trim.range)
    _, codes = residuals(np.asarray(offset, float), 0.0, trim)
    np.testing.assert_allclose(by_range, -codes * 2 / 64, rtol=1e-6)


@pytest.mark.parametrize(
    ("averages", "noise", "pessimism"), [(63, 0.4e-3, 1.0), (31, 0.4e-3, 1.016), (63, 1e-3, 1.075), (15, 1e-3, 1.21)]
)
def test_model_of_trim_against_search_by_majority_votes(averages, noise, pessimism):
    """Successive approximation, every vote drawn from the binomial law; exact for errors well below a step."""
    rng = np.random.default_rng(1)
    offset = 6e-3 * rng.standard_normal(100_000)
    step, code = 64e-3 / 256, np.full(offset.shape, -128)
    for bit in reversed(range(8)):
        threshold = (code + 2**bit - 0.5) * step
        votes = rng.binomial(averages, stats.norm.cdf((offset - threshold) / noise))
        code = code + 2**bit * (2 * votes > averages)
    left = offset - code * step
    comparator = Comparator(noise=noise, offset_sigma=6e-3, trim=Trim(averages=averages))
    assert float(residual_sigma(comparator)) / left.std() == pytest.approx(pessimism, abs=0.01)
    for limit in (0.1e-3, 0.2e-3):
        within, modelled = np.mean(np.abs(left) <= limit), float(residual_probability(comparator, limit))
        assert modelled <= within + 0.005
        assert modelled == pytest.approx(within, abs=0.01 if pessimism < 1.02 else 0.1)


CASES = {
    "default": {},
    "no bits": {"trim": Trim(bits=0)},
    "one bit": {"trim": Trim(bits=1)},
    "one wide bit": {"trim": Trim(bits=1, range=1.0)},
    "coarse": {"noise": 0.0, "trim": Trim(bits=3)},
    "short": {"trim": Trim(bits=5, range=5e-3, averages=2)},
    "noisy": {"noise": 5e-3, "trim": Trim(bits=6, averages=4)},
    "no offset": {"offset_sigma": 0.0},
    "less offset than noise": {"noise": 3e-3, "offset_sigma": 0.15e-3, "trim": Trim(bits=9)},
    "no range": {"trim": Trim(range=0.0)},
    "no trim": {"trim": None},
}


def normal_nodes(count):
    """Nodes that resolve rare events, and their probabilities."""
    nodes = np.linspace(-8, 8, count) if count > 1 else np.zeros(1)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


def reference(comparator, limit):
    """Second moment and probability by sums over many offsets and measurement errors."""
    still = not float(comparator.offset_sigma)
    offset, offset_weights = normal_nodes(1 if still else 5001)
    error, error_weights = normal_nodes(50_001 if still else 401)
    offset = float(comparator.offset_sigma) * offset[:, None]
    left, trim = offset + 0 * error[None, :], comparator.trim
    if trim is not None:
        sigma = float(comparator.noise) * math.sqrt(math.pi / 2 / float(trim.averages))
        step, lowest = float(trim.range) * 2 / 2**trim.bits, -(2**trim.bits // 2)
        codes = np.round((offset + sigma * error[None, :]) / (step or 1.0))
        left = offset - np.clip(codes, lowest, lowest + 2**trim.bits - 1) * step
    return (
        math.sqrt(offset_weights @ left**2 @ error_weights),
        offset_weights @ (np.abs(left) <= limit).astype(float) @ error_weights,
    )


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("case", "x64"),
    [
        # Sums over millions of terms; what single precision adds is seen at the first case.
        pytest.param(case, x64, marks=[] if x64 or case == "default" else [pytest.mark.slow])
        for case in CASES
        for x64 in (True, False)
    ],
)
def test_closed_form_of_the_residual(case, x64):
    with jax.enable_x64(x64):
        comparator = Comparator(**CASES[case])
        comparator = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), comparator)
        limit = 0.23e-3
        sigma, probability = reference(comparator, limit)
        found = residual_sigma(comparator)
        assert found.dtype == comparator.noise.dtype
        assert float(found) == pytest.approx(sigma, rel=0.01, abs=1e-9)
        assert float(residual_probability(comparator, limit)) == pytest.approx(probability, abs=2e-3)


def test_fine_step_and_wide_range():
    with jax.enable_x64(True):
        comparator = Comparator(trim=Trim(bits=9, range=60e-3))
        plain = (120e-3 / 512) ** 2 / 12 + math.pi / 2 * 0.4e-3**2 / 64
        assert float(residual_sigma(comparator)) == pytest.approx(math.sqrt(plain), rel=1e-5, abs=0)


def test_derivatives_of_the_residual():
    with jax.enable_x64(True):
        comparator = Comparator(noise=1e-3, trim=Trim(bits=4, range=15e-3, averages=10.0))
        gradient = eqx.filter_jit(jax.grad(residual_sigma))(comparator)

        def moved(place, change):
            owner = comparator if place in ("noise", "offset_sigma") else comparator.trim
            replaced = dataclasses.replace(owner, **{place: getattr(owner, place) * (1 + change)})
            whole = replaced if owner is comparator else dataclasses.replace(comparator, trim=replaced)
            return float(residual_sigma(whole))

        for place in ("noise", "offset_sigma", "range", "averages"):
            owner, slope = (
                (comparator, gradient) if place in ("noise", "offset_sigma") else (comparator.trim, gradient.trim)
            )
            size = float(getattr(owner, place))
            difference = (moved(place, 1e-4) - moved(place, -1e-4)) / (2e-4 * size)
            assert float(getattr(slope, place)) == pytest.approx(difference, rel=1e-4, abs=0), place
    for silent in (Comparator().ideal(), Comparator(trim=Trim(range=0.0)), Comparator(noise=0.0)):
        for function in (residual_sigma, lambda c: residual_probability(c, 1e-3), lambda c: c.energy()):
            assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(eqx.filter_jit(jax.grad(function))(silent)))


def test_trim_bits_are_the_fewest():
    comparator = Comparator(noise=0.6e-3, offset_sigma=6e-3)
    choice = trim_bits(comparator, 0.8e-3, 0.99, averages=32.0, range=24e-3)
    assert isinstance(choice, TrimChoice)
    trims = [Trim(bits=bits, range=24e-3, averages=32.0) for bits in range(9)]
    reached = [reference(dataclasses.replace(comparator, trim=trim), 0.8e-3)[1] for trim in trims]
    assert choice.bits == next(bits for bits, probability in enumerate(reached) if probability >= 0.99)
    assert choice.probability == pytest.approx(reached[choice.bits], abs=2e-3)
    assert choice.step == pytest.approx(48e-3 / 2**choice.bits)
    assert choice.energy == pytest.approx(choice.bits * 32 * float(comparator.energy()))
    one = float(comparator.decision_time(choice.step / 2))
    assert choice.time == pytest.approx(choice.bits * 32 * one)
    assert trim_bits(comparator, 20e-3).bits == 0
    kept = trim_bits(Comparator(trim=Trim(averages=5.0, range=40e-3)), 1e-3)
    assert (kept.range, kept.energy) == pytest.approx((40e-3, kept.bits * 5 * float(Comparator().energy())))


def test_trim_bits_say_what_stands_in_the_way():
    comparator = Comparator()
    with pytest.raises(ValueError, match=r"`limit` of 5e-05 V.*64 `averages` measure the offset to 6.2.*e-05 V"):
        trim_bits(comparator, 5e-5)
    with pytest.raises(ValueError, match=r"`range` of 0.008 V is too small for an offset of 0.008 V sigma"):
        trim_bits(comparator, 1e-3, range=8e-3)
    with pytest.raises(ValueError, match=r"`limit` must be finite and above 0, but is 0"):
        trim_bits(comparator, 0.0)
    with pytest.raises(ValueError, match=r"`probability` must be between 0 and 1, but is 1"):
        trim_bits(comparator, 1e-3, 1.0)
    with pytest.raises(ValueError, match=r"`comparator` must hold numbers, but is traced"):
        jax.jit(lambda noise: trim_bits(Comparator(noise=noise), 1e-3).step)(1e-3)


def test_energy_and_time_of_a_trim():
    comparator = Comparator(trim=Trim(bits=6, averages=10.0))
    assert float(comparator.trim.energy(comparator.energy())) == pytest.approx(60 * (5e-15 + 10e-15 / 0.16), rel=1e-5)
    assert float(comparator.trim.time(1e-9)) == pytest.approx(60e-9, rel=1e-5)


def test_sizes_give_the_figures():
    comparator = Comparator.sized(ComparatorSizes(**SIZES), energy_floor=4e-15)
    capacitance = 0.5e-15 + 15e-3 * (0.2 + 0.05) * 1e-12
    noise = math.sqrt(2 * 1.380649e-23 * 300 / capacitance)
    # 2 mV um over sqrt(0.2 um^2), the latch's by the gain of 5.
    offset = 2e-3 * math.sqrt(1 / 0.2 + 1 / 0.05 / 25)
    wanted = {"noise": noise, "offset_sigma": offset, "area": 4 * (0.4 + 0.2) * 1e-12, "gain": 5.0, "swing": 0.6}
    wanted |= {"input_capacitance": 15e-3 * 0.2e-12, "energy_floor": 4e-15}
    for name, value in wanted.items():
        assert float(getattr(comparator, name)) == pytest.approx(value, rel=1e-5, abs=0), name
    assert float(comparator.energy()) == pytest.approx(4e-15 + 2 * capacitance * 0.36, rel=1e-5, abs=0)
    quiet = Comparator.sized(ComparatorSizes(**SIZES, temperature=0.0))
    assert (float(quiet.noise), float(quiet.energy())) == pytest.approx((0, 5e-15))
    assert Comparator.sized(ComparatorSizes(**SIZES), trim=None).trim is None


def test_sizes_have_derivatives():
    with jax.enable_x64(True):
        for what in ("offset_sigma", "noise", "area"):

            def figure(width, what=what):
                return getattr(Comparator.sized(ComparatorSizes(**{**SIZES, "pair_width": width})), what)

            slope = jax.grad(figure)(2 * UM)
            difference = (figure(2.0001 * UM) - figure(1.9999 * UM)) / (2e-4 * UM)
            assert float(slope) == pytest.approx(float(difference), rel=1e-6, abs=0)
    by_width = jax.grad(lambda s: Comparator.sized(s).energy())(ComparatorSizes(**SIZES)).pair_width
    # Of 2 C V^2 by one gate's width; in float32 too.
    assert float(by_width) == pytest.approx(2 * 15e-3 * 0.1 * UM * 0.36, rel=1e-4, abs=0)


def regenerated(voltage, time, comparator):
    """Latch `dv/dt = v / tau` by the midpoint rule, from the integrated input."""
    state, steps = float(comparator.gain) * voltage, 2000
    over = (time - float(comparator.integration_time)) / steps / float(comparator.regeneration_time_constant)
    for _ in range(steps):
        state = state * (1 + over * (1 + over / 2))
    return state


def test_metastability_against_simulated_latches():
    comparator = Comparator(regeneration_time_constant=30e-12, integration_time=40e-12, gain=4.0, swing=0.8)
    rng = np.random.default_rng(0)
    lsb = 2e-3
    inputs = lsb * (rng.random(100_000) - 0.5)
    times = 40e-12 + 30e-12 * np.array([0.5, 4.0, 5.0, 6.0, 8.0])
    failed = [np.mean(np.abs(regenerated(inputs, time, comparator)) < 0.4) for time in times]
    found = eqx.filter_jit(comparator.metastability)(jnp.full(5, lsb), jnp.asarray(times, float))
    assert failed[0] == 1
    np.testing.assert_allclose(found, failed, atol=4e-3, rtol=0.02)
    assert float(comparator.metastability(lsb, 1e-9)) == pytest.approx(0.8 / 4 / lsb * math.exp(-32), rel=1e-4, abs=0)
    assert float(comparator.metastability(lsb, 10e-12)) == 1
    assert float(comparator.metastability(0.0, 1e-9)) == 1
    slope = jax.grad(lambda time: comparator.metastability(lsb, time))(1e-10)
    assert np.isfinite(slope)


def test_decision_time_against_simulated_latches():
    comparator = Comparator(regeneration_time_constant=30e-12, integration_time=40e-12, gain=4.0, swing=0.8)
    for voltage in (1e-2, -1e-4):
        time = float(comparator.decision_time(voltage))
        assert abs(regenerated(voltage, time, comparator)) == pytest.approx(0.4, rel=1e-3)
    assert float(comparator.decision_time(0.5)) == pytest.approx(40e-12, rel=1e-6, abs=0)
    assert float(comparator.decision_time(0.0)) == math.inf
    assert np.isfinite(jax.grad(lambda v: comparator.decision_time(v))(0.0))
    # The time for a failure probability, as the docstring says.
    time = comparator.decision_time(1e-6 * 2e-3 / 2)
    assert float(comparator.metastability(2e-3, time)) == pytest.approx(1e-6, rel=1e-3, abs=0)


def test_wrong_arguments():
    config.update("jaxtyping_disable", True)
    try:
        for make, words in (
            (lambda: Trim(bits=17), "`bits` must be an integer from 0 to 16, but is 17"),
            (lambda: Trim(range=-1.0), "`range` must be finite and at least 0, but is -1"),
            (lambda: Trim(averages=0.0), "`averages` must be finite and above 0"),
            (lambda: Comparator(trim=0.25e-3), "`trim` must be of type Trim or None"),
            (lambda: Comparator(gain=0.0), "`gain` must be finite and above 0"),
            (lambda: ComparatorSizes(**{**SIZES, "latch_width": 0.0}), "`latch_width` must be finite and above 0"),
        ):
            with pytest.raises(ValueError, match=words):
                make()
    finally:
        config.update("jaxtyping_disable", False)
