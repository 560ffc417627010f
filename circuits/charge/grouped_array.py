"""Columns of an array in groups: bits of a weight that are combined before a conversion, and a converter's columns."""

from abc import abstractmethod
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.adc import Converter
from amsim.circuits.charge.combining import Combining
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.leakage import Leakage
from amsim.circuits.charge.mapped_array import MappedArray
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.bit_slicing import swing_of
from amsim.circuits.fields import Quantity
from amsim.circuits.selection.codes import Coding, DigitSet, digits_of
from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import ratio

AnyArray = TypeVar("AnyArray", bound="GroupedArray")


class Group(NamedTuple):
    """Nominal columns that are combined.

    Attributes:
        shares: Volts of the combined node per volt of each line, the least significant first.
        held: Capacitance that holds that node, F.
        full_share: Sum of the shares when all charge is shared, to which the readout's range is made.
        weights: Weight of each line as it is read, in cells of the least significant one; ideally `2^j`.
    """

    shares: Float[Array, " bits"]
    held: Float[Array, ""]
    full_share: Float[Array, ""]
    weights: Float[Array, " bits"]


class GroupedArray(MappedArray):
    """Columns that are read in groups; the fields are those of `CapacitorArray`.

    Converter `k` reads columns `k m .. (k+1) m - 1` of `m = columns_per_converter`, groups of combined columns in their
    order. All of them settle together; each holds its lines until its turn, which comes when those before it have been
    converted, and is combined then.
    """

    combining: eqx.AbstractVar[Combining | None]
    columns_per_converter: eqx.AbstractVar[int | None]
    comparator: eqx.AbstractVar[Comparator | None]
    leakage: eqx.AbstractVar[Leakage | None]
    adc: eqx.AbstractVar[Converter | None]
    supply: eqx.AbstractVar[Quantity]
    process: eqx.AbstractVar[Process]

    @property
    @abstractmethod
    def total_capacitance(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, F."""

    @property
    @abstractmethod
    def counts_per_volt(self) -> Float[Array, ""]:
        """Counts per volt of what is read, 1/V."""

    @property
    @abstractmethod
    def readout_slowing(self) -> Float[Array, ""]:
        """Time of the readout's logic over that at 28 nm and the supply where its comparator is stated, 1."""

    @property
    def joined(self) -> Combining | None:
        """The circuit that combines columns; None where none is there or it would join one column to itself."""
        return None if self.combining is None or self.combining.bits == 1 else self.combining

    @property
    def combined_columns(self) -> int:
        """Neighbouring columns that are read as one value."""
        return 1 if self.joined is None else self.joined.bits

    @property
    def group(self) -> Group | None:
        """Nominal columns of a group; None where each column is read by itself."""
        if self.joined is None:
            return None
        shares, held = self.joined.nominal_group(self.total_capacitance)
        full_share = jnp.sum(self.joined.nominal_group(self.total_capacitance, settled=True).shares)
        return Group(shares, held, full_share, ratio(shares, full_share) * swing_of(self.combined_columns))

    @property
    def readout_columns(self) -> int:
        """Columns of one converter."""
        return self.combined_columns if self.columns_per_converter is None else self.columns_per_converter

    @property
    def turns(self) -> int:
        """Conversions that a converter makes one after another in an evaluation."""
        return self.readout_columns // self.combined_columns

    @property
    def turn_time(self) -> Float[Array, ""]:
        """Time of one turn, s: of a conversion, or where there is only a comparator of a decision on one count."""
        if self.adc is not None:
            return self.adc.conversion_time(float(self.line_rows), self.readout_slowing)
        assert self.comparator is not None
        return self.comparator.decision_time(ratio(1.0, self.counts_per_volt), self.supply, self.process)

    @checked_arguments
    def after_waiting(self: AnyArray, time: Float[Array, ""]) -> AnyArray:
        """The array whose lines hold for so much longer (s), which only leakage minds."""
        if self.leakage is None:
            return self
        # Not `replace`, whose checks would run again on all fields.
        return eqx.tree_at(lambda one: one.leakage.hold_time, self, self.leakage.hold_time + time)

    def of_readouts(self, draws: Any) -> Any:
        """Draws of each column's readout: what a converter reads in turn has the draws of its first column.

        Args:
            draws: Arrays whose first axis are columns, in any structure.

        Returns:
            The same with one entry for each conversion: a column, or a group of combined ones.
        """
        columns, turns = self.readout_columns, self.turns
        if columns == 1:
            return draws
        return jax.tree.map(lambda values: jnp.repeat(values[::columns], turns, axis=0), draws)

    @property
    def waits(self) -> Float[Array, " turns"]:
        """Time for which what is read in each turn waits for those before it, s."""
        return jnp.arange(self.turns, dtype=self.supply.dtype) * self.turn_time

    @checked_arguments
    def codings(self, inputs: Coding, weights: Coding) -> tuple[tuple[DigitSet, DigitSet], ...]:
        """Digits that these operands can have on this array, those of weights that fill whole groups."""
        possible = super().codings(inputs, weights)
        whole = [one for one in possible if digits_of(self.weight_bits, one[1]) % self.combined_columns == 0]
        return tuple(whole) or possible

    def _fitting_digits(self, chosen: DigitSet) -> DigitSet:
        """Digits chosen for weights, or in "auto" coding those of the others that fill whole groups."""
        fills = {one: digits_of(self.weight_bits, one) % self.combined_columns == 0 for one in (chosen, "bipolar")}
        return "bipolar" if self.weight_coding == "auto" and not fills[chosen] and fills["bipolar"] else chosen


def check_columns(array: Any) -> None:
    """Raise ValueError for groups and converters that do not divide an array, or parts that groups cannot have."""
    bits, shared = array.combined_columns, array.columns_per_converter
    if array.columns % bits:
        raise ValueError(
            f"Argument `combining` must join a number of bits that divides the {array.columns} columns, but joins "
            f"{bits}."
        )
    digits = {
        "bipolar": (array.weight_bits,),
        "ternary": (digits_of(array.weight_bits, "ternary"),),
        "auto": (digits_of(array.weight_bits, "ternary"), array.weight_bits),
    }[array.weight_coding]
    if all(number % bits for number in digits):
        possible = " or ".join(str(number) for number in dict.fromkeys(digits))
        raise ValueError(
            f"Argument `combining` must join a number of bits that divides the {possible} {array.weight_coding} digits "
            f"of {array.weight_bits}-bit weights, but joins {bits}."
        )
    if bits > 1 and array.adc is None:
        raise ValueError("Argument `adc` must be given with `combining`: a comparator decides on single bits only.")
    if bits > 1 and array.has_rail:
        raise ValueError(
            "Argument `combining` must be None, or join one bit, for drivers with a `supply_resistance`: what their "
            "rail takes from a line depends on its value, so that lines on it have no fixed weights."
        )
    if bits > 1 and array.sampling_capacitance is not None:
        raise ValueError(
            "Argument `adc` must have no `input_capacitance` with `combining`: what it takes from the combined node is "
            "not modelled."
        )
    if bits > 1 and array.at_trim is not None:
        raise ValueError(
            "Argument `comparator` must have a trim without a `temperature` and `supply` of its own with `combining`: "
            "the drift of what combined lines add is not modelled."
        )
    if shared is None:
        return
    integer_between("columns_per_converter", shared, 1)
    if shared % bits or array.columns % shared:
        raise ValueError(
            f"Argument `columns_per_converter` must divide the {array.columns} columns into whole groups of {bits} "
            f"combined ones, but is {shared}."
        )
    if shared > bits and array.leakage is not None and array.has_rail:
        raise ValueError(
            "Argument `columns_per_converter` must be None, or join no further columns, for drivers with a "
            "`supply_resistance` beside `leakage`: how far lines on a rail settle while they wait is not modelled."
        )
