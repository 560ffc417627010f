"""Closed forms of layout errors and stuck cells on banks, second lines, combined and accumulated columns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combined_columns import in_double

from amsim.circuits import (
    Banks,
    Comparator,
    Faults,
    Layout,
    Leakage,
    SerialAccumulation,
    SwitchedCapacitor,
    TimeSharedCharge,
)
from amsim.circuits.charge.die_folding import fold_die
from amsim.circuits.charge.layout_error import layout_moments

ROWS, COLUMNS, ON, DRIVEN = 12, 4, 8, 5
LAYOUTS = {
    "plain": Layout(linear_gradient=0.1, quadratic_gradient=0.2, correlated_sigma=0.3, correlation_length=4.0),
    "pairs": Layout(
        linear_gradient=0.1,
        quadratic_gradient=0.2,
        correlated_sigma=0.3,
        correlation_length=4.0,
        arrangement="common-centroid",
        edge_error=0.05,
        dummies=False,
    ),
}


def covariance(layout):
    """Mean products of the errors of all cells, (rows, columns, rows, columns), cell by cell from the definition."""
    paired = layout.arrangement == "common-centroid"
    g, q, c, edge = (float(getattr(layout, name)) for name in ("linear_gradient", "quadratic_gradient",
                                                               "correlated_sigma", "edge_error"))  # fmt: skip
    length = float(layout.correlation_length)

    def place(i, j):
        return (2 * i + 1 - ROWS) / (ROWS - 1), (2 * j + 1 - COLUMNS) / (COLUMNS - 1)

    def single(i, j, k, m):
        (y, x), (v, u) = place(i, j), place(k, m)
        field = np.exp(-(abs(i - k) + abs(j - m)) / length)
        return g**2 * (y * v + x * u) + q**2 * (y**2 * v**2 + x**2 * u**2 + x * y * u * v) + c**2 * field

    def sides(i, j):
        return (i in (0, ROWS - 1)) + (j in (0, COLUMNS - 1))

    found = np.zeros((ROWS, COLUMNS, ROWS, COLUMNS))
    for i, j, k, m in np.ndindex(*found.shape):
        halves = [(i, j), (ROWS - 1 - i, COLUMNS - 1 - j)] if paired else [(i, j)]
        others = [(k, m), (ROWS - 1 - k, COLUMNS - 1 - m)] if paired else [(k, m)]
        found[i, j, k, m] = np.mean([single(*one, *other) for one in halves for other in others])
        if not layout.dummies:
            found[i, j, k, m] += edge**2 * sides(i, j) * sides(k, m)
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_moments_of_part_of_a_column_are_those_of_its_cells(name):
    """The first rows of a line of which the first banks are on, and groups of two columns."""
    with jax.enable_x64(True):
        found = layout_moments(in_double(LAYOUTS[name]), (ROWS, COLUMNS), ON, DRIVEN, 2)
    cells = covariance(LAYOUTS[name])
    groups = [[0, 1], [2, 3]]

    def mean(first, second):
        return np.mean([cells[:first][:, one][:, :, :second][..., one].sum(axis=(0, 2)) for one in groups], axis=0)

    np.testing.assert_allclose(found.driven, mean(DRIVEN, DRIVEN), rtol=1e-9)
    np.testing.assert_allclose(found.crossed, mean(DRIVEN, ON), rtol=1e-9)
    np.testing.assert_allclose(found.line, mean(ON, ON), rtol=1e-9)
    own = [[sum(cells[i, j, i, j] for i in range(DRIVEN)) for j in one] for one in groups]
    np.testing.assert_allclose(found.cells, np.mean(own, axis=0), rtol=1e-9)


QUIET = Comparator(noise=0.0, offset_sigma=0.0, trim=None)
SYSTEMATIC = Layout(linear_gradient=0.05, quadratic_gradient=0.05, correlated_sigma=0.02, correlation_length=6.0)
STUCK = Faults(stuck_high=0.04, stuck_low=0.01)


def silent(**settings):
    base = {"rows": 32, "columns": 4, "comparator": QUIET, "temperature": 0.0, "mismatch_coefficient": 0.0}
    return SwitchedCapacitor(**(base | {"line_parasitic": 20e-15} | settings))


ARRAYS = {
    "banks": silent(banks=Banks(4)),
    "pair": silent(second_line="differential", banks=Banks(4)),
    "replica": silent(second_line="replica"),
    "combined": silent(weight_bits=2, combining=TimeSharedCharge(2)),
    "combined pair": silent(weight_bits=2, combining=TimeSharedCharge(2), second_line="differential", banks=Banks(2)),
    "accumulated": silent(input_bits=2, serial_accumulation=SerialAccumulation(digits=2)),
}


def mean_square(macro, rows, activity, dies):
    """Error of lines with independent products, before their converter, of each die; counts^2."""
    macro, combined, joined = macro.for_rows(rows), macro.combined_columns, macro.joined_evaluations

    def one(key):
        drawn, data = jax.random.split(key)
        line = fold_die(macro, macro.fabricate(drawn))
        weights = jnp.asarray(2.0 ** np.arange(joined)) / (2.0**joined - 1)
        high = jax.random.bernoulli(data, activity, (16, joined, rows, macro.columns))
        products = jnp.where(high, 1.0, -1.0)
        own = jnp.broadcast_to(weights[:, None], (joined, macro.columns))
        if line.places is not None:
            own = line.places.columns / (2.0**joined - 1)
        read = jnp.einsum("bsrc,rc,sc->bc", products, line.cells[:rows], own)
        exact = (
            jnp.einsum("bsrc,s->bc", products, weights)
            * jnp.asarray(2.0 ** (np.arange(macro.columns) % combined))[None]
        )
        off = (read - exact).reshape(16, -1, combined).sum(axis=-1)
        return jnp.mean((off + line.middle(jnp.ones((1, rows)), with_bias=False) + line.offset[None]) ** 2)

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(7), dies)), float)


FAST = {("faults", "pair"), ("layout", "pair"), ("layout", "combined pair")}
"""What shows most in one program each; the others are among the slow tests."""


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param(source, name, marks=[] if (source, name) in FAST else [pytest.mark.slow])
        for source in ("layout", "faults")
        for name in ARRAYS
    ],
)
def test_reads_of_dies_have_the_predicted_error(source, name):
    macro = dataclasses.replace(ARRAYS[name], **{source: {"layout": SYSTEMATIC, "faults": STUCK}[source]})
    measured = mean_square(macro, 13, 0.25, 1500)
    predicted = float(macro.error_variances(rows=13, activity=0.25)[source])
    error = 4 * measured.std() / np.sqrt(len(measured)) + 0.05 * predicted
    assert measured.mean() == pytest.approx(predicted, abs=error)
    assert error < 0.35 * predicted


@pytest.mark.parametrize("combined", [1, 2])
def test_stuck_cells_have_the_gain_of_their_line(combined):
    """Droop and sharing that has not ended: many columns of one die with and without their faults, in NumPy."""
    leakage = Leakage(current=0.0, hold_time=1e-6, off_resistance=5e6)
    macro = silent(columns=3000, temperature=300.0, leakage=leakage, faults=STUCK)
    if combined == 2:
        slow = dataclasses.replace(TimeSharedCharge(2), resistance=2e5)
        macro = dataclasses.replace(macro, weight_bits=2, combining=slow)
        assert not np.allclose(macro.group.weights, [1, 2], rtol=0.05)
    assert macro.nominal.gain < 0.8
    die = macro.fabricate(jax.random.key(8))
    faulty, whole = fold_die(macro, die), fold_die(dataclasses.replace(macro, faults=None), die)
    high = np.random.default_rng(9).random((16, 32, 3000)) < 0.25
    # A working cell goes from low to 0 or to two of its weights; a stuck one from low to where it is stuck.
    moved = np.einsum("brc,rc->bc", 2.0 * high, np.asarray(faulty.cells) - np.asarray(whole.cells))
    read = (moved + np.asarray(faulty.held)).reshape(16, -1, combined).sum(axis=-1)
    predicted = float(macro.error_variances(activity=0.25)["faults"])
    assert np.mean(read**2) == pytest.approx(predicted, rel=0.06)
