"""Errors by place against plain loops over cells, and layouts against many sampled dies."""

# mypy: disable-error-code="arg-type"

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits.charge.layout import Layout
from amsim.circuits.charge.layout_error import layout_moments
from amsim.noise import spatial

ROWS, COLUMNS = 7, 4


def place(index, cells):
    return 0.0 if cells == 1 else -1 + 2 * index / (cells - 1)


@pytest.mark.parametrize(("rows", "columns"), [(ROWS, COLUMNS), (1, 5), (6, 1), (1, 1)])
def test_gradients_cell_by_cell(rows, columns):
    linear = spatial.linear_gradient(rows, columns, jnp.array([0.3, -0.7]))
    quadratic = spatial.quadratic_gradient(rows, columns, jnp.array([0.2, 0.5, -0.4]))
    sides = spatial.open_sides(rows, columns)
    for row in range(rows):
        for column in range(columns):
            y, x = place(row, rows), place(column, columns)
            assert float(linear[row, column]) == pytest.approx(0.3 * y - 0.7 * x, abs=1e-6)
            assert float(quadratic[row, column]) == pytest.approx(0.2 * y**2 + 0.5 * x**2 - 0.4 * x * y, abs=1e-6)
            open_ = (row == 0) + (row == rows - 1) + (column == 0) + (column == columns - 1)
            assert float(sides[row, column]) == open_


def test_coordinates_are_antisymmetric_to_the_bit():
    for cells in (1, 2, 3, 10, 1023):
        x = np.asarray(spatial.coordinates(cells))
        np.testing.assert_array_equal(x, -x[::-1])
        assert x.dtype == np.float32


@pytest.mark.parametrize("length", [0.0, 0.7, 5.0])
def test_covariance_of_the_correlated_field_is_exact(length):
    """The field is linear in its draws: its matrix times its transpose is the covariance, without sampling."""
    with jax.enable_x64(True):
        matrix = jax.jacobian(lambda white: spatial.correlated_field(white, length))(jnp.zeros((ROWS, COLUMNS)))
        matrix = np.asarray(matrix).reshape(ROWS * COLUMNS, -1)
        covariance = (matrix @ matrix.T).reshape(ROWS, COLUMNS, ROWS, COLUMNS)
        rho = math.exp(-1 / length) if length else 0.0
        for (a, b, c, d), found in np.ndenumerate(covariance):
            assert found == pytest.approx(rho ** abs(a - c) * rho ** abs(b - d), abs=1e-12)


def test_correlated_field_by_its_length():
    white = jax.random.normal(jax.random.key(0), (9, 6))
    np.testing.assert_array_equal(spatial.correlated_field(white, 0.0), white)
    np.testing.assert_allclose(spatial.correlated_field(white, 1e7), np.full((9, 6), white[0, 0]), atol=0.02)
    with jax.enable_x64(True):
        white = jnp.asarray(np.random.default_rng(0).standard_normal((9, 6)))

        def size(length):
            return jnp.sum(spatial.correlated_field(white, length) ** 3)

        difference = (size(3.001) - size(2.999)) / 0.002
        assert float(jax.grad(size)(3.0)) == pytest.approx(float(difference), rel=1e-5)
        assert np.isfinite(jax.grad(size)(0.0))
        assert np.isfinite(jax.grad(size)(1e-3))


def test_wrong_arguments_of_fields():
    with pytest.raises(ValueError, match=r"`length` must not be negative, but is -1"):
        spatial.correlated_field(jnp.zeros((2, 2)), -1.0)
    with pytest.raises(ValueError, match=r"`cells` must be an integer of at least 1, but is 0"):
        spatial.coordinates(0)
    assert np.isnan(jax.jit(lambda length: spatial.correlated_field(jnp.ones((2, 2)), length))(-1.0)[1, 1])


EVERY = Layout(linear_gradient=0.02, quadratic_gradient=0.01, correlated_sigma=0.03, correlation_length=4.0)
EDGES = Layout(edge_error=0.01, dummies=False)


def test_the_default_layout_has_no_errors():
    layout = Layout()
    np.testing.assert_array_equal(layout.errors(layout.fabricate(jax.random.key(0), ROWS, COLUMNS), ROWS, COLUMNS), 0)


def test_a_layout_is_the_sum_of_its_sources():
    die = EVERY.fabricate(jax.random.key(3), ROWS, COLUMNS)
    again = dataclasses.replace(EVERY, linear_gradient=9.0).fabricate(jax.random.key(3), ROWS, COLUMNS)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(die), jax.tree.leaves(again), strict=True))
    whole = dataclasses.replace(EVERY, edge_error=0.01, dummies=False).errors(die, ROWS, COLUMNS)
    sums = np.zeros((ROWS, COLUMNS))
    field = np.asarray(spatial.correlated_field(die.white, 4.0))
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = place(row, ROWS), place(column, COLUMNS)
            sums[row, column] += 0.02 * (float(die.linear[0]) * y + float(die.linear[1]) * x)
            a, b, c = (float(draw) for draw in die.quadratic)
            sums[row, column] += 0.01 * (a * y**2 + b * x**2 + c * x * y)
            sums[row, column] += 0.03 * field[row, column]
            sums[row, column] += 0.01 * ((row in (0, ROWS - 1)) + (column in (0, COLUMNS - 1)))
    np.testing.assert_allclose(whole, sums, atol=1e-7)


def test_common_centroid_cancels_what_is_odd():
    key = jax.random.key(1)
    for name, cancels in (("linear_gradient", True), ("quadratic_gradient", False), ("edge_error", False)):
        plain = Layout(**{name: 0.1}, dummies=False)
        pairs = dataclasses.replace(plain, arrangement="common-centroid")
        errors = pairs.errors(pairs.fabricate(key, 30, 11), 30, 11)
        if cancels:
            np.testing.assert_array_equal(errors, 0)
        else:
            np.testing.assert_allclose(errors, plain.errors(plain.fabricate(key, 30, 11), 30, 11), atol=1e-7)


def test_common_centroid_averages_the_correlated_field():
    layout = Layout(correlated_sigma=0.1, correlation_length=2.0)
    die = layout.fabricate(jax.random.key(1), ROWS, COLUMNS)
    plain = np.asarray(layout.errors(die, ROWS, COLUMNS))
    pairs = dataclasses.replace(layout, arrangement="common-centroid").errors(die, ROWS, COLUMNS)
    for row in range(ROWS):
        for column in range(COLUMNS):
            mean = (plain[row, column] + plain[ROWS - 1 - row, COLUMNS - 1 - column]) / 2
            assert float(pairs[row, column]) == pytest.approx(mean, abs=1e-7)


def test_dummies_close_the_edges():
    die = EDGES.fabricate(jax.random.key(0), ROWS, COLUMNS)
    assert float(jnp.sum(EDGES.errors(die, ROWS, COLUMNS))) == pytest.approx(0.01 * 2 * (ROWS + COLUMNS), rel=1e-5)
    np.testing.assert_array_equal(dataclasses.replace(EDGES, dummies=True).errors(die, ROWS, COLUMNS), 0)


@pytest.mark.parametrize("arrangement", ["plain", "common-centroid"])
@pytest.mark.parametrize("source", ["linear_gradient", "quadratic_gradient", "correlated_sigma"])
def test_variance_of_a_column(arrangement, source):
    """The sum of a column is linear in the draws: the squares of its derivatives are its variance."""
    with jax.enable_x64(True):
        layout = Layout(**{source: 0.05}, correlation_length=3.0, arrangement=arrangement)
        die = layout.fabricate(jax.random.key(0), ROWS, COLUMNS)
        slopes = jax.jit(jax.jacobian(lambda die: jnp.sum(layout.errors(die, ROWS, COLUMNS), axis=0)))(die)
        variance = sum(np.sum(np.asarray(leaf).reshape(COLUMNS, -1) ** 2, axis=1) for leaf in jax.tree.leaves(slopes))
        moments = layout_moments(layout, (ROWS, COLUMNS), ROWS, ROWS, COLUMNS)
        np.testing.assert_allclose(np.diagonal(moments.line), variance, rtol=1e-10, atol=1e-25)


def test_draws_are_standard():
    layout = Layout(linear_gradient=1.0)
    keys = jax.random.split(jax.random.key(5), 2000)
    dies = jax.vmap(lambda key: layout.fabricate(key, 2, 3))(keys)
    for leaf in jax.tree.leaves(dies):
        assert np.abs(np.mean(leaf, axis=0)).max() < 0.1
        assert np.abs(np.std(leaf, axis=0) - 1).max() < 0.07


def test_layout_under_transformations():
    def size(layout):
        die = layout.fabricate(jax.random.key(2), ROWS, COLUMNS)
        moments = layout_moments(layout, (ROWS, COLUMNS), ROWS, ROWS)
        return jnp.sum(layout.errors(die, ROWS, COLUMNS) ** 2) + jnp.sum(moments.line)

    for layout in (EVERY, Layout(correlation_length=0.0, dummies=False)):
        assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(jax.jit(jax.grad(size))(layout)))
    swept = jax.vmap(lambda sigma: size(Layout(correlated_sigma=sigma)))(jnp.array([0.0, 0.1]))
    assert swept[0] == 0
    assert swept[1] > 0


def test_wrong_layouts():
    with pytest.raises(ValueError, match=r"`arrangement` must be one of common-centroid, plain, but is 'centroid'"):
        Layout(arrangement="centroid")
    with pytest.raises(ValueError, match=r"`linear_gradient` must be finite and at least 0, but is -0.1"):
        Layout(linear_gradient=-0.1)
    with pytest.raises(ValueError, match=r"`die` must be of 3 rows and 3 columns"):
        EVERY.errors(EVERY.fabricate(jax.random.key(0), 2, 3), 3, 3)
    with pytest.raises(ValueError, match=r"`rows` must be an integer of at least 1, but is 0"):
        EVERY.fabricate(jax.random.key(0), 0, 3)
