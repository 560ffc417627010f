import inspect

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy import stats

from amsim import circuits
from amsim.characterisation import transfer as characterisation
from amsim.characterisation.transfer import characterise

KEY = jax.random.key(3)
STILL = circuits.Comparator(offset_sigma=0.0)


def unchecked(function):
    """The function as users without run-time type checks call it."""
    return inspect.unwrap(function)


MACRO = circuits.SwitchedCapacitor(rows=64, columns=4)


@pytest.fixture(scope="module")
def sampled():
    return characterise(MACRO, key=KEY, dies=2, reads=5)


@pytest.mark.parametrize(
    ("macro", "rows"),
    [
        (circuits.DigitalBinary(rows=32, columns=8), None),
        (circuits.MultiPrecision(rows=8, columns=4), None),
        (circuits.Exact(columns=2), 10),
        # Three tiles, the last one not full.
        (circuits.SwitchedCapacitor(rows=16, columns=4).ideal(), 40),
    ],
    ids=lambda macro: type(macro).__name__,
)
def test_an_exact_macro_reads_the_ideal_sum(macro, rows):
    found = characterise(macro, key=KEY, dies=2, reads=3, rows=rows)
    rows = macro.rows if rows is None else rows
    counts = np.arange(-rows, rows + 1, 2)
    assert found["count"].values.tolist() == counts.tolist()
    assert found["count_read"].dims == ("die", "column", "count")
    assert found["count_read"].shape == (2, macro.columns, len(counts))
    np.testing.assert_allclose(found["count_read"], np.broadcast_to(counts, found["count_read"].shape), atol=1e-5)
    np.testing.assert_allclose(found["count_sigma"], 0.0, atol=1e-5)
    assert found["error"].dims == ("die", "read", "column", "count")
    assert found["error"].shape == (2, 3, macro.columns, len(counts))
    assert not found["out_of_range"].any()


def test_a_single_error_is_that_of_the_macro_itself(sampled):
    die_key, read_key = jax.random.split(KEY)
    die = MACRO.fabricate(jax.random.fold_in(die_key, 1))
    key = jax.random.fold_in(jax.random.fold_in(read_key, 1), 4)
    # All sums at once: noise is drawn for the whole batch.
    inputs = np.array([[1.0] * ups + [-1.0] * (64 - ups) for ups in range(65)])
    read = eqx.filter_jit(lambda x, w: MACRO.matmul(x, w, die=die, key=key))
    expected = read(inputs, np.ones((64, 4))) - inputs.sum(axis=1, keepdims=True)
    found = sampled["error"].isel(die=1, read=4).transpose("count", "column")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.any(np.asarray(expected) != 0)


def test_moments_are_those_of_the_single_errors(sampled):
    assert sampled.sizes["read"] == 5
    error = sampled["error"].astype(float)
    np.testing.assert_allclose(sampled["count_read"] - sampled["count"], error.mean("read"), atol=1e-4)
    np.testing.assert_allclose(sampled["count_sigma"], error.std("read", ddof=1), atol=1e-4)
    assert float(sampled["count_sigma"].mean()) > 0.1


def test_fewer_kept_errors_change_no_moment(sampled, monkeypatch):
    monkeypatch.setattr(characterisation, "KEPT_ERRORS", 3 * 2 * 4 * 65 + 1)
    some = characterise(MACRO, key=KEY, dies=2, reads=5)
    assert some.sizes["read"] == 3
    np.testing.assert_array_equal(some["error"], sampled["error"].isel(read=slice(3)))
    np.testing.assert_allclose(some["count_read"], sampled["count_read"], atol=1e-5)
    np.testing.assert_allclose(some["count_sigma"], sampled["count_sigma"], atol=1e-4)


def test_a_die_and_a_read_do_not_depend_on_how_many_there_are(sampled):
    few = characterise(MACRO, key=KEY, dies=1, reads=2)
    np.testing.assert_array_equal(few["error"], sampled["error"].isel(die=[0], read=[0, 1]))
    assert (sampled["error"].isel(read=0) != sampled["error"].isel(read=1)).any()
    assert (sampled["count_read"].isel(die=0) != sampled["count_read"].isel(die=1)).any()
    other = characterise(MACRO, key=jax.random.key(4), dies=1, reads=2)
    assert (few["error"] != other["error"]).any()


def test_sigma_over_reads_is_noise_and_quantisation():
    comparator = circuits.Comparator(offset_sigma=0.0, noise=3e-3)
    macro = circuits.SwitchedCapacitor(rows=64, columns=4, comparator=comparator, mismatch_coefficient=0.0)
    found = characterise(macro, key=KEY, dies=2, reads=64)
    # A step is one cell, which is two counts; a quantised Gaussian much wider than a step gains step**2 / 12.
    expected = np.sqrt(float(macro.noise_counts) ** 2 + 4 / 12)
    assert expected > 4
    inside = abs(found["count"]) < 64 - 5 * expected
    measured = np.sqrt(float((found["count_sigma"].where(inside, drop=True) ** 2).mean()))
    samples = 2 * 4 * int(inside.sum()) * 63
    assert measured == pytest.approx(expected, rel=5 / np.sqrt(2 * samples))


def test_decisions_follow_the_normal_distribution_of_the_noise():
    macro = circuits.SwitchedCapacitor(rows=1024, columns=16, adc=None, comparator=STILL, mismatch_coefficient=0.0)
    found = characterise(macro, key=KEY, dies=2, reads=50)
    assert set(found.data_vars) == {"decided_up"}
    counts = found["count"].values
    # The bias DAC puts the threshold half way between the sums -2 and 0.
    expected = stats.norm.cdf((counts + 1) / float(macro.noise_counts))
    measured = found["decided_up"].mean(["die", "column"]).values
    np.testing.assert_allclose(measured, expected, atol=5 * 0.5 / np.sqrt(2 * 16 * 50))
    assert ((measured > 0.02) & (measured < 0.98)).sum() > 3
    # Every sum near the threshold, few far from it.
    assert set(range(-60, 61, 2)) <= set(counts.tolist())
    assert (counts[0], counts[-1]) == (-1024, 1024)
    assert len(counts) < 3 * characterisation.POINTS


def test_sums_outside_the_converter_are_marked():
    macro = circuits.SwitchedCapacitor(rows=64, columns=4, adc=circuits.Adc(bits=4, range=0.5))
    found = characterise(macro, key=KEY, dies=1, reads=1)
    # A step of 2 cells; codes -8 to 7 around 32 cells reach half a step further.
    cells = (found["count"].values + 64) // 2
    np.testing.assert_array_equal(found["out_of_range"].values > 0, (cells < 15) | (cells > 47))
    assert np.isnan(found["count_sigma"]).all()


def test_sums_of_a_long_line_do_not_all_fall_on_levels_of_a_converter():
    found = characterise(circuits.DigitalBinary(rows=1024, columns=1), key=KEY, dies=1, reads=1)
    counts = found["count"].values
    assert (counts[0], counts[-1]) == (-1024, 1024)
    for cells in (2, 4, 8):
        share = np.bincount((counts + 1024) // 2 % cells, minlength=cells) / len(counts)
        assert share.min() > 0.5 / cells


def test_everything_is_labelled_and_can_be_run_again(sampled):
    for name in [*sampled.data_vars, *sampled.coords]:
        assert sampled[name].attrs["units"] == "1", name
        assert sampled[name].attrs["long_name"], name
    assert sampled.attrs["reads"] == 5
    assert sampled.attrs["key"] == [0, 3]
    assert "SwitchedCapacitor" in sampled.attrs["macro"]


@pytest.mark.parametrize(
    ("macro", "change", "message"),
    [
        (circuits.DigitalBinary(rows=8, columns=2), {"dies": 0}, "`dies` must be an integer of at least 1"),
        (circuits.DigitalBinary(rows=8, columns=2), {"reads": 0}, "`reads` must be an integer of at least 1"),
        (circuits.DigitalBinary(rows=8, columns=2), {"rows": 0}, "`rows` must be an integer of at least 1"),
        (circuits.DigitalBinary(rows=8, columns=2), {"key": None}, "`key` must be one key from jax.random.key"),
        (circuits.DigitalBinary(rows=8, columns=2), {"key": 3}, "`key` must be one key from jax.random.key"),
        ("digital", {}, "`macro` must be a macro, but is 'digital' of type str"),
        (circuits.SwitchedCapacitor(rows=8, columns=2, adc=None), {"rows": 9}, "at least 9 rows"),
        (circuits.SwitchedCapacitor(rows=8, columns=2, adc=None, weight_bits=2), {}, "cannot decide"),
    ],
)
def test_wrong_arguments(macro, change, message):
    with pytest.raises(ValueError, match=message):
        unchecked(characterise)(macro, **({"key": KEY} | change))
