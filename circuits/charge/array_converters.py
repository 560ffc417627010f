"""Converters of a switched-capacitor array as line values choose them: range, centre and digits."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

from amsim.circuits.adc.range_selection import check_method
from amsim.circuits.charge.array_cost import ArrayCost
from amsim.circuits.charge.readout_choice import choose_readout, line_moments
from amsim.circuits.charge.readout_range import count_line_values, select_full_scale
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.bit_slicing import check_groups
from amsim.circuits.contract.converted_lines import no_converter
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import Product
from amsim.circuits.contract.readout import Coding as Digits
from amsim.circuits.contract.readout import Readout
from amsim.circuits.contract.work import Work
from amsim.circuits.selection.codes import IntegerCode, digits_of

AnyArray = TypeVar("AnyArray", bound="ArrayConverters")


class ArrayConverters(ArrayCost):
    """An array whose converters can be made to suit sample data; the fields are those of `CapacitorArray`."""

    @checked_arguments
    def with_selected_range(
        self: AnyArray,
        inputs: Real[ArrayLike, "... rows"],
        weights: Real[ArrayLike, "rows columns"],
        *,
        method: str = "minimum-error",
        coverage: float = 0.999,
    ) -> AnyArray:
        """The same macro with its converter's range chosen from the line values of sample data.

        Args:
            inputs: Typical inputs, shape (..., rows).
            weights: Weights, shape (rows, columns).
            method: "min-max", "percentile" or "minimum-error", as in `amsim.circuits.adc.select_range`.
            coverage: For "percentile".

        Returns:
            The macro; its converter's step is a constant of the choice.

        Raises:
            ValueError: Operands as in `matmul`, an unknown method, or a macro without a converter.
        """
        check_method("method", method, coverage)
        operands = Operands.dense(inputs, weights)
        counts = self.line_counts(operands)
        chosen = self.selected_readout_range(operands.product, counts, method=method, coverage=coverage)
        return self.with_readout_range(chosen)

    @property
    def readout_range(self) -> Float[Array, ""] | None:
        """Full scale of the converter relative to the swing of the driven rows, 1."""
        return None if self.adc is None else self.adc.range

    def line_counts(self, operands: Operands) -> Int[Array, "tiles values"]:
        """Number of times that nominal lines take 0, a half, 1, ... steps, over all input and weight digits; exact.

        A cell is one step, or with `row_dac` or `serial_accumulation` the steps of its levels (`cell_steps`).
        """
        if self.adc is None:
            raise ValueError(no_converter(self))
        coded, rows = self.coded(operands), self.for_product(operands.product).line_rows
        check_groups(coded, self.combined_columns)
        return count_line_values(coded, rows, self.combined_columns, self.digits_together)

    @checked_arguments
    def selected_readout_range(
        self, product: Product, counts: Real[Array, "tiles values"], *, method: str, coverage: float
    ) -> Float[Array, ""]:
        """Range of the converter that suits these line values."""
        if self.adc is None:
            raise ValueError(no_converter(self))
        rows = self.for_product(product).line_rows
        combined, steps = self.combined_columns, self.cell_steps
        return select_full_scale(
            self.adc, product, rows, counts, method=method, coverage=coverage, combined=combined, steps=steps
        )

    @checked_arguments
    def with_readout_range(self: AnyArray, full_scale: Float[Array, ""]) -> AnyArray:
        """The same macro with another converter range."""
        if self.adc is None:
            raise ValueError(no_converter(self))
        full_scale = jnp.asarray(full_scale).astype(self.adc.range.dtype)
        return eqx.tree_at(lambda macro: macro.adc.range, self, full_scale)

    @checked_arguments
    def with_readout_centre(self: AnyArray, shift: Real[ArrayLike, "..."]) -> AnyArray:
        """The same macro with another field `readout_centre`."""
        if self.adc is None:
            raise ValueError(no_converter(self))
        return dataclasses.replace(self, readout_centre=jnp.asarray(shift, float))

    def readout_profiles(self, operands: Operands) -> dict[str, Array]:
        """Moments of each line in the coding of the operands' codes, for `chosen_readout`."""
        if self.adc is None:
            raise ValueError(no_converter(self))
        if self.digits_together > 1:
            raise ValueError(
                "Argument `method` must not choose the readout of an array with a `row_dac` of several bits or "
                "`serial_accumulation`, whose conversions read several input bits at once; choose a range by one of "
                'the other methods, such as "minimum-error".'
            )
        coded = self.coded(operands)
        check_groups(coded, self.combined_columns)
        return line_moments(self.for_product(operands.product), coded)

    def chosen_readout(
        self, product: Product, inputs: IntegerCode, weights: IntegerCode, profiles: Mapping[Digits, Mapping[str, Any]]
    ) -> Readout:
        """Closed-form choice of `amsim.circuits.charge.readout_choice`."""

        def energy(coding: Digits, switched: Any, high: Any) -> Array:
            columns = digits_of(self.weight_bits, coding[1])
            work = Work(product, 1, product.rows, 1.0, weight_columns=columns)
            return self.cost(work, {"switched_units": jnp.asarray(switched), "high_cells": jnp.asarray(high)}).energy

        return choose_readout(self.for_product(product), product, (inputs, weights), profiles, energy)
