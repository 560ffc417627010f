"""Part of an array that a product uses: banks and lines of a column, and the digits that its operands stand in."""

import dataclasses
from abc import abstractmethod
from typing import Literal, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.banks import Banks
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.products import DenseProduct, Product
from amsim.circuits.selection.codes import (
    Coding,
    DigitSet,
    IntegerCode,
    check_coding,
    digits_of,
    even_about_zero,
    lowest_code,
    zero_point,
)

AnyArray = TypeVar("AnyArray", bound="MappedArray")


class MappedArray(Macro):
    """Columns with banks, one line or two, and cells that hold digits; the fields are those of `CapacitorArray`."""

    weight_coding: eqx.AbstractVar[Literal["auto", "bipolar", "ternary"]]
    input_coding: eqx.AbstractVar[Literal["auto", "bipolar", "unipolar"]]
    second_line: eqx.AbstractVar[Literal["none", "differential", "replica"]]
    banks: eqx.AbstractVar[Banks | None]

    @property
    def line_rows(self) -> int:
        """Cells on the line: the rows of the banks that are on."""
        return self.rows if self.banks is None else self.rows // self.banks.number * self.banks.on

    @checked_arguments
    def for_product(self: AnyArray, product: Product) -> AnyArray:
        """The array as a product uses it, with as few banks on as hold its rows; one that has chosen stays as it is."""
        if self.banks is None or self.banks.in_use is not None:
            return self
        banks = dataclasses.replace(self.banks, in_use=self.banks.needed(self.rows, product))
        # Not `replace`, whose checks would run again on all fields.
        return eqx.tree_at(lambda array: array.banks, self, banks)

    @checked_arguments
    def mapping_note(self, product: Product) -> str:
        """Rows in use, where the line is so long that readout noise weighs twice as much as on a line of just these."""
        array = self.for_product(product)
        used = product.tile_blocks(array.line_rows) * product.row_block
        if array.line_rows <= 2 * used:
            return ""
        remedy = "`banks` of the array would gate the rest" if self.banks is None else "smaller banks would gate more"
        return (
            f"{used} of {array.line_rows} rows in use, so that noise of the readout weighs "
            f"{array.line_rows / used:.2g} times as much as on a line of these rows; {remedy}."
        )

    @checked_arguments
    def for_rows(self: AnyArray, rows: int) -> AnyArray:
        """The array as a product of so many rows uses it, those of all its banks at most."""
        return self.for_product(DenseProduct(rows, 1))

    @checked_arguments
    def input_digits(self, known: Coding) -> DigitSet:
        """Digits of the inputs: see `input_coding`.

        Raises:
            ValueError: Unipolar digits are asked for, but the inputs may be negative.
        """
        check_coding("known", known)
        if isinstance(known, IntegerCode) or self.input_coding != "unipolar":
            return "bipolar"
        if not known.not_negative and zero_point(known, self.input_bits) is None:
            raise ValueError("Argument `input_coding` must not be 'unipolar' for inputs that may be negative.")
        return "unipolar"

    @checked_arguments
    def weight_digits(self, known: Coding) -> DigitSet:
        """Digits of the weights: see `weight_coding`.

        Raises:
            ValueError: Ternary digits are asked for, but the weights may take the one word without its negative.
        """
        check_coding("known", known)
        if isinstance(known, IntegerCode) or self.weight_coding == "bipolar" or self.weight_bits == 1:
            return "bipolar"
        if even_about_zero(known, self.weight_bits):
            return self._fitting_digits("ternary")
        if self.weight_coding == "ternary":
            raise ValueError(
                "Argument `weight_coding` must not be 'ternary' for weights that may take the word "
                f"{lowest_code(self.weight_bits, True)}, whose negative is no word."
            )
        return "bipolar"

    @abstractmethod
    def _fitting_digits(self, chosen: DigitSet) -> DigitSet:
        """Digits chosen for weights, or in "auto" coding others that the columns hold where these do not fit."""

    def foreign_digits(self, inputs: IntegerCode | None, weights: IntegerCode | None) -> str:
        """Digits of given codes that `input_coding` and `weight_coding` rule out, in words; "" where there are none."""
        super().foreign_digits(inputs, weights)
        pairs = {"input": (inputs, self.input_coding), "weight": (weights, self.weight_coding)}
        for operand, (code, coding) in pairs.items():
            if code is not None and not code.one_signed_bit and coding not in ("auto", code.digit_set):
                return f"{code.digit_set} digits of {operand}s, where `{operand}_coding` is {coding!r}"
        return ""

    @checked_arguments
    def codings(self, inputs: Coding, weights: Coding) -> tuple[tuple[DigitSet, DigitSet], ...]:
        """Digits that these operands can have on this array: those of its fields, where one is "auto" all."""
        check_coding("inputs", inputs)
        check_coding("weights", weights)
        given = inputs.digit_set if isinstance(inputs, IntegerCode) else self.input_digits(inputs)
        of_inputs, of_weights = [given], [self.weight_digits(weights)]
        not_negative = isinstance(inputs, IntegerCode) and not inputs.signed
        if self.input_coding == "auto" and not_negative:
            of_inputs = ["bipolar", "unipolar"]
        if self.weight_coding == "auto" and of_weights == ["ternary"]:
            of_weights = ["bipolar", "ternary"]
        return tuple((one, other) for one in of_inputs for other in of_weights)

    @property
    def weight_columns(self) -> int:
        """Columns of a weight whose range is not known."""
        digits = "bipolar" if self.weight_coding == "bipolar" else self._fitting_digits("ternary")
        return digits_of(self.weight_bits, digits)

    @property
    def lines(self) -> int:
        """Lines of a column."""
        return 1 if self.second_line == "none" else 2

    @property
    def swing(self) -> float:
        """Steps of a line in a step of what is read: two where both lines move."""
        return 2.0 if self.second_line == "differential" else 1.0

    @checked_arguments
    def high_beside(self, high: Float[Array, "..."], driven: Float[Array, "..."] | float) -> Float[Array, "..."]:
        """Cells of the second line that go high beside so many of the first, of which so many are driven.

        A cell half way counts as half a cell, as on the first line, an upper bound: from a rail of half the supply it
        draws a quarter of a unit less.
        """
        if self.second_line == "none":
            return jnp.zeros_like(high)
        return driven - high if self.second_line == "differential" else jnp.full_like(high, driven / 2)
