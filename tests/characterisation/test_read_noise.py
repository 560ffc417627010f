"""Intervals of the noise of a read against reads made by NumPy from a known noise."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from amsim import circuits
from amsim.characterisation.maximum_likelihood import fit
from amsim.characterisation.read_noise import fit_noise

ROWS, COLUMNS, STEP = 64, 48, 4.0  # counts: 2^5 codes for sums of -64 to 64
ARRAY = circuits.SwitchedCapacitor(
    rows=ROWS, columns=COLUMNS, adc=circuits.Adc(bits=5), comparator=circuits.Comparator(trim=None, noise=1e-3)
)
SILENT = dataclasses.replace(ARRAY, comparator=circuits.Comparator(trim=None, noise=0.0))
THERMAL = float(SILENT.noise_counts)
PER_VOLT = np.sqrt(float(ARRAY.noise_counts) ** 2 - THERMAL**2) / 1e-3


def moments(generator, noise, reads):
    """Mean and variance, in steps, of reads of lines with offsets and cells of unequal size."""
    cells = 2 * (1 + 0.05 * generator.normal(size=(COLUMNS, ROWS)))
    lines = np.concatenate([np.zeros((COLUMNS, 1)), np.cumsum(cells, axis=1)], axis=1) - ROWS
    lines = lines + generator.normal(0, 1.5, (COLUMNS, 1))
    codes = np.round(lines[..., None] / STEP + noise * generator.normal(size=(*lines.shape, reads)))
    return codes.mean(-1), codes.var(-1, ddof=1)


def table(generator, noise, reads):
    """The same as a table in counts."""
    mean, variance = moments(generator, noise, reads)
    parts = {"count_read": STEP * mean[None], "count_sigma": STEP * np.sqrt(variance)[None]}
    coordinates = {"die": [0], "column": np.arange(COLUMNS), "count": np.arange(-ROWS, ROWS + 1, 2)}
    variables = {name: (("die", "column", "count"), values) for name, values in parts.items()}
    return xr.Dataset(variables, coordinates, {"rows": ROWS, "reads": reads})


def covered(noise, reads, fits, seed):
    """Number of fits of which the 95 % interval holds the noise."""
    generator = np.random.default_rng(seed)
    found = [fit_noise(*moments(generator, noise, reads), reads, 1.0) for _ in range(fits)]
    return sum(abs(one.sigma - noise) <= 1.96 * one.error for one in found)


@pytest.mark.parametrize(("noise", "reads"), [(0.31, 8), (0.31, 32), (1.0, 8), (3.0, 8)])
def test_interval_of_the_noise_covers(noise, reads):
    """At least what 0.95 gives but once in 4000 times; by the normal likelihood it was 0 to 75 % at 0.31 steps."""
    assert covered(noise, reads, 40, 0) >= stats.binom.ppf(2.5e-4, 40, 0.95)


@pytest.mark.slow("300 fits of each; the test above has 40")
@pytest.mark.parametrize(("noise", "reads"), [(0.28, 8), (0.31, 64), (0.5, 32), (1.0, 8), (3.0, 64)])
def test_coverage_is_95_percent(noise, reads):
    held = covered(noise, reads, 300, 1)
    print(f"{noise:g} steps, {reads} reads: {100 * held / 300:.1f} %")
    assert stats.binomtest(held, 300, 0.95).pvalue > 1e-3


def test_interval_is_that_of_the_comparator_beside_the_thermal_noise():
    generator, noise = np.random.default_rng(5), 0.35
    drawn = table(generator, noise, 16)
    found = fit(drawn, ARRAY, ["comparator.noise"]).parameters.isel(parameter=0)
    true = np.sqrt((STEP * noise) ** 2 - THERMAL**2) / PER_VOLT
    assert found["low"] < true < found["high"]
    sigma = found.attrs["noise_sigma"]
    assert found["value"].item() == pytest.approx(np.sqrt(sigma**2 - THERMAL**2) / PER_VOLT, rel=1e-5)
    # To first order the ends lie 1.96 standard errors off.
    ends = [(found[name] - found["value"]).item() / found["standard_error"].item() for name in ("low", "high")]
    np.testing.assert_allclose(ends, [-1.96, 1.96], rtol=0.03)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
def test_noise_far_below_the_step_is_no_number(noise):
    generator = np.random.default_rng(2)
    with pytest.raises(ValueError, match=r"cannot identify noise or errors: .* at least 0\.25 of a step"):
        fit(table(generator, noise, 32), ARRAY, ["comparator.noise"])


@pytest.mark.parametrize("noise", [0.3, 0.6, 5.0])
def test_no_bias_wherever_the_values_lie(noise):
    """All values at one place between two levels, of which the equation assumes nothing; no interval of its own."""
    generator = np.random.default_rng(3)
    for place in (0.0, 0.2, 0.35):
        read = np.round(place + noise * generator.normal(size=(20000, 8)))
        found = fit_noise(read.mean(-1), read.var(-1, ddof=1), 8, 1.0)
        assert abs(found.sigma - noise) < 4 * found.error < 0.1 * noise
        assert abs(found.error / noise - 1 / np.sqrt(2 * 7 * 20000)) < 0.03


@pytest.mark.parametrize(("noise", "reads"), [(0.3, 8), (0.5, 16), (4.0, 8)])
def test_dispersion_is_1_for_gaussian_noise_only(noise, reads):
    generator = np.random.default_rng(4)
    places, shape = generator.uniform(size=20000), (20000, reads)
    found = []
    for drawn in (generator.normal(size=shape), generator.laplace(size=shape) / np.sqrt(2)):
        read = np.round(places[:, None] + noise * drawn)
        found.append(fit_noise(read.mean(-1), read.var(-1, ddof=1), reads, 1.0).dispersion)
    assert found[0] == pytest.approx(1, abs=0.05)
    assert found[1] > 1.2
