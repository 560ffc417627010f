"""Placement of an array's unit capacitors: systematic errors by position, and arrangements that cancel them."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, one_of, truth_values
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, quantity
from amsim.noise import spatial

ARRANGEMENTS = ("plain", "common-centroid")


class LayoutDie(eqx.Module):
    """Standard draws (mean 0, sigma 1) of the systematic errors of one die.

    Attributes:
        linear: Slopes down the rows and along the columns.
        quadratic: Curvatures down the rows, along the columns and across.
        white: Draws from which the correlated field is made.
    """

    linear: Float[Array, " 2"]
    quadratic: Float[Array, " 3"]
    white: Float[Array, "rows columns"]


def nominal_layout(rows: int, columns: int) -> LayoutDie:
    """Layout of a die on which every draw is 0: the errors that all dies share."""
    return LayoutDie(jnp.zeros((2,)), jnp.zeros((3,)), jnp.zeros((rows, columns)))


class Layout(eqx.Module):
    r"""Systematic relative errors of the unit capacitors of an array, which add to their random mismatch.

    `error(x, y) = linear_gradient (a_1 y + a_2 x) + quadratic_gradient (b_1 y^2 + b_2 x^2 + b_3 x y)
    + correlated_sigma f(x, y) + edge_error * open sides`, coordinates from -1 to 1, `a` and `b` standard normal draws
    of the die, `f` a Gaussian field of unit variance and correlation `exp(-(|dx| + |dy|) / correlation_length)`.

    In the "plain" arrangement a unit stands in its cell. In "common-centroid" it is two halves, in its cell and in the
    one opposite the centre of the array: linear gradients cancel exactly, even ones stay, the correlated field is the
    mean over both places. `dummies` around the array remove the edge error.

    Attributes:
        linear_gradient: Standard deviation, over dies, of the relative change of capacitance from the centre to the
            edge along each axis, 1; the direction is uniformly distributed.
        quadratic_gradient: The same per second-order term, 1.
        correlated_sigma: Standard deviation of the correlated mismatch, 1.
        correlation_length: Correlation length, cells; 0 makes the field white.
        edge_error: Magnitude of the relative error per side without a neighbour, 1; the same on every die.
        arrangement: "plain" or "common-centroid" (static).
        dummies: Dummy cells around the array (static).

    Raises:
        ValueError: A negative quantity or an unknown arrangement.

    All errors are 0 by default, for want of published numbers at 1 fF. Valid for errors far below 1.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "layout",
            "static",
            "Gradients, correlated mismatch and edges of the array.",
            sizes=("linear_gradient", "quadratic_gradient", "correlated_sigma", "edge_error"),
            left_out=True,
        ),
    )

    linear_gradient: Quantity = quantity("linear_gradient", unit="1", symbol="g_1", default=0.0)
    quadratic_gradient: Quantity = quantity("quadratic_gradient", unit="1", symbol="g_2", default=0.0)
    correlated_sigma: Quantity = quantity("correlated_sigma", unit="1", symbol="sigma_c", default=0.0)
    correlation_length: Quantity = quantity("correlation_length", unit="1", symbol="l", default=10.0)
    edge_error: Quantity = quantity("edge_error", unit="1", symbol="e_edge", default=0.0)
    arrangement: str = eqx.field(static=True, default="plain")
    dummies: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Check the static choices."""
        one_of("arrangement", self.arrangement, ARRANGEMENTS)
        truth_values(dummies=self.dummies)

    @property
    def in_pairs(self) -> bool:
        """Whether a unit is two halves opposite the centre of the array."""
        return self.arrangement == "common-centroid"

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray, rows: int, columns: int) -> LayoutDie:
        """Standard draws of one die; the same key gives the same die whatever the sigmas and the arrangement."""
        integer_between("rows", rows, 1)
        integer_between("columns", columns, 1)
        linear, quadratic, white = jax.random.split(key, 3)
        return LayoutDie(
            jax.random.normal(linear, (2,)),
            jax.random.normal(quadratic, (3,)),
            jax.random.normal(white, (rows, columns)),
        )

    def errors(self, die: LayoutDie, rows: int, columns: int) -> Float[Array, "rows columns"]:
        """Relative error of each unit capacitor.

        Args:
            die: Standard draws, from `fabricate` with the same rows and columns.
            rows: Number of rows.
            columns: Number of columns.

        Returns:
            Errors to be added to the random mismatch, shape (rows, columns), 1.

        Raises:
            ValueError: The die has another size.
        """
        if die.white.shape != (rows, columns):
            raise ValueError(
                f"Argument `die` must be of {rows} rows and {columns} columns, but has shape {die.white.shape}."
            )
        field = spatial.linear_gradient(rows, columns, self.linear_gradient * die.linear)
        field = field + spatial.quadratic_gradient(rows, columns, self.quadratic_gradient * die.quadratic)
        field = field + self.correlated_sigma * spatial.correlated_field(die.white, self.correlation_length)
        if not self.dummies:
            field = field + self.edge_error * spatial.open_sides(rows, columns).astype(field.dtype)
        return spatial.point_symmetric(field) if self.in_pairs else field
