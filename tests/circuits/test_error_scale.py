"""Errors scaled together, weight cells below their safe supply, and what is counted over dies."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import amsim
from amsim import circuits
from amsim.circuits.weight_cells import weights_as_read
from amsim.datasets import Split
from amsim.statistics.intervals import yield_interval

KEY = jax.random.key(0)
FULL = circuits.SwitchedCapacitor(
    rows=32,
    columns=4,
    drivers=circuits.Drivers(),
    reset=circuits.ResetSwitch(),
    leakage=circuits.Leakage(),
    layout=circuits.Layout(linear_gradient=0.01),
    faults=circuits.Faults(stuck_high=0.02),
    supply_noise=1e-3,
    adc=circuits.SarAdc(bits=8),
)


def signs(key, shape):
    return jnp.where(jax.random.bernoulli(key, 0.5, shape), 1.0, -1.0)


def test_scale_1_changes_nothing_and_0_leaves_no_error():
    x, w = signs(KEY, (5, 32)), signs(jax.random.key(1), (32, 4))
    die = eqx.filter_jit(FULL.fabricate)(KEY)

    @eqx.filter_jit
    def read(macro):
        return macro.matmul(x, w, die=die, key=KEY)

    def product(scale):
        return read(eqx.filter_jit(FULL.with_error_scale)(jnp.asarray(scale)))

    np.testing.assert_array_equal(product(1.0), read(FULL))
    np.testing.assert_array_equal(product(0.0), x @ w)
    assert not np.array_equal(product(1.0), x @ w)


def test_every_size_is_proportional_to_the_scale():
    half = FULL.with_error_scale(jnp.asarray(0.5))
    for name, variance in FULL.noise_variances().items():
        if name != "last value":
            assert float(half.noise_variances()[name]) == pytest.approx(0.25 * float(variance), rel=1e-5, abs=0), name
    pairs = [
        (half.comparator.noise, FULL.comparator.noise),
        (half.comparator.offset_sigma, FULL.comparator.offset_sigma),
        (half.mismatch_coefficient, FULL.mismatch_coefficient),
        (half.adc.mismatch_coefficient, FULL.adc.mismatch_coefficient),
        (half.faults.stuck_high, FULL.faults.stuck_high),
        (half.layout.linear_gradient, FULL.layout.linear_gradient),
        (half.drivers.spread, FULL.drivers.spread),
    ]
    for scaled, whole in pairs:
        assert float(scaled) == pytest.approx(0.5 * float(whole), rel=1e-6, abs=0)
    total = FULL.total_capacitance
    for scale in (0.0, 0.5, 1.5):
        one = FULL.with_error_scale(jnp.asarray(scale))
        kept = one.leakage.kept_fraction(total, one.temperature)
        assert float(kept) == pytest.approx(float(FULL.leakage.kept_fraction(total, FULL.temperature)), rel=1e-5, abs=0)
        drop = one.leakage.drop(total, one.temperature)
        assert float(drop) == pytest.approx(float(FULL.leakage.drop(total, FULL.temperature)), rel=1e-4, abs=0)


@pytest.mark.parametrize("macro", [circuits.Exact(), circuits.MultiPrecision(), circuits.DigitalBinary()])
def test_a_family_without_errors_is_unchanged(macro):
    assert macro.with_error_scale(jnp.asarray(0.3)) is macro or jax.tree.all(
        jax.tree.map(np.array_equal, macro.with_error_scale(jnp.asarray(0.3)), macro)
    )


def test_a_measured_array_goes_from_exact_to_its_table():
    counts = (-4, 0, 4)
    mean = jnp.asarray([[[-3.0, 0.5, 5.0]]])
    macro = circuits.Measured(
        counts, mean, jnp.full((1, 1, 3), 0.2), evaluation_energy=1e-12, evaluation_time=1e-8, array_area=1e-9,
        supply=0.8, rows=4, columns=1,
    )  # fmt: skip
    half = macro.with_error_scale(jnp.asarray(0.5))
    np.testing.assert_allclose(half.mean[0, 0], [-3.5, 0.25, 4.5])
    np.testing.assert_allclose(half.sigma[0, 0], 0.1)


# --- Weight cells ----------------------------------------------------------------------------------------------------

LOW = circuits.DigitalBinary(rows=64, columns=32, supply=0.45, weight_cells=circuits.SramCell())


def test_cells_fail_as_often_as_the_law_says_and_the_same_ones_at_lower_supply():
    die = dataclasses.replace(LOW, rows=512, columns=128).fabricate(KEY)
    cell, cells = circuits.SramCell(), 512 * 128
    failing = [np.asarray(die.failing(cell, jnp.asarray(supply))) for supply in (0.5, 0.45, 0.4)]
    for supply, one in zip((0.5, 0.45, 0.4), failing, strict=True):
        rate = stats.norm.cdf((0.35 - supply) / 60e-3)
        assert abs(one.mean() - rate) < 5 * np.sqrt(rate / cells)
    assert np.all(failing[0] <= failing[1])
    assert np.all(failing[1] <= failing[2])
    states = np.asarray(die.state)[failing[2]]
    assert set(np.unique(states)) == {-1.0, 1.0}
    assert abs(states.mean()) < 5 / np.sqrt(states.size)


@pytest.mark.parametrize(("bits", "rows"), [(1, 64), (1, 100), (4, 100)])
def test_weights_as_read_equal_a_plain_loop(bits, rows):
    macro = dataclasses.replace(LOW, weight_bits=bits, input_bits=bits)
    x = jax.random.normal(KEY, (3, rows))
    w = jax.random.normal(jax.random.key(1), (rows, 12))
    die = macro.fabricate(jax.random.key(2))
    found, clean = macro.matmul(x, w, die=die), macro.matmul(x, w)
    failing = np.asarray(die.failing(macro.weight_cells, macro.supply))
    if bits == 1:
        x_codes, w_codes = np.sign(np.asarray(x)), np.sign(np.asarray(w)).astype(int)
        x_scale, w_scale = np.abs(x).max(axis=-1, keepdims=True), np.abs(w).max(axis=0)
    else:
        x_scale, w_scale = np.abs(x).max(axis=-1, keepdims=True) / 7, np.abs(w).max(axis=0) / 7
        x_codes, w_codes = np.round(np.asarray(x) / x_scale), np.round(np.asarray(w) / w_scale).astype(int)
    np.testing.assert_allclose(clean, x_codes @ w_codes * x_scale * w_scale, rtol=1e-4, atol=1e-4)
    read = w_codes.copy()
    for row in range(rows):
        for column in range(12):
            word = w_codes[row, column] + 2 ** (bits - 1) if bits > 1 else (w_codes[row, column] + 1) // 2
            for bit in range(bits):
                place = row % 64, (column * bits + bit) % 32
                if failing[place]:
                    held = int(die.state[place] > 0)
                    word = (word & ~(1 << bit)) | (held << bit)
            read[row, column] = word - 2 ** (bits - 1) if bits > 1 else 2 * word - 1
    assert np.any(read != w_codes)
    np.testing.assert_allclose(found, x_codes @ read * x_scale * w_scale, rtol=1e-4, atol=1e-4)


def test_a_failing_cell_has_no_gradient():
    x, w = signs(KEY, (1, 64)), signs(jax.random.key(1), (64, 8))
    die = LOW.fabricate(KEY)
    slopes = jax.grad(lambda w: jnp.sum(LOW.matmul(x, w, die=die)))(w)
    failing = np.asarray(die.failing(LOW.weight_cells, LOW.supply))[:, :8]
    assert failing.any()
    assert not np.any(np.asarray(slopes)[failing])
    assert np.all(np.asarray(slopes)[~failing] == np.broadcast_to(np.asarray(x).T, (64, 8))[~failing])


def test_cells_that_cannot_fail_are_exact_and_a_foreign_die_is_refused():
    assert circuits.DigitalBinary().deterministic
    assert not LOW.deterministic
    assert LOW.ideal().deterministic
    x, w = signs(KEY, (3, 64)), signs(jax.random.key(1), (64, 8))
    safe = dataclasses.replace(LOW, supply=0.9)
    np.testing.assert_array_equal(safe.matmul(x, w, die=safe.fabricate(KEY)), x @ w)
    with pytest.raises(ValueError, match="`die` must be a die of this macro of 64 rows and 32 columns"):
        LOW.matmul(x, w, die=dataclasses.replace(LOW, rows=65).fabricate(KEY))
    code = circuits.IntegerCode(jnp.ones(()), 1, True)
    cells = jnp.zeros((4, 2), bool), jnp.ones((4, 2))
    ones = jnp.ones((1, 8)), jnp.ones((8, 3))
    coded = circuits.Coded(circuits.Operands.dense(*ones), code, ones[0], code, ones[1])
    np.testing.assert_array_equal(weights_as_read(coded, *cells), 1.0)


# --- Reports over dies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("passing", "dies"), [(0, 8), (3, 8), (64, 64)])
def test_interval_of_a_yield(passing, dies):
    expected = stats.binomtest(passing, dies).proportion_ci(method="exact")
    np.testing.assert_allclose(yield_interval(passing, dies), (passing / dies, *expected), atol=1e-12)


def test_report_separates_dies_and_items():
    rng = np.random.default_rng(0)
    data = Split(rng.standard_normal((60, 64)).astype(np.float32), rng.integers(0, 4, 60))
    params = {"weight": jnp.asarray(rng.standard_normal((64, 4)), jnp.float32)}

    def network(params, inputs):
        return inputs @ params["weight"]

    train, test = data[:40], data[40:]
    macro = dataclasses.replace(LOW, supply=0.4)
    seen = [jax.random.key(5), jax.random.key(6)]
    report = amsim.unseen_dies_report(
        network, params, macro, test, key=KEY, train=train, seen=seen, dies=3, accuracy_limit=0.3
    )
    assert dict(report.sizes) == {"part": 2, "data": 2, "die": 3, "read": 1}
    assert list(report["part"].values) == ["seen", "unseen"]
    assert list(report["data"].values) == ["train", "test"]
    for number, die_key in enumerate(seen):
        for name, split in (("train", train), ("test", test)):
            scores = amsim.deploy(network, params, macro, key=die_key)(split.inputs)
            right = np.mean(np.argmax(np.asarray(scores), axis=1) == split.labels)
            assert float(report["accuracy"].sel(part="seen", data=name)[number, 0]) == pytest.approx(right, abs=1e-9)
    assert np.isnan(report["accuracy"].sel(part="seen")[:, 2]).all()
    plain = amsim.evaluate(network, params, macro, test, key=KEY, dies=3)
    fresh = report.sel(part="unseen", data="test")
    np.testing.assert_array_equal(fresh["accuracy"], plain["accuracy"])
    assert float(fresh["accuracy_mean"]) == pytest.approx(float(plain["accuracy_mean"]), abs=1e-12)
    assert float(fresh["accuracy_worst"]) == float(plain["accuracy"].min())
    assert float(fresh["yield"]) == np.mean(plain["accuracy"].values >= 0.3)
    for name in report.data_vars:
        assert report[name].attrs["long_name"]
    with pytest.raises(ValueError, match="`accuracy_limit` must be a number from 0 to 1, but is 90"):
        amsim.unseen_dies_report(network, params, macro, test, key=KEY, accuracy_limit=90.0)
    with pytest.raises(ValueError, match="`train` must have at least one item"):
        amsim.unseen_dies_report(network, params, macro, test, key=KEY, train=data[:0])
