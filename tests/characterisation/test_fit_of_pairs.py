"""Parameters of arrays with a second line, found again in reads of explicit capacitors made by NumPy."""

import jax
import numpy as np
import pytest
from scipy import constants

from amsim import circuits
from amsim.characterisation.maximum_likelihood import fit
from amsim.characterisation.transfer import characterise

ROWS, COLUMNS, DIES, READS = 32, 32, 4, 64
NOISE, OFFSET, COEFFICIENT = 10e-3, 20e-3, 0.04 * np.sqrt(1e-15)
NAMES = ("comparator.noise", "mismatch_coefficient", "comparator.offset_sigma")


def start(second_line):
    return circuits.SwitchedCapacitor(
        rows=ROWS,
        columns=COLUMNS,
        second_line=second_line,
        bias_dac=circuits.BiasDac(bits=3),
        mismatch_coefficient=1e-9,
        comparator=circuits.Comparator(trim=None, noise=3e-3, offset_sigma=5e-3),
    )


def volts(generator, macro, high):
    """Settled lines of all dies and columns for the rows that go high, (dies, columns, sums), and their capacitance."""
    unit = float(macro.unit_capacitance)
    sections = unit * np.asarray(macro.bias_dac.section_units(), float)

    def made(nominal, *shape):
        return nominal + COEFFICIENT * np.sqrt(nominal) * generator.standard_normal((*shape, *np.shape(nominal)))

    cells, dac = made(np.full(ROWS, unit), DIES, COLUMNS), made(sections, DIES, COLUMNS)
    fixed = ROWS * float(macro.cell_parasitic) + float(macro.line_parasitic)
    total = cells.sum(axis=-1) + dac.sum(axis=-1) + fixed
    return float(macro.supply) * (cells @ high) / total[..., None], ROWS * unit + sections.sum() + fixed


def table_of(second_line, seed):
    """Means and sigmas of reads of a sweep, through a converter that resolves a cell."""
    macro, generator = start(second_line), np.random.default_rng(seed)
    high = (np.arange(ROWS)[:, None] < np.arange(ROWS + 1)[None, :]) * 1.0
    first, total = volts(generator, macro, high)
    beside, _ = volts(generator, macro, 1.0 - high if second_line == "differential" else 0.0 * high + 0.5)
    settled = first - beside + OFFSET * generator.standard_normal((DIES, COLUMNS, 1))
    sigma = np.hypot(NOISE, np.sqrt(2 * constants.k * 300.0 / total))
    read = settled[..., None] + sigma * generator.standard_normal((*settled.shape, READS))
    cell = float(macro.supply) * float(macro.unit_capacitance) / total * (2 if second_line == "differential" else 1)
    codes = np.round(read / cell)
    table = characterise(circuits.DigitalBinary(rows=ROWS, columns=COLUMNS), key=jax.random.key(0), dies=DIES, reads=2)
    table = table.drop_vars(["error", "out_of_range"])
    table["count_read"] = table["count_read"].copy(data=2 * codes.mean(axis=-1))
    table["count_sigma"] = table["count_sigma"].copy(data=2 * codes.std(axis=-1, ddof=1))
    table.attrs["reads"] = READS
    return table


@pytest.mark.parametrize("second_line", ["differential", "replica"])
def test_parameters_of_a_column_in_numpy_are_found(second_line):
    found = fit(table_of(second_line, 1), start(second_line), NAMES)
    value, error = (found.parameters[name].values for name in ("value", "standard_error"))
    assert np.all(np.abs(value - [NOISE, COEFFICIENT, OFFSET]) < 4 * error)
    assert np.all(error / value < [0.01, 0.12, 0.1])
    assert 0.9 < found.parameters.attrs["static_dispersion"] < 1.1
    assert 0.85 < found.parameters.attrs["noise_dispersion"] < 1.15


def test_taken_for_single_lines_a_pair_is_half_as_mismatched():
    """What the fit of a pair knows: `1 / sqrt(2)` of a cell's mismatch, and twice the step for an offset."""
    table = table_of("differential", 2)
    pair = fit(table, start("differential"), NAMES).parameters["value"].values
    single = fit(table, start("none"), NAMES).parameters["value"].values
    assert single[1] == pytest.approx(pair[1] / np.sqrt(2), rel=0.2)
    assert single[2] == pytest.approx(pair[2] / 2, rel=0.05)
