"""Lumped reading of a switched-capacitor array against the exact one: static errors, noise, derivatives, refusals."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from resistive_crossbar import Crossbar

from amsim.circuits import (
    Adc,
    Banks,
    Comparator,
    ConvolutionProduct,
    DenseProduct,
    DigitalBinary,
    Drivers,
    Exact,
    Faults,
    FlashAdc,
    Layout,
    Leakage,
    MultiPrecision,
    Operands,
    ResetSwitch,
    RowDac,
    SarAdc,
    SerialAccumulation,
    SingleSlopeAdc,
    SwitchedCapacitor,
    TimeSharedCharge,
    ValueRange,
    Work,
    accumulate,
    lumped_product,
    recombine,
    shared_columns,
    weight_digits,
)
from amsim.circuits.selection.codes import limited


class Smooth(Adc):
    """Converter without rounding: its ends alone are left of it."""

    def read_codes(self, values, *, die, noise):
        return limited(values, self.lowest_code, self.highest_code)


ROUGH = 6e-10
"""Coefficient of a mismatch of 2 % of a unit capacitor, sqrt(F)."""
UNTRIMMED = Comparator(offset_sigma=3e-3, trim=None)
ARRAY = SwitchedCapacitor(
    rows=12, columns=10, weight_bits=2, input_bits=2, mismatch_coefficient=ROUGH, comparator=UNTRIMMED, adc=Smooth()
)
TERNARY: dict[str, Any] = {"weight_bits": 3, "weight_coding": "ternary", "input_coding": "unipolar"}
EFFECTS: dict[str, Any] = {
    "drivers": Drivers(resistance=200e3, spread=0.1),
    "reset": ResetSwitch(),
    "leakage": Leakage(hold_time=1e-6),
    "layout": Layout(linear_gradient=1e-3, edge_error=0.01, dummies=False),
}
ARRAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ternary, effects of time": TERNARY | EFFECTS | {"reference_tracking": 0.5},
    "faults, shifted lines": {
        "faults": Faults(stuck_high=0.03, stuck_low=0.03, dead_column=0.2),
        "readout_centre": 4.0,
    },
    "differential, row DAC": {"second_line": "differential", "row_dac": RowDac(bits=2, mismatch=0.05)},
    "replica, banks, waiting": {
        "second_line": "replica",
        "banks": Banks(number=4),
        "columns_per_converter": 5,
        "leakage": Leakage(hold_time=1e-6),
    },
    "combined": {"combining": TimeSharedCharge(2), "columns_per_converter": 2},
    "serial": {"input_bits": 4, "serial_accumulation": SerialAccumulation(digits=2, capacitor_ratio=1.1)},
}


def operands_of(array, seed=0, rows=29, columns=4, batch=6):
    generator = np.random.default_rng(seed)
    top, most = 2**array.input_bits - 1, 2 ** (array.weight_bits - 1) - 1
    x = jnp.asarray(generator.integers(0, top + 1, (batch, rows)), jnp.float32)
    w = jnp.asarray(generator.integers(-most, most + 1, (rows, columns)), jnp.float32)
    ranges = ValueRange(0.0, float(top)), ValueRange(-float(most), float(most))
    return Operands(DenseProduct(rows, columns), x, w, *ranges)


ROUGH_CONVERTERS = {
    "uniform": Adc(bits=6),
    "successive approximation": SarAdc(bits=6, mismatch_coefficient=1.5e-9, offset_sigma=0.3),
    "flash": FlashAdc(levels=64, offset_sigma=0.2),
    "single slope": SingleSlopeAdc(bits=6, bow_sigma=0.5),
}


@eqx.filter_jit
def multiply(array, operands, die=None, key=None):
    return array.multiply(operands, die=die, key=key)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in ARRAYS.items()])
def test_without_rounding_and_noise_it_is_the_exact_reading(given):
    """Three tiles, the last a part of one, on a die with errors of per cents."""
    array = dataclasses.replace(ARRAY, **given)
    operands, die = operands_of(array), array.fabricate(jax.random.key(3))
    exact, lumped = (multiply(one, operands, die) for one in (array, array.lumped()))
    ideal = np.asarray(operands.inputs) @ np.asarray(operands.matrix)
    assert np.std(exact - ideal) > 0.1
    np.testing.assert_allclose(lumped, exact, rtol=1e-5, atol=2e-4)


def test_convolution_with_tiles_and_groups_is_the_exact_one():
    generator = np.random.default_rng(1)
    for groups, rows, given in ((1, 8, {}), (2, 12, ARRAYS["differential, row DAC"])):
        array = dataclasses.replace(ARRAY, rows=rows, **given)
        product = ConvolutionProduct(
            kernel=(2, 2),
            channels=3,
            columns=4,
            strides=(1, 2),
            dilation=(1, 1),
            groups=groups,
            padding=((1, 0), (1, 1)),
        )
        x = jnp.asarray(generator.integers(0, 4, (2, 4, 5, 3 * groups)), jnp.float32)
        w = jnp.asarray(generator.integers(-1, 2, (12, 4)), jnp.float32)
        operands = Operands(product, x, w, ValueRange(0.0, 3.0), ValueRange(-1.0, 1.0))
        die = array.fabricate(jax.random.key(0))
        exact, lumped = (multiply(one, operands, die) for one in (array, array.lumped()))
        np.testing.assert_allclose(lumped, exact, rtol=1e-5, atol=2e-4)


def test_nominal_lines_give_the_product_itself():
    array = SwitchedCapacitor(rows=12, columns=10, weight_bits=3, input_bits=3).lumped()
    operands = operands_of(array)
    np.testing.assert_array_equal(multiply(array, operands), operands.inputs @ operands.matrix)


NOISE = 0.7e-3
DIES, READS = 24, 24


@eqx.filter_jit
def moments(array, operands):
    """Mean over reads of the error on each die, and mean square over reads, all of each result."""
    ideal = operands.inputs @ operands.matrix

    def on_die(key):
        die_key, read_key = jax.random.split(key)
        die = array.fabricate(die_key)
        errors = jax.vmap(lambda one: array.multiply(operands, die=die, key=one) - ideal)(
            jax.random.split(read_key, READS)
        )
        return jnp.mean(errors, axis=0), jnp.var(errors, axis=0)

    return jax.lax.map(on_die, jax.random.split(jax.random.key(7), DIES))


def test_mean_and_variance_are_those_of_the_exact_reading_over_dies_and_reads():
    """A step of 1.5 cells, a third of the spread of the sums, and noise of half a step.

    Rounding on a die is a constant of each operand as far as noise does not move a value across steps: here all but
    none of it.
    """
    noisy = Comparator(noise=NOISE, offset_sigma=0.5e-3, trim=None)
    array = SwitchedCapacitor(
        rows=96, columns=10, weight_bits=2, input_bits=2, mismatch_coefficient=ROUGH, comparator=noisy, adc=Adc(bits=6)
    )
    operands = operands_of(array, rows=150, batch=24)
    (exact, spread), (lumped, drawn) = (moments(one, operands) for one in (array, array.lumped()))
    # 24 * 24 * 96 draws: 0.6 % each way.
    noise = float(np.mean(spread))
    assert float(np.mean(drawn)) == pytest.approx(noise, rel=0.02)
    # Dies are the same: what is left between their means is the noise of the means over reads.
    apart = float(np.mean((exact - lumped) ** 2))
    assert apart == pytest.approx(2 * noise / READS, rel=0.1)
    assert float(np.mean(exact**2)) > 20 * apart


CONVERTERS = {
    "uniform": Adc(bits=6),
    "successive approximation": SarAdc(bits=6),
    "flash": FlashAdc(levels=64),
    "single slope": SingleSlopeAdc(bits=6),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("adc", [pytest.param(adc, id=name) for name, adc in CONVERTERS.items()])
def test_error_of_noisy_conversions_is_as_stated(adc):
    values = jnp.asarray(np.random.default_rng(0).uniform(40.0, 56.0, 100_000), jnp.float32)
    convert = jax.jit(lambda noise, key: adc.convert(values, 64.0, sampled_noise=0.2, decision_noise=noise, key=key))
    for noise in (0.0, 0.3, 1.0, 3.0):
        error = float(jnp.mean((convert(noise, jax.random.key(1)) - values) ** 2))
        assert error == pytest.approx(float(adc.conversion_variance(0.2, noise)), rel=0.04)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("adc", [pytest.param(adc, id=name) for name, adc in ROUGH_CONVERTERS.items()])
def test_static_errors_of_converters_are_their_mean_near_the_middle(adc):
    """Against conversions of Gaussian values on 64 converters of a die each."""
    die = adc.fabricate(jax.random.key(0), 64)
    values = jnp.asarray(32.0 + 4.0 * np.random.default_rng(0).normal(size=(4000, 64)), jnp.float32)
    error = np.asarray(jax.jit(lambda: adc.convert(values, 64.0, die=die))() - values)
    shift, variance = adc.linearised(die, 4.0)
    np.testing.assert_allclose(error.mean(axis=0), -np.asarray(shift), atol=0.05)
    assert np.var(error, axis=0).mean() == pytest.approx(float(np.mean(variance)) + 1 / 12, rel=0.1)


def test_rounding_is_none_where_the_converter_resolves_exact_lines():
    array = SwitchedCapacitor(rows=12, columns=10, weight_bits=3, input_bits=2).ideal()
    operands = operands_of(array)
    key = jax.random.key(0)
    lumped = multiply(array.lumped(), operands, array.fabricate(key), key)
    np.testing.assert_array_equal(lumped, multiply(array, operands, array.fabricate(key), key))


def derivatives(array, operands, die, cotangent):
    def total(given):
        x, w, array = given
        return jnp.sum(array.multiply(dataclasses.replace(operands, inputs=x, matrix=w), die=die) * cotangent)

    return eqx.filter_jit(eqx.filter_grad(total))((operands.inputs, operands.matrix, array))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["faults, shifted lines", "serial"])
def test_derivatives_are_those_of_the_exact_reading(name):
    """With respect to operands, and through static errors to capacitance, supply and mismatch."""
    array = dataclasses.replace(ARRAY, **ARRAYS[name])
    operands, die = operands_of(array), array.fabricate(jax.random.key(3))
    cotangent = jnp.asarray(np.random.default_rng(5).normal(size=(6, 4)), jnp.float32)
    exact, lumped = (derivatives(one, operands, die, cotangent) for one in (array, array.lumped()))
    for one, other in zip(exact[:2], lumped[:2], strict=True):
        assert np.max(np.abs(one)) > 0.1
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4)
    for field in ("unit_capacitance", "supply", "mismatch_coefficient"):
        one, other = (float(getattr(found[2], field) * getattr(array, field)) for found in (exact, lumped))
        assert other == pytest.approx(one, rel=2e-3, abs=2e-3)


def test_dies_and_cost_are_those_of_the_exact_reading():
    array = dataclasses.replace(ARRAY, adc=Adc())
    operands = operands_of(array)
    for leaf, other in zip(
        jax.tree.leaves(array.fabricate(jax.random.key(0))),
        jax.tree.leaves(array.lumped().fabricate(jax.random.key(0))),
        strict=True,
    ):
        np.testing.assert_array_equal(leaf, other)
    report, work = eqx.filter_jit(lambda array: array.report(operands)), Work(operands.product, 6, 29, 1.0)
    activity, same = report(array), report(array.lumped())
    assert activity.keys() == same.keys()
    one, other = array.cost(work, activity), array.lumped().cost(work, same)
    for leaf, same in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(leaf, same)
    assert array.lumped().exact().reading == "exact"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"adc": None, "weight_bits": 1, "input_bits": 1}, "`adc` must be given for a lumped"),
        ({"adc": Adc(bits=1)}, "`adc` must have 3 levels"),
        ({"drivers": Drivers(supply_resistance=10.0)}, "no `supply_resistance` for a lumped"),
        ({"supply_noise": 1e-3}, "`supply_noise` must be None for a lumped"),
    ],
)
def test_what_it_cannot_stand_for_is_refused_at_once(given, named):
    array = dataclasses.replace(ARRAY, **given)
    with pytest.raises(ValueError, match=named):
        array.lumped()
    with pytest.raises(ValueError, match=named):
        dataclasses.replace(ARRAY.lumped(), **given)


def test_an_unknown_reading_is_refused(as_a_user_runs_it):
    with pytest.raises(ValueError, match="`reading` must be one of"):
        dataclasses.replace(ARRAY, reading="fast")  # type: ignore[arg-type]


def test_digital_families_are_one_product_as_they_are():
    for macro in (DigitalBinary(weight_bits=4, input_bits=4), MultiPrecision(), Exact()):
        assert macro.lumped() is macro
        assert macro.reading == "exact"


def test_it_says_where_steps_are_too_coarse_or_the_range_too_narrow():
    fine = SwitchedCapacitor(rows=1024, columns=64, weight_bits=4, input_bits=4)
    product = DenseProduct(512, 10)
    assert fine.reading_note(product) == ""
    assert fine.lumped().reading_note(product) == ""
    coarse = dataclasses.replace(fine, adc=Adc(bits=3)).lumped()
    # 64 cells of a step, sqrt(512) / 2 cells of spread, and noise.
    assert "a step of the converter is 5.7 times" in coarse.reading_note(product)
    narrow = dataclasses.replace(fine, adc=Adc(bits=6, range=0.05)).lumped()
    assert "standard deviations of the sums" in narrow.reading_note(product)


class Summing(Crossbar):
    """A family of one's own whose conversions add Gaussian noise, in either reading."""

    reading: str = eqx.field(static=True, default="exact")

    def lumped(self):
        return dataclasses.replace(self, reading="lumped")

    def multiply(self, operands, *, die=None, key=None):
        coded, noise = self.coded(operands), self.read_noise / self.current_per_count
        digits = weight_digits(coded)
        cells = 1.0 + self.device.spread * shared_columns(die.plus, digits.shape[1])
        if self.reading == "lumped":
            variance = self.tiles(operands.product) * noise**2
            return coded.decode(lumped_product(coded, self.rows, cells=cells, variance=variance, key=key))

        def read(one):
            drawn = 0.0
            if key is not None:
                drawn = noise * jax.random.normal(jax.random.fold_in(key, one.order), one.sums.shape)
            return one.place_value * (one.sums + drawn)

        return coded.decode(recombine(coded, accumulate(coded, digits, self.rows, read, cells=cells)))


def test_a_family_of_ones_own_offers_it():
    with pytest.raises(ValueError, match="Crossbar has no lumped reading"):
        Crossbar().lumped()
    array = Summing(rows=12, columns=10, weight_bits=2, input_bits=2)
    operands, die = operands_of(array), array.fabricate(jax.random.key(3))
    exact, lumped = (multiply(one, operands, die) for one in (array, array.lumped()))
    np.testing.assert_allclose(lumped, exact, rtol=1e-5, atol=1e-3)
    keys = jax.random.split(jax.random.key(1), 200)
    spread = [
        eqx.filter_jit(jax.vmap(lambda key, one=one: one.multiply(operands, die=die, key=key)))(keys)
        for one in (array, array.lumped())
    ]
    # 200 reads of 24 results.
    assert np.var(spread[1], axis=0).mean() == pytest.approx(float(np.var(spread[0], axis=0).mean()), rel=0.1)
