"""Declared sources of error: what they scale, switch and explain, against reads of many dies and fields by hand."""

import dataclasses
import functools
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.circuits import ErrorSource
from amsim.circuits.contract.error_sources import with_scaled_sources, without_sources
from amsim.circuits.fields import Quantity, quantity

ROWS, COLUMNS, DIES, BATCH = 64, 32, 256, 16
UNTRIMMED = circuits.Comparator(noise=2e-3, offset_sigma=3e-3, trim=None)
NEURON = circuits.Neuron(jnp.ones(COLUMNS), jnp.ones(COLUMNS))
SIGNS = circuits.ValueRange(-1.0, 1.0)
DRIFTED = circuits.Trim(bits=0, temperature=290.0, supply=0.55)
"""A trim without codes: nothing is taken away, and what is there drifts."""


def array(**settings):
    base = {
        "rows": ROWS,
        "columns": COLUMNS,
        "comparator": UNTRIMMED,
        "adc": None,
        "mismatch_coefficient": 5e-9,
        "temperature": 1e5,
        "supply_noise": 15e-3,
        "reference_tracking": 0.5,
    }
    return circuits.SwitchedCapacitor(**(base | settings))


@eqx.filter_jit
def mean_square_error(macro, key):
    """Of each die's lines, as the comparators see random operands on them, counts^2."""
    ideal, product = macro.ideal(), circuits.DenseProduct(ROWS, COLUMNS)

    def one(key):
        die_key, input_key, read_key = jax.random.split(key, 3)
        inputs = jnp.where(jax.random.bernoulli(input_key, 0.5, (BATCH, ROWS)), 1.0, -1.0)
        operands = circuits.Operands(product, inputs, jnp.ones((ROWS, COLUMNS)), input_range=SIGNS)
        found, exact = (
            each.margin(operands, NEURON, die=die, key=read_key)
            for each, die in ((macro, macro.fabricate(die_key)), (ideal, None))
        )
        return jnp.mean((found - exact) ** 2)

    return jax.lax.map(one, jax.random.split(key, DIES))


def errors(macro):
    return np.asarray(mean_square_error(macro, jax.random.key(1)), float)


SOURCES = ("capacitor mismatch", "thermal noise", "comparator noise", "comparator offset", "supply noise")


@pytest.mark.parametrize("name", SOURCES)
def test_variance_of_reads_grows_with_the_square_of_the_scale(name):
    alone = without_sources(array(), set(SOURCES) - {name})
    whole, half = (errors(one) for one in (alone, with_scaled_sources(alone, {name: 0.5})))
    assert whole.mean() > 0.1
    # On the same dies and reads, so that what scatters is of second order.
    np.testing.assert_allclose(whole / half, 4.0, rtol=0.02)
    np.testing.assert_allclose(errors(with_scaled_sources(alone, {name: 0.0})), 0.0, atol=1e-6)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_switched_off_takes_its_share_of_the_budget_away(name):
    whole, budget = array(), amsim.noise_budget(array())
    less = errors(whole) - errors(without_sources(whole, {name}))
    expected = float(budget["variance"].sel(source=name))
    assert float(budget["share"].sel(source=name)) > 0.01
    error = 4 * less.std() / np.sqrt(DIES) + 0.03 * expected
    assert less.mean() == pytest.approx(expected, abs=error)
    assert error < 0.35 * expected


def full(**settings):
    parts = {
        "adc": circuits.SarAdc(bits=6, offset_sigma=0.1),
        "clock": 1e9,
        "drivers": circuits.Drivers(resistance=3e5),
        "reset": circuits.ResetSwitch(),
        "leakage": circuits.Leakage(hold_time=1e-6),
        "layout": circuits.Layout(linear_gradient=0.02),
        "faults": circuits.Faults(stuck_high=0.01),
        "temperature": 300.0,
        "comparator": circuits.Comparator(trim=DRIFTED, kickback=0.1, temperature_drift=50e-6, supply_drift=5e-3),
        "reference_tracking": 0.5,
    }
    return array(**(parts | settings))


def test_effects_are_what_a_source_moves_in_the_budget():
    macro = full()
    # Many effects have one source, which is also switched off by itself below.
    variances = functools.cache(lambda off: without_sources(macro, off).error_variances())
    before = {name: float(value) for name, value in macro.error_variances().items()}
    by_effect: dict[str, set[str]] = {name: set() for name in before}
    for placed in macro.all_error_sources():
        for effect in placed.source.effects:
            by_effect[effect].add(placed.source.name)
    for effect, names in by_effect.items():
        after = variances(frozenset(names))
        # A part that is gone has no term, but the converter's rounding is still there with steps of one count.
        assert effect == "quantisation" or float(after.get(effect, 0.0)) == pytest.approx(0.0, abs=1e-6), effect
        assert before[effect] != 0.0, effect
    for placed in macro.all_error_sources():
        after = variances(frozenset({placed.source.name}))
        for effect in set(before) - set(placed.source.effects) - {"quantisation"}:
            # Second order: what a part does to gain and total capacitance.
            assert float(after[effect]) == pytest.approx(before[effect], rel=0.25), (placed.source.name, effect)


def test_a_scale_of_0_is_off_where_a_source_says_so():
    macro = dataclasses.replace(full(), drivers=None, layout=None, faults=None)
    inputs = jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (4, ROWS)), 1.0, -1.0)
    die, weights = macro.fabricate(jax.random.key(1)), jnp.ones((ROWS, COLUMNS))

    @eqx.filter_jit
    def read(macro):
        return macro.matmul(inputs, weights, die=die, key=jax.random.key(2))

    checked = []
    for name, source in {one.source.name: one.source for one in macro.all_error_sources()}.items():
        assert source.vanishes == (source.scalable and not source.left_out)
        if source.vanishes:
            scaled, switched = with_scaled_sources(macro, {name: 0.0}), without_sources(macro, {name})
            np.testing.assert_array_equal(read(scaled), read(switched), err_msg=name)
            checked.append(name)
    assert checked == ["capacitor mismatch", "thermal noise", *CONVERTED, "supply noise"]


CONVERTED = ("comparator noise", "comparator offset", "offset drift", "converter mismatch", "converter offset")


def test_every_size_that_the_parts_declare_is_scaled_once():
    """Fields by hand: which are standard deviations or probabilities, which a temperature, and nothing else moves."""
    macro = full()
    half = macro.with_error_scale(jnp.asarray(0.5))
    linear = {
        "mismatch_coefficient", "supply_noise", "comparator.noise", "comparator.offset_sigma", "adc.offset_sigma",
        "adc.mismatch_coefficient", "drivers.spread", "reset.spread", "leakage.spread", "layout.linear_gradient",
        "layout.quadratic_gradient", "layout.correlated_sigma", "layout.edge_error", "faults.stuck_high",
        "faults.stuck_low", "faults.dead_column", "comparator.temperature_drift", "comparator.supply_drift",
    }  # fmt: skip
    held = {"leakage.current", "leakage.off_resistance", "comparator.trim.temperature"}
    for path, value in amsim.system.settings.continuous_settings(macro).items():
        field = path.removeprefix("macro.")
        found = float(amsim.setting(half, path))
        factor = 0.5 if field in linear else 0.25 if field == "temperature" else 1.0
        if field in held:
            assert found != float(value)
        else:
            assert found == pytest.approx(factor * float(value), rel=1e-6, abs=0), field


def test_a_measured_table_is_scaled_about_an_exact_reading():
    counts = (-4, 0, 4)
    macro = circuits.Measured(
        counts, jnp.asarray([[[-3.0, 0.5, 5.0]]]), jnp.full((1, 1, 3), 0.2), evaluation_energy=1e-12,
        evaluation_time=1e-8, array_area=1e-9, supply=0.8, rows=4, columns=1,
    )  # fmt: skip
    half = with_scaled_sources(macro, {"measured transfer": 0.5})
    np.testing.assert_allclose(half.mean[0, 0], [-3.5, 0.25, 4.5])
    np.testing.assert_array_equal(half.sigma, macro.sigma)
    exact = without_sources(macro, {"measured transfer"})
    np.testing.assert_array_equal(exact.mean[0, 0], counts)
    assert [one.source.name for one in exact.all_error_sources() if one.switches] == ["measured noise"]


class Amplifier(eqx.Module):
    error_sources: ClassVar = (ErrorSource("gain", "static", "Spread of the gain.", sizes=("sigma",)),)
    sigma: Quantity = quantity("sigma", unit="1", default=0.1)


def with_parts(own, **fields):
    """An exact macro with these sources and further fields."""
    kind = type(
        "Own", (circuits.Exact,), {"error_sources": own, "__annotations__": dict.fromkeys(fields, object)} | fields
    )
    return kind()


def test_parts_in_a_tuple_have_sources_too():
    macro = with_parts((), stages=(Amplifier(0.1), Amplifier(0.2)))
    assert [one.place for one in macro.all_error_sources()] == [("stages", 0), ("stages", 1)]
    scaled = macro.with_error_scale(jnp.asarray(0.5))
    np.testing.assert_allclose([float(one.sigma) for one in scaled.stages], [0.05, 0.1])
    np.testing.assert_array_equal([float(one.sigma) for one in without_sources(macro, {"gain"}).stages], 0.0)


def test_a_declaration_that_cannot_work_is_refused():
    with pytest.raises(ValueError, match="`kind` must be one of"):
        ErrorSource("noise", "random", "Noise.", sizes=("sigma",))
    with pytest.raises(ValueError, match="of 'noise' must name a field"):
        ErrorSource("noise", "dynamic", "Noise.")
    macro = with_parts((ErrorSource("noise", "dynamic", "Noise.", sizes=("sigma",)),))
    with pytest.raises(
        ValueError, match="Own must declare sources of error by its own fields, but 'noise' names 'sigma'"
    ):
        macro.all_error_sources()
    with pytest.raises(ValueError, match="Exact has no closed form of its error"):
        amsim.noise_budget(circuits.Exact())
