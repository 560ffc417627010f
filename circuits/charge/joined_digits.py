"""Input digits that share a conversion: several bits on one level of a row, or line after line in charge."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.charge_line import switched_capacitance
from amsim.circuits.charge.grouped_array import GroupedArray
from amsim.circuits.charge.row_dac import RowDac, mean_square
from amsim.circuits.charge.serial_accumulation import SerialAccumulation
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.bit_slicing import Slice, place_value
from amsim.circuits.contract.products import Product
from amsim.circuits.contract.stationary import columns_of_weight
from amsim.circuits.contract.work import Work
from amsim.circuits.fields import Quantity
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.noise.finite_slopes import ratio
from amsim.noise.loops import scan

REFUSED_BESIDE_SERIAL = ("drivers", "reset", "leakage", "supply_noise")
"""Parts of an array that act on each of several evaluations in a way that this package does not add up."""


class JoinedDigits(GroupedArray):
    """An array of which a conversion reads `digits_together` input digits at once; the fields are those of an array.

    The unit of what is read then is one of the `cell_steps = 2**digits_together - 1` steps of a cell, so that sums stay
    whole numbers: without either part a cell has one step.
    """

    row_dac: eqx.AbstractVar[RowDac | None]
    serial_accumulation: eqx.AbstractVar[SerialAccumulation | None]
    drivers: eqx.AbstractVar[Any]
    readout_centre: eqx.AbstractVar[Float[Array, "..."] | None]
    clock: eqx.AbstractVar[Quantity]
    evaluation_cycles: eqx.AbstractVar[Quantity]

    def check_joined_digits(self) -> None:
        """Raise ValueError where these parts do not suit the word length, or a part that they cannot be beside."""
        dac, serial, drivers, bits = self.row_dac, self.serial_accumulation, self.drivers, self.input_bits
        if dac is not None and bits % dac.bits:
            raise ValueError(
                f"Argument `row_dac` must have bits that divide the {bits} bits of an input, but has {dac.bits}."
            )
        if dac is not None and dac.bits > 1 and drivers is not None and drivers.supply_resistance is not None:
            raise ValueError(
                "Argument `drivers` must have no `supply_resistance` beside a `row_dac` of several bits, whose levels "
                "have rails of their own."
            )
        if self.digits_together > 1:
            self._check_shared_conversion("row_dac" if serial is None else "serial_accumulation")
        if serial is None:
            return
        if bits % self.digits_together:
            each = "" if self.digit_bits == 1 else f" of {self.digit_bits} bits"
            raise ValueError(
                f"Argument `serial_accumulation` must have digits{each} that divide the {bits} bits of an "
                f"input, but has {serial.digits}."
            )
        for name in REFUSED_BESIDE_SERIAL:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"Argument `{name}` must be None beside `serial_accumulation`: what it does to each of several "
                    "evaluations is not modelled together."
                )
        if self.second_line != "none":
            raise ValueError(
                f"Argument `second_line` must be 'none' beside `serial_accumulation`, but is {self.second_line!r}."
            )
        if self.comparator is not None and self.comparator.kickback is not None:
            raise ValueError("Argument `comparator` must have no `kickback` beside `serial_accumulation`.")
        if self.at_trim is not None:
            raise ValueError(
                "Argument `comparator` must have a trim without a `temperature` and `supply` of its own beside "
                "`serial_accumulation`: the drift of what joined lines add is not modelled."
            )
        if self.sampling_capacitance is not None:
            raise ValueError(
                "Argument `adc` must have no `input_capacitance` beside `serial_accumulation`: what it takes from the "
                "accumulation capacitor is not modelled."
            )
        if self.turns > 1 and serial.off_resistance is not None:
            raise ValueError(
                "Argument `columns_per_converter` must be None, or join no further columns, beside a "
                "`serial_accumulation` with an `off_resistance`: its droop while columns wait is not modelled."
            )

    def _check_shared_conversion(self, name: str) -> None:
        """Raise ValueError for combined columns or a shifted readout beside input bits that share a conversion."""
        several = f"`{name}`" if name == "serial_accumulation" else f"a `{name}` of several bits"
        if self.joined is not None:
            raise ValueError(
                f"Argument `combining` must be None, or join one bit, beside {several}: bits of weights and of inputs "
                "in one conversion are not modelled together."
            )
        if self.readout_centre is not None:
            raise ValueError(
                f"Argument `readout_centre` must be None beside {several}: shifts of several "
                "bits in one conversion are not modelled."
            )

    @property
    def digit_bits(self) -> int:
        """Input bits of one evaluation."""
        return 1 if self.row_dac is None else self.row_dac.bits

    @property
    def joined_evaluations(self) -> int:
        """Evaluations of one conversion."""
        return 1 if self.serial_accumulation is None else self.serial_accumulation.digits

    @property
    def digits_together(self) -> int:
        """Input bits of one conversion."""
        return self.digit_bits * self.joined_evaluations

    @property
    def cell_steps(self) -> int:
        """Steps of a cell between low and high in what a conversion reads."""
        return 2**self.digits_together - 1

    @property
    def input_slices(self) -> int:
        """Conversions of an input."""
        return self.input_bits // self.digits_together

    @property
    @abstractmethod
    def total_units(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, in unit capacitors."""

    @property
    @abstractmethod
    def read_units(self) -> Float[Array, ""]:
        """Capacitance that holds the charge of a line when it is read, in unit capacitors."""

    @property
    @abstractmethod
    def sampling_capacitance(self) -> Float[Array, ""] | None:
        """Capacitance on which the converter samples a line, F; None where it is read as it is."""

    @property
    @abstractmethod
    def at_trim(self) -> Any:
        """The array when its comparators were trimmed; None where the trim was under the conditions of use."""

    @property
    def accumulation_capacitance(self) -> Float[Array, ""]:
        """C_a of a column with the banks that are on, F."""
        assert self.serial_accumulation is not None
        return self.serial_accumulation.capacitance(self.total_capacitance, self.digit_bits)

    @checked_arguments
    def accumulation_places(self, size: Float[Array, "*columns"]) -> Float[Array, "..."]:
        """Place value of each joined evaluation in what is read, shape (evaluations, *columns), 1.

        `2**(k s)` for digits s of k bits and exact capacitors.

        Args:
            size: C_a over C_tot, each relative to its nominal value.
        """
        serial = self.serial_accumulation
        assert serial is not None
        held, kept = self._accumulator_held, self._accumulator_kept
        own = serial.kept(size, self.digit_bits)
        # Ratios to nominal capacitors first: exact whole numbers where those are exact.
        share = ratio(1.0 - own, 1.0 - kept)
        whole = self.cell_steps / (2**self.digit_bits - 1)
        return whole / jnp.sum(serial.passed(kept, held)) * serial.passed(own, held) * share[None]

    @property
    def accumulated_swing(self) -> Float[Array, ""] | float:
        """Swing of what the readout sees over that of a line, 1."""
        if self.serial_accumulation is None:
            return 1.0
        return jnp.sum(self.serial_accumulation.weights(self._accumulator_kept, self._accumulator_held))

    @property
    def weight_square(self) -> Float[Array, ""] | float:
        """Sum of the squared weights of joined evaluations: the part of a variance of each that is in what is read."""
        if self.serial_accumulation is None:
            return 1.0
        places = self.accumulation_places(jnp.ones_like(self.total_units))
        return jnp.sum((places * (2**self.digit_bits - 1) / self.cell_steps) ** 2)

    @property
    def _accumulator_kept(self) -> Float[Array, ""]:
        """Nominal a."""
        assert self.serial_accumulation is not None
        return self.serial_accumulation.kept(jnp.ones_like(self.total_units), self.digit_bits)

    @property
    def _accumulator_held(self) -> Float[Array, ""]:
        """Part of V_acc that is left at the next sharing."""
        assert self.serial_accumulation is not None
        period = ratio(self.evaluation_cycles + self.serial_accumulation.sharing_cycles, self.clock)
        return self.serial_accumulation.held(period, self.accumulation_capacitance)

    @property
    def conversion_cycles(self) -> Float[Array, ""]:
        """Clock cycles of all evaluations of a conversion and of their sharings."""
        if self.serial_accumulation is None:
            return self.evaluation_cycles
        return self.joined_evaluations * (self.evaluation_cycles + self.serial_accumulation.sharing_cycles)

    @property
    def sharing_energy(self) -> Float[Array, ""] | float:
        """Energy of the gates that join a column's line to C_a, and reset C_a, in a conversion, J."""
        serial = self.serial_accumulation
        if serial is None:
            return 0.0
        gates = (self.joined_evaluations + 1) * serial.switch_capacitance
        return gates * energy_ratio(self.process, self.supply) * self.supply**2

    @checked_arguments
    def row_energy(self, work: Work) -> Float[Array, ""]:
        """Energy of the rows' DACs at a site, J: a level for each row in use, evaluation and pass, for all columns."""
        assert self.row_dac is not None
        passes = work.product.passes(self.columns, columns_of_weight(self, work))
        evaluations = work.positions * self.input_slices * self.joined_evaluations * passes
        return evaluations * work.product.rows * self.row_dac.energy(self.supply, self.process)

    @checked_arguments
    def switched_by_rails(self, levels: Float[Array, "..."], squares: Float[Array, "..."]) -> Float[Array, "..."]:
        """Capacitance that the supply charges on one line, unit capacitors.

        Args:
            levels: Sum of the levels of all cells relative to the supply.
            squares: Sum of their squares; those of half-way cells of one-bit inputs count as if from the supply.
        """
        if self.row_dac is None or self.row_dac.bits == 1:
            return switched_capacitance(levels, self.read_units)
        return self.row_dac.rail_units(levels, squares, self.read_units)

    @checked_arguments
    def switched_unknown(self, driven: Float[Array, ""] | float) -> Float[Array, ""]:
        """Unit capacitors that the supply charges on all lines in a conversion when levels are evenly spread."""
        levels = jnp.full_like(self.total_units, driven / 2)
        squares = levels * (1.0 + mean_square(self.digit_bits)) / 2
        one = self.switched_by_rails(levels, squares)
        if self.serial_accumulation is None:
            return one if self.second_line == "none" else one + self._switched_beside(levels, squares, driven)
        kept = self._accumulator_kept
        # V_acc approaches the line's half: what is left between them falls by a at each sharing.
        apart = jnp.sum(kept ** (1.0 + jnp.arange(self.joined_evaluations, dtype=kept.dtype)))
        return self.joined_evaluations * one + levels * ratio(levels, self.total_units) * apart

    def _switched_beside(
        self, levels: Float[Array, "..."], squares: Float[Array, "..."], driven: Float[Array, "..."] | float
    ) -> Float[Array, "..."]:
        if self.second_line == "replica":
            half = jnp.full_like(levels, driven / 2)
            # Half way from a rail of that level, which one-bit arrays count as from the supply.
            return self.switched_by_rails(half, half / 2)
        return self.switched_by_rails(driven - levels, driven - 2 * levels + squares)

    def _switched_in_conversion(
        self, product: Product, slice_: Slice, driven: Float[Array, "..."]
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Cells high in an evaluation, and capacitance that the supply charges in a conversion, unit capacitors.

        Joined evaluations each take what a line takes alone and, when a line of level sum A is joined to C_a,
        `A (V - V_acc after)` more: its bottom plates hold while it falls.

        Args:
            product: The product of the slice.
            slice_: Digits that share a conversion.
            driven: Cells in use.
        """
        assert slice_.digits is not None
        assert slice_.zero_digits is not None
        assert slice_.matrix is not None
        matrix = slice_.matrix
        steps, groups = 2**self.digit_bits - 1, self.joined_evaluations
        digits = slice_.digits.reshape(*slice_.digits.shape[:-1], groups, self.digit_bits)
        values = place_value(jnp.arange(self.digit_bits), digits.dtype)
        inputs = jnp.moveaxis(jnp.matmul(digits, values, precision=jax.lax.Precision.HIGHEST) / steps, -1, 0)
        zeros = slice_.zero_digits.reshape(groups, self.digit_bits)
        edges = jnp.matmul(zeros, values, precision=jax.lax.Precision.HIGHEST) / steps

        def line(one: Float[Array, "..."], edge: Float[Array, ""]) -> tuple[Array, Array, Array]:
            sums, powers = product.sums(one, matrix, edge), product.sums(one**2, matrix**2, edge**2)
            levels, squares = (driven + sums) / 2, (driven + 2 * sums + powers) / 4
            switched = self.switched_by_rails(levels, squares)
            if self.second_line != "none":
                switched = switched + self._switched_beside(levels, squares, driven)
            return levels, squares, switched

        if self.serial_accumulation is None:
            levels, _, switched = line(inputs[0], edges[0])
            return levels, switched
        kept = self._accumulator_kept

        def share(before: Array, one: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            levels, _, switched = line(*one)
            volts = ratio(levels, self.total_units)
            after = kept * before + (1.0 - kept) * volts
            return after, (levels, switched + levels * (volts - after))

        start = jnp.zeros_like(slice_.sums)
        _, (levels, switched) = scan(share, start, (inputs, edges))
        return jnp.mean(levels, axis=0), jnp.sum(switched, axis=0)
