"""One explicit line against SciPy's matrix exponential, charge balance by linear algebra, and central differences."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from amsim.circuits import ChargeLine
from amsim.circuits.charge.rc_line import extreme_time_constants, step_response

SEEDS = st.integers(0, 2**32 - 1)
# Each number of branches is a program of its own, so that the draws go to the values.
BRANCHES = st.sampled_from([1, 2, 9, 60])


def network(seed, branches, largest_ratio=100.0):
    """Random drivers and capacitors, femtofarads and kiloohms, with a parasitic from small to large."""
    random = np.random.default_rng(seed)
    capacitances = 1e-15 * random.uniform(0.2, 5.0, branches)
    resistances = 1e4 * random.uniform(0.3, 3.0, branches)
    parasitic = capacitances.sum() / np.exp(random.uniform(np.log(0.5), np.log(largest_ratio)))
    return resistances, capacitances, parasitic


def charges_matrix(resistances, capacitances, parasitic):
    """dq/dt = -A q for the charges of the branches when all drivers are at ground."""
    return (np.diag(1 / capacitances) + 1 / parasitic) / resistances[:, None]


def step_by_exponential(resistances, capacitances, parasitic, time):
    """Line voltage after each driver's unit step: the charges by the matrix exponential, then V = sum q / C_par."""
    matrix = charges_matrix(resistances, capacitances, parasitic)
    settled = np.linalg.solve(matrix, np.diag(1 / resistances))
    charges = settled - linalg.expm(-matrix * time) @ settled
    return charges.sum(axis=0) / parasitic


@settings(deadline=None, max_examples=50)
@given(seed=SEEDS, branches=BRANCHES, decades=st.floats(-3.0, 1.5))
def test_step_response_is_the_matrix_exponential(seed, branches, decades):
    resistances, capacitances, parasitic = network(seed, branches)
    time = 10**decades * np.mean(resistances * capacitances)
    expected = step_by_exponential(resistances, capacitances, parasitic, time)
    scale = expected.max()
    for double, error in ((True, 1e-10), (False, 2e-5)):
        with jax.enable_x64(double):
            values = (jnp.asarray(v, float) for v in (resistances, capacitances, parasitic, time))
            found = np.asarray(jax.jit(step_response)(*values))
        assert np.max(np.abs(found - expected)) < error * max(scale, 1e-3)


@settings(deadline=None, max_examples=50)
@given(seed=SEEDS, branches=BRANCHES)
def test_extreme_time_constants_are_those_of_the_charge_equations(seed, branches):
    values = network(seed, branches, largest_ratio=1e4)
    rates = np.linalg.eigvals(charges_matrix(*values)).real
    with jax.enable_x64(True):
        fast, slow = jax.jit(extreme_time_constants)(*(jnp.asarray(v) for v in values))
    np.testing.assert_allclose([fast, slow], [1 / rates.max(), 1 / rates.min()], rtol=1e-9)
    fast, slow = jax.jit(extreme_time_constants)(*(jnp.asarray(v, jnp.float32) for v in values))
    np.testing.assert_allclose([fast, slow], [1 / rates.max(), 1 / rates.min()], rtol=1e-5)


def test_equal_branches_settle_as_one():
    with jax.enable_x64(True):
        resistances, capacitances = jnp.full(7, 1e4), jnp.full(7, 1e-15)
        fast, slow = extreme_time_constants(resistances, capacitances, jnp.asarray(2e-15))
        assert float(slow) == pytest.approx(1e-11, rel=1e-12, abs=0)
        assert float(fast) == pytest.approx(1e-11 * 2 / 9, rel=1e-12, abs=0)
        response = step_response(resistances, capacitances, jnp.asarray(2e-15), jnp.asarray(3e-12))
        np.testing.assert_allclose(response, -np.expm1(-3e-12 / (1e-11 * 2 / 9)) / 9, rtol=1e-9)
        assert np.array_equal(
            step_response(resistances, capacitances, jnp.asarray(2e-15), jnp.asarray(0.0)), np.zeros(7)
        )
        slopes = jax.jacobian(extreme_time_constants)(resistances, capacitances, jnp.asarray(2e-15))
        assert all(np.all(np.isfinite(slope)) for slope in slopes)


def line_of(seed, capacitors=9, **settings):
    random = np.random.default_rng(seed)
    values = {
        "parasitic": 3e-15,
        "supply": 0.8,
        "reset_level": 0.35,
        "bottom_reset_level": 0.2,
        "bottom_parasitics": random.uniform(0, 0.5e-15, capacitors),
        "feedthrough_capacitance": 0.2e-15,
    }
    return ChargeLine(random.uniform(0.5e-15, 3e-15, capacitors), **(values | settings))


def test_charge_is_conserved_and_energy_balances():
    """Nothing but node equations: total line charge kept, energy delivered = energy stored + heat."""
    with jax.enable_x64(True):
        line = line_of(1, parasitic=4e-15)
        high = jnp.asarray([1.0, 0, 0, 1, 1, 0, 1, 0, 0])
        v = float(line.settled_voltage(high))
        c, bottom = np.asarray(line.capacitances), np.asarray(line.bottom_parasitics)
        levels, grounded = 0.8 * np.asarray(high), 4e-15 + 0.2e-15

        def line_charge(v, levels):
            return np.sum(c * (v - levels)) + grounded * v

        reset = np.full(9, 0.2)
        assert line_charge(v, levels) == pytest.approx(line_charge(0.35, reset), rel=1e-12)

        def stored(v, levels):
            return (np.sum(c * (v - levels) ** 2) + grounded * v**2 + np.sum(bottom * levels**2)) / 2

        # Ground delivers no energy; the supply does by every plate that goes high.
        heat = float(line.supply_energy(high)) - (stored(v, levels) - stored(0.35, reset))
        assert float(line.dissipation(high)) == pytest.approx(heat, rel=1e-10)
        assert float(line.dissipation(high)) == pytest.approx(float(line.cycle_energy(high)) / 2, rel=1e-10)


def test_a_batch_is_its_rows():
    line, high = line_of(2), jnp.asarray(np.random.default_rng(0).integers(0, 2, (4, 9)), float)
    for name in (
        "settled_voltage",
        "supply_charge",
        "supply_energy",
        "reset_rail_energy",
        "dissipation",
        "high_capacitance",
    ):
        batch = getattr(line, name)(high)
        np.testing.assert_allclose(batch, [getattr(line, name)(one) for one in high], rtol=1e-6, atol=1e-22)


TIME, RESISTANCES = 2e-11, 1e4 * np.linspace(0.7, 1.4, 9)
QUANTITIES = {
    "settled": lambda line, high: line.settled_voltage(high),
    "settling": lambda line, high: line.settling(high, jnp.asarray(TIME), jnp.asarray(RESISTANCES)),
    "slowest": lambda line, high: 1e11 * line.time_constants(jnp.asarray(RESISTANCES))[1],
    "matched": lambda line, high: line.settling_matched(high, jnp.asarray(2e-12), jnp.asarray(1e-11)),
    "rail": lambda line, high: line.settling_shared_supply(high, jnp.asarray(1e-11), jnp.asarray(2e3)),
    "drooped": lambda line, high: line.drooped_voltage(line.settled_voltage(high), jnp.asarray(1e-6), jnp.asarray(1e9)),
    "leaked": lambda line, high: line.leaked_voltage(line.settled_voltage(high), jnp.asarray(1e-6), jnp.asarray(1e-9)),
    "reset": lambda line, high: line.after_reset(jnp.asarray(0.7), jnp.asarray(1e-9), jnp.asarray(5e4)),
    "feedthrough": lambda line, high: line.feedthrough_step(jnp.asarray(0.8)),
    "energy": lambda line, high: 1e15 * line.supply_energy(high),
    "cycle": lambda line, high: 1e15 * line.cycle_energy(high),
    "heat": lambda line, high: 1e15 * line.dissipation(high),
    "sampled noise": lambda line, high: 1e3 * line.sampled_noise(jnp.asarray(300.0)),
    "driver noise": lambda line, high: 1e3 * line.driver_noise(jnp.asarray(300.0)),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_gradients_agree_with_central_differences(name):
    quantity = eqx.filter_jit(QUANTITIES[name])
    with jax.enable_x64(True):
        line, high = line_of(3), jnp.asarray([1.0, 1, 0, 0, 1, 0, 1, 0, 1])
        leaves, structure = jax.tree.flatten(line)
        slopes = jax.tree.leaves(eqx.filter_jit(eqx.filter_grad(lambda one: jnp.sum(quantity(one, high))))(line))
        for number, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
            flat = np.ravel(leaf)
            for place in range(min(flat.size, 3)):
                step = 1e-5 * max(abs(flat[place]), 1e-16)

                def moved(by, number=number, leaf=leaf, place=place):
                    changed = jnp.ravel(leaf).at[place].add(by).reshape(leaf.shape)
                    parts = [*leaves[:number], changed, *leaves[number + 1 :]]
                    return float(quantity(jax.tree.unflatten(structure, parts), high))

                expected = (moved(step) - moved(-step)) / (2 * step)
                scale = abs(moved(0.0)) / max(abs(flat[place]), 1e-15)
                assert np.ravel(slope)[place] == pytest.approx(expected, rel=2e-5, abs=1e-6 * scale)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"capacitances": [1e-15, -1e-15], "bottom_parasitics": 0.0},
            "`capacitances` must be finite and above 0 everywhere, but .* -1e-15",
        ),
        ({"capacitances": [[1e-15]]}, r"`capacitances` must have shape \(capacitors,\)"),
        ({"capacitances": []}, "one at least"),
        ({"bottom_parasitics": [1e-15]}, r"`bottom_parasitics` must be one number or have shape \(9,\)"),
        ({"parasitic": -1e-15}, "`parasitic` must be finite and at least 0"),
        ({"supply": float("nan")}, "`supply` must be finite and above 0"),
    ],
)
def test_bad_lines_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        dataclasses.replace(line_of(4), **change)
