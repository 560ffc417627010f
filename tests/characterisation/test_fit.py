"""Parameters of an array, found again in the reads of one whose parameters are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amsim import circuits
from amsim.characterisation.likelihood import Sweep, _covariance, read_moments
from amsim.characterisation.maximum_likelihood import fit
from amsim.characterisation.transfer import characterise

KEYS = [jax.random.key(seed) for seed in range(4)]
PARAMETERS = ("comparator.noise", "mismatch_coefficient", "comparator.offset_sigma")
TRUE = circuits.SwitchedCapacitor(rows=64, columns=32, comparator=circuits.Comparator(trim=None))
START = dataclasses.replace(
    TRUE, mismatch_coefficient=1e-10, comparator=circuits.Comparator(trim=None, noise=1e-3, offset_sigma=2e-3)
)
VALUES = np.array([0.4e-3, float(TRUE.mismatch_coefficient), 8e-3])


@pytest.fixture(scope="module")
def tables():
    return [characterise(TRUE, key=key, dies=4, reads=64) for key in KEYS]


def test_known_parameters_are_found_within_their_standard_errors(tables):
    fits = [fit(table, START, PARAMETERS) for table in tables]
    off = np.array([found.parameters["value"].values - VALUES for found in fits])
    errors = np.array([found.parameters["standard_error"].values for found in fits])
    assert np.all(np.abs(off / errors) < 4)
    # Of the right size: chi-square over the keys, each parameter, two-sided.
    total = np.sum((off / errors) ** 2, axis=0)
    assert np.all((total > stats.chi2.ppf(5e-4, len(KEYS))) & (total < stats.chi2.ppf(1 - 5e-4, len(KEYS))))
    # 128 offsets are known to 1 / sqrt(2 * 128); 8320 sigmas of 64 reads to no better than chi-square allows.
    np.testing.assert_allclose(errors[:, 2] / 8e-3, 1 / 16, rtol=0.25)
    assert np.all(errors[:, 0] / VALUES[0] > 1 / np.sqrt(2 * 63 * 8320))
    assert np.all(errors[:, 0] / VALUES[0] < 4e-3)
    assert np.all((errors[:, 1] / VALUES[1] > 0.03) & (errors[:, 1] / VALUES[1] < 0.08))
    result = fits[0].parameters
    assert result["parameter"].values.tolist() == list(PARAMETERS)
    assert result["unit"].values.tolist() == ["V", "F^0.5", "V"]
    np.testing.assert_allclose(result["start"], [1e-3, 1e-10, 2e-3], rtol=1e-6)
    assert 0.85 < result.attrs["noise_dispersion"] < 1.15
    assert 0.95 < result.attrs["static_dispersion"] < 1.05
    assert (result.attrs["reads"], result.attrs["lines"]) == (64, 128)
    macro = fits[0].macro
    got = [macro.comparator.noise, macro.mismatch_coefficient, macro.comparator.offset_sigma]
    np.testing.assert_allclose(got, result["value"], rtol=1e-6)
    assert got[0].dtype == jnp.float32
    assert result.attrs["noise_sigma"] == pytest.approx(float(TRUE.noise_counts), rel=0.01, abs=0)


def test_mismatch_needs_neither_the_offset_nor_its_trim():
    trimmed = dataclasses.replace(TRUE, comparator=circuits.Comparator())
    found = fit(characterise(trimmed, key=KEYS[0], dies=4, reads=32), trimmed)
    value, error = found.parameters["value"].values, found.parameters["standard_error"].values
    assert np.all(np.abs(value - VALUES[:2]) < 4 * error)


def test_temperature_is_found_where_thermal_noise_is_the_noise():
    hot = dataclasses.replace(
        TRUE, temperature=340.0, unit_capacitance=0.02e-15, comparator=circuits.Comparator(noise=0.1e-3)
    )
    start = dataclasses.replace(hot, temperature=0.0)
    found = fit(characterise(hot, key=KEYS[1], dies=2, reads=32), start, ["temperature"]).parameters
    value, error = float(found["value"][0]), float(found["standard_error"][0])
    assert abs(value - 340) < 4 * error < 40
    assert found["start"].item() == 300


@pytest.mark.parametrize("ratio", [0.25, 0.4, 1.0, 3.0])
def test_moments_of_quantised_reads_are_those_of_the_normal_distribution(ratio):
    """Sum over all levels, each with the probability that SciPy gives it."""
    with jax.enable_x64(True):
        step, sigma = 2.5, 2.5 * ratio
        values = np.linspace(-4.0, 4.0, 33)
        levels = step * np.arange(-200, 201)
        edges = np.concatenate([[-np.inf], levels[:-1] + step / 2, [np.inf]])
        chance = np.diff(stats.norm.cdf((edges - values[:, None]) / sigma), axis=1)
        mean = chance @ levels
        variance = np.sum(chance * (levels - mean[:, None]) ** 2, axis=1)
        shift, found = read_moments(jnp.asarray(values), jnp.asarray(sigma), step)
    np.testing.assert_allclose(shift, mean - values, atol=1e-9)
    np.testing.assert_allclose(found, variance, atol=1e-8)


def test_covariance_is_that_of_many_lines():
    """Of 20000 lines made from independent capacitors; fewer rows in use than the line has."""
    rows, used, draws, sigma = 12, 8, 20000, 0.02
    macro = circuits.SwitchedCapacitor(
        rows=rows, unit_capacitance=1e-15, mismatch_coefficient=sigma * np.sqrt(1e-15), cell_parasitic=0.0
    )
    macro = dataclasses.replace(macro, bias_dac=circuits.BiasDac(bits=2))
    generator = np.random.default_rng(0)
    units = 1 + sigma * generator.normal(size=(draws, rows))
    nominal = np.array([1, 2, 0.5])
    bias = nominal + sigma * np.sqrt(nominal) * generator.normal(size=(draws, 3))
    parasitic = float(macro.line_parasitic / macro.unit_capacitance)
    gain = (rows + 3.5 + parasitic) / (units.sum(1) + bias.sum(1) + parasitic)
    ups = np.arange(used + 1)
    lines = 2 * gain[:, None] * np.concatenate([np.zeros((draws, 1)), np.cumsum(units[:, :used], axis=1)], axis=1)
    sample = np.cov((lines - 2 * ups).T)
    with jax.enable_x64(True):
        macro = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), macro)
        sweep = Sweep(jnp.asarray(ups * 1.0), *[jnp.zeros(())] * 3, 8, 2.0, 0.0)
        expected = np.asarray(_covariance({}, macro, sweep))
        shared = np.asarray(_covariance({"comparator.offset_sigma": jnp.asarray(3e-3)}, macro, sweep))
        volt = float(macro.counts_per_volt)
    np.testing.assert_allclose(sample, expected, atol=5 * np.sqrt(2 / draws) * expected.max())
    np.testing.assert_allclose(shared - expected, (3e-3 * volt) ** 2, rtol=1e-6)


def synthetic(mean, sigma, reads=32):
    """A table of given means and sigmas over (die, column, count), in the form that `fit` takes."""
    table = characterise(circuits.DigitalBinary(rows=4, columns=mean.shape[1]), key=KEYS[0], dies=len(mean), reads=2)
    table = table.drop_vars(["error", "out_of_range"])
    table["count_read"] = table["count_read"].copy(data=mean)
    table["count_sigma"] = table["count_sigma"].copy(data=sigma)
    table.attrs["reads"] = reads
    return table


COUNTS = np.broadcast_to(np.arange(-4.0, 5.0, 2.0), (1, 8, 5))
NOISY = np.full(COUNTS.shape, 1.5)


@pytest.mark.parametrize(
    ("change", "parameters", "options", "message"),
    [
        ({}, ["comparator.nois"], {}, r"must be one of .* Did you mean 'comparator\.noise'"),
        ({}, ["supply"], {}, r"`parameters` must be one of"),
        ({}, [], {}, r"`parameters` must have one or more names"),
        ({}, ["temperature", "temperature"], {}, r"each once"),
        ({}, ["temperature", "comparator.noise"], {}, r"only one of comparator\.noise and temperature"),
        ({}, ["temperature"], {}, r"cannot identify `temperature`: of its noise"),
        ({"comparator": circuits.Comparator()}, ["comparator.offset_sigma"], {}, r"a comparator without trim"),
        ({"adc": None}, ["comparator.noise"], {}, r"uniform converter `Adc`"),
        ({"leakage": circuits.Leakage()}, ["comparator.noise"], {}, r"must have no part `leakage`"),
        ({"readout_centre": 4.0}, ["comparator.noise"], {}, r"must have no part `readout_centre`"),
        ({"rows": 2}, ["comparator.noise"], {}, r"sums of at most 2 products, but has 4"),
        ({}, ["comparator.noise"], {"reads": 7}, r"`reads` must be an integer of at least 8, but is 7"),
        # Means without any wandering: no mismatch, however well it is measured.
        ({}, ["mismatch_coefficient"], {}, r"cannot identify `mismatch_coefficient`: its standard error"),
    ],
)
def test_what_cannot_be_fitted_raises(change, parameters, options, message):
    macro = dataclasses.replace(TRUE, comparator=circuits.Comparator(trim=None, noise=3e-2))
    with pytest.raises(ValueError, match=message):
        fit(synthetic(COUNTS, NOISY), dataclasses.replace(macro, **change), parameters, **options)


@pytest.mark.parametrize("parameters", ["comparator.noise", "mismatch_coefficient", "comparator.offset_sigma"])
@pytest.mark.parametrize("stuck", [slice(None), 3])
def test_a_stuck_line_is_no_mismatch(parameters, stuck):
    """Constant means with the scatter of any other line; a line of a tenth of its gain; one that runs backwards."""
    for gain in (0.0, 0.1, -1.0):
        mean = np.array(COUNTS)
        mean[:, stuck] = 1.0 + gain * mean[:, stuck]
        column = 0 if isinstance(stuck, slice) else stuck
        table = synthetic(mean, NOISY)
        with pytest.raises(ValueError, match=rf"means that (follow|rise).*die 0, column {column}|at die 0, column"):
            fit(table, TRUE, [parameters])


def test_a_table_without_noise_or_columns_raises():
    with pytest.raises(ValueError, match=r"cannot identify noise or errors: its reads scatter by 0 counts"):
        fit(synthetic(COUNTS, 0 * NOISY), TRUE)
    with pytest.raises(ValueError, match=r"needs 4 of them, but here are 1"):
        fit(synthetic(COUNTS[:, :1], NOISY[:, :1]), TRUE, ["mismatch_coefficient"])
    table = synthetic(COUNTS, NOISY)
    del table.attrs["reads"]
    with pytest.raises(ValueError, match=r"`reads` must be given"):
        fit(table, TRUE)
