"""Operands of a product as a macro gets them, and the integer codes that it computes with."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

from amsim.circuits.checks import finite
from amsim.circuits.contract.products import DenseProduct, Product, over_columns
from amsim.circuits.selection.codes import Coding, IntegerCode
from amsim.circuits.selection.value_range import ValueRange

UNKNOWN = ValueRange()


class Operands(eqx.Module):
    """Inputs and weights of one product, with the ranges known of their values.

    Attributes:
        product: Rows, columns and geometry: how inputs meet weights.
        inputs: Inputs, in the shape that `product` takes.
        matrix: Weights, shape (rows, columns). A batch of products has its axes in front of both; an operation of a
            macro sees one member.
        input_range: Range of the inputs, from which a macro makes their code, or that code itself.
        weight_range: The same for the weights.
    """

    product: Product
    inputs: Float[Array, "..."]
    matrix: Float[Array, "*members rows columns"]
    input_range: Coding = UNKNOWN
    weight_range: Coding = UNKNOWN

    @staticmethod
    def dense(inputs: Real[ArrayLike, "... rows"], weights: Real[ArrayLike, "rows columns"]) -> "Operands":
        """Checked operands of a matrix product, without known ranges.

        Args:
            inputs: Shape (..., rows).
            weights: Shape (rows, columns).

        Raises:
            ValueError: Shapes do not match, or a value is not finite.
        """
        inputs, weights = jnp.asarray(inputs, float), jnp.asarray(weights, float)
        if weights.ndim != 2:
            raise ValueError(f"Argument `weights` must have shape (rows, columns), but has shape {weights.shape}.")
        if inputs.ndim < 1 or inputs.shape[-1] != weights.shape[0]:
            raise ValueError(
                f"Argument `inputs` must have shape (..., {weights.shape[0]}) to match the rows of `weights`, but has "
                f"shape {inputs.shape}."
            )
        if 0 in weights.shape:
            raise ValueError(
                f"Argument `weights` must have a row and a column at least, but has shape {weights.shape}."
            )
        return Operands(DenseProduct(*weights.shape), finite("inputs", inputs), finite("weights", weights))


class Coded(eqx.Module):
    """Operands as integer codes: inputs near `x_code.scale * x`, weights near `w_code.scale * w`; from `Macro.coded`.

    Attributes:
        operands: The operands as given.
        x_code: Code of the inputs.
        x: Integers of the inputs.
        w_code: Code of the weights.
        w: Integers of the weights.
    """

    operands: Operands
    x_code: IntegerCode
    x: Float[Array, "..."]
    w_code: IntegerCode
    w: Float[Array, "rows columns"]

    @property
    def product(self) -> Product:
        """Product that the operands belong to."""
        return self.operands.product

    def decode(self, sums: Float[Array, "..."]) -> Float[Array, "..."]:
        """Sums of products of codes, columns last, in units of inputs times weights."""
        return sums * self.x_code.scale * over_columns(self.w_code.scale, sums.ndim)

    def zero_digit(self, place: Int[Array, ""] | int) -> Float[Array, ""] | float:
        """Digit of weight `2**place` of an input 0, which padding is made of; 0.0 where it is 0 whatever the place."""
        return 0.0 if self.x_code.centred else self.x_code.digit(jnp.zeros((), self.x.dtype), place)

    def clipped_fractions(self) -> dict[str, Any]:
        """Fraction of each operand's values that clips, padding included, under the names of a report."""
        inputs = self.operands.inputs
        return {
            "clipped_inputs": self.x_code.clipped_fraction(inputs, self.product.padded_size(inputs.shape)),
            "clipped_weights": self.w_code.clipped_fraction(self.operands.matrix),
        }
