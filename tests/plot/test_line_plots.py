"""What lines carry before they are read, and its picture."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawings import bars, legend

import amsim
from amsim import circuits
from amsim.characterisation.lines import line_values, site_line_values
from amsim.circuits.adc import Adc
from amsim.plot import plot_line_values
from amsim.results.provenance import described

pytestmark = pytest.mark.usefixtures("only_drawn")

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.choice([-1.0, 1.0], (50, 40))
WEIGHTS = GENERATOR.choice([-1.0, 1.0], (40, 6))
NARROW = circuits.SwitchedCapacitor(rows=16, columns=8, adc=Adc(bits=3, range=0.5))


@pytest.fixture(scope="module")
def narrow():
    return line_values(NARROW, INPUTS, WEIGHTS)


def upright(ax, style) -> list[float]:
    """Places of vertical lines of a style."""
    lines = [np.asarray(line.get_xdata()) for line in ax.lines if line.get_linestyle() == style]
    return [float(at[0]) for at in lines if len(at) == 2]


def cells_of(first, last):
    """High cells of every line that sums these rows, by plain NumPy."""
    return ((INPUTS[:, first:last] @ WEIGHTS[first:last] + (last - first)) / 2).ravel()


def test_line_values_and_clipping_against_plain_sums(narrow):
    found = narrow
    assert found["driven_rows"].values.tolist() == [16, 16, 8]
    outside = []
    for tile, (first, last) in enumerate(((0, 16), (16, 32), (32, 40))):
        expected = np.bincount((2 * cells_of(first, last)).astype(int), minlength=33)
        np.testing.assert_array_equal(found["occurrences"].values[tile], expected)
        # 8 codes over half of the rows, at least a cell apart, around half of the rows: codes -4 to 3.
        lsb = max((last - first) / 2 / 8, 1.0)
        assert found["lsb"].values[tile] == lsb
        low, high = (last - first) / 2 - 4.5 * lsb, (last - first) / 2 + 3.5 * lsb
        assert (found["range_low"].values[tile], found["range_high"].values[tile]) == (low, high)
        outside.append(np.mean((cells_of(first, last) < low) | (cells_of(first, last) > high)))
    assert np.mean(outside) > 0.01
    assert float(found["clipped"]) == pytest.approx(np.mean(outside), rel=1e-5)
    volts = float(NARROW.supply * NARROW.unit_capacitance / NARROW.total_capacitance)
    assert float(found["cell_voltage"]) == pytest.approx(volts, rel=1e-6, abs=0)
    assert found.attrs["macro"] == described(NARROW)


def test_noise_is_what_a_search_makes_of_its_decisions():
    """Searches written out in NumPy, each decision with noise of its own, beside kT/C noise of the line."""
    plain = circuits.SwitchedCapacitor(rows=128, columns=4, adc=circuits.SarAdc(bits=6))
    comparator = circuits.Comparator(noise=3.0 * float(plain.cell_voltage))
    macro = dataclasses.replace(plain, comparator=comparator)
    found = line_values(macro, GENERATOR.choice([-1.0, 1.0], (3, 192)), GENERATOR.choice([-1.0, 1.0], (192, 2)))
    thermal = 1.380649e-23 * 300.0 / float(plain.total_capacitance) / float(plain.cell_voltage) ** 2
    for lsb, noise in zip((2.0, 1.0), found["read_noise"].values, strict=True):
        values = GENERATOR.uniform(20.0, 44.0, 200_000)
        code = np.zeros_like(values)
        for place in 2.0 ** np.arange(5, -1, -1):
            drawn = GENERATOR.normal(0.0, 3.0 / lsb, values.size)
            code = np.where(values + drawn > code + place - 0.5, code + place, code)
        searched = (np.mean((code - values) ** 2) - 1 / 12) * lsb**2
        assert noise**2 == pytest.approx(thermal + searched, rel=0.05)
        assert noise**2 < 0.8 * 9.0


def test_bars_are_codes_of_the_converter(narrow):
    ax = plot_line_values(narrow)
    cells = np.concatenate([cells_of(0, 16), cells_of(16, 32)])
    assert sum(bar.get_height() for bar in bars(ax)) == pytest.approx(100)
    for bar in bars(ax):
        inside = (cells >= bar.get_x()) & (cells < bar.get_x() + bar.get_width())
        clipped = (cells < 3.5) | (cells > 11.5)
        kind = clipped if bar.get_hatch() else ~clipped
        assert bar.get_height() == pytest.approx(100 * np.mean(inside & kind))
    assert upright(ax, "--") == [3.5, 11.5]
    share = 100 * np.mean((cells < 3.5) | (cells > 11.5))
    assert f"range of the converter: 8 codes of 1 cells, clips {share:.2g} %" in legend(ax)
    assert ax.get_xlabel() == "cells high of 16 in 2 of 3 tiles"
    single = plot_line_values(narrow, tile=2)
    assert single.get_xlabel() == "cells high of 8 in tile 2"
    assert max(bar.get_x() + bar.get_width() for bar in bars(single)) <= 9


def network(params, inputs):
    hidden = jnp.where(inputs @ jnp.sign(params["first"]) + params["bias"][None, :] >= 0, 1.0, -1.0)
    return hidden @ jnp.sign(params["second"])


def test_sites_of_a_chip_have_thresholds_or_a_range():
    bias = GENERATOR.normal(0, 3, 6)
    second = GENERATOR.choice([-1.0, 1.0], (6, 3))
    params = {"first": jnp.asarray(WEIGHTS), "bias": jnp.asarray(bias), "second": jnp.asarray(second)}
    macro = circuits.SwitchedCapacitor(rows=64, columns=8)
    chip = amsim.deploy(lambda p, x: network(p, jnp.sign(x)), params, macro, key=jax.random.key(0))
    fused = site_line_values(chip, INPUTS, "first")
    cells = (INPUTS @ WEIGHTS + 40) / 2
    expected = np.bincount((2 * cells).astype(int).ravel(), minlength=fused.sizes["high_cells"])
    np.testing.assert_array_equal(fused["occurrences"].values[0], expected)
    np.testing.assert_array_equal(cells > fused["threshold"].values, INPUTS @ WEIGHTS + bias >= 0)
    assert "lsb" not in fused
    ax = plot_line_values(fused)
    assert ax.get_xlabel() == "cells high of 40, site first"
    assert "thresholds of 6 neurons, 0 % beyond the range of the bias DAC" in legend(ax)
    assert upright(ax, "-") == fused["threshold"].values.tolist()
    read = site_line_values(chip, INPUTS, "second")
    hidden = np.where(INPUTS @ WEIGHTS + bias >= 0, 1, -1)
    expected = np.bincount((hidden @ second + 6).astype(int).ravel(), minlength=13)
    np.testing.assert_array_equal(read["occurrences"].values[0], expected)
    assert float(read["clipped"]) == 0
    with pytest.raises(ValueError, match="`site` must be one of first, second, but is 'third'"):
        site_line_values(chip, INPUTS, "third")


def test_lines_that_cannot_be_drawn(narrow):
    found = narrow
    with pytest.raises(ValueError, match="`tile` must be from 0 to 2, but is 3"):
        plot_line_values(found, tile=3)
    with pytest.raises(ValueError, match="must have an occurrence"):
        plot_line_values(found.assign(occurrences=0 * found["occurrences"]))
    with pytest.raises(ValueError, match="lacks occurrences"):
        plot_line_values(found[["clipped"]])
    with pytest.raises(ValueError, match="`macro` must have an `adc`"):
        line_values(circuits.SwitchedCapacitor(adc=None), INPUTS, WEIGHTS)
