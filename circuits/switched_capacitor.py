"""Switched-capacitor binary-analog array: XNOR cells drive unit capacitors on a line that a comparator or ADC reads."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.adc import Adc
from amsim.circuits.charge.array import with_stated_supply
from amsim.circuits.charge.array_converters import ArrayConverters
from amsim.circuits.charge.column_error import error_variances
from amsim.circuits.charge.die import CapacitorDie, check_die, draw_die, nominal_die
from amsim.circuits.charge.die_folding import fold_die
from amsim.circuits.charge.folded_line import CapacitorLine, line_shifts
from amsim.circuits.charge.line_at_decision import counts_at_decision
from amsim.circuits.charge.lumped_reading import check_lumped, lumped_note, read_lumped
from amsim.circuits.charge.readout_range import finest_step
from amsim.circuits.charge.sliced_reading import read_slices
from amsim.circuits.charge.trim_choice import residual_sigma
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.bit_slicing import (
    Joining,
    Slice,
    accumulate,
    check_groups,
    input_groups,
    of_groups,
    places_of,
    swing_of,
    weight_digits,
)
from amsim.circuits.contract.macro import Die
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import Product, over_columns
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.supply_scaling import with_supply_and_clock
from amsim.noise.random import normal

LUMPED_REMARK = (
    "Products are read lumped, all slices of each in one with the noise of all; nothing clips, and without a key "
    "nothing is rounded."
)
"""Remark of an array whose reading is not the exact one."""

_offset_left = eqx.filter_jit(residual_sigma)


class SwitchedCapacitor(ArrayConverters):
    r"""Charge-domain XNOR array after Bankman et al. (ISSCC'18, JSSC'19).

    Every cell drives the bottom plate of a unit capacitor to `supply` when weight and input agree and to ground when
    not; the top plates share one line, reset to mid level with all bottoms at ground. With `C_i = C_u (1 + s z_i)`:
    `V = V_cm + supply * sum_i C_i h_i / C_tot`, `C_tot = sum units + bias DAC + parasitic`, `h_i` in {0, 1}.
    One cell is the step `supply * C_u / C_tot`; a sum of -1 and +1 (a count) is half of it.

    A 0 among one-bit weights or inputs leaves its cell undriven, its bottom plate at mid level.

    Each line is read by its comparator (a fused neuron whose threshold is a code of the bias DAC) or by an ADC.
    Noise of a read: kT/C noise `sqrt(kT / C_tot)` of reset and the comparator's own, both Gaussian, new at every read.
    One evaluation takes `evaluation_cycles / clock`; the line is reset in the first half and settles in the second.
    Effects of time and of a die's defects are separate parts; a part that is None is ideal and costs nothing.
    Sources: facts 1, 5.2, 5.3, 6.4, 8; the line's formulas are those of `amsim.circuits.charge.charge_line`.

    Attributes are those of `CapacitorArray`, each with its default and source.

    Raises:
        ValueError: A size, capacitance, supply or temperature that is not above 0, a part of the wrong kind, or no
            readout at all.
    """

    def __check_init__(self) -> None:
        """Check that a lumped reading can stand for the array."""
        if self.reading == "lumped":
            check_lumped(self)

    @property
    def reads_numbers(self) -> bool:
        """With an ADC."""
        return self.adc is not None

    @property
    def decides(self) -> bool:
        """With one-bit operands, the only ones that a comparator can decide on, and no converter that columns share.

        A converter that several columns share reads numbers; without one their comparator decides in turn.
        """
        return self.weight_bits == 1 and self.input_bits == 1 and (self.turns == 1 or self.adc is None)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the trim, which is on by default, leaves of the comparators' offsets, and that a reading is lumped."""
        lumped = () if self.reading == "exact" else (LUMPED_REMARK,)
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(self))
        comparator = None if traced else self.deciding_comparator
        if comparator is None or comparator.trim is None:
            return lumped
        stated, left = 1e3 * float(comparator.offset_sigma), 1e3 * float(_offset_left(comparator))
        if stated <= left:
            return lumped
        by = f"`comparator.trim` of {comparator.trim.bits} bits; without it (None) they stay."
        return (f"Offsets of {stated:.3g} mV are trimmed to {left:.2g} mV by {by}", *lumped)

    def lumped(self) -> "SwitchedCapacitor":
        """The same array with the `reading` "lumped": valid where `reading_note` says nothing.

        Sound where a step of the converter is at most twice the standard deviation of what it reads and its range
        holds three of them. It leaves out clipping and what rounding does beyond adding noise: where steps are coarser
        results lie on few levels, and where the converter resolves every value that nominal lines take, an exact
        reading rounds small errors away. Static errors of a converter are their mean near the middle, and noise.

        Raises:
            ValueError: No converter, one of a single bit, drivers with a `supply_resistance`, or `supply_noise`.
        """
        return dataclasses.replace(self, reading="lumped")

    def exact(self) -> "SwitchedCapacitor":
        """The same array with the `reading` "exact"."""
        return dataclasses.replace(self, reading="exact")

    @checked_arguments
    def reading_note(self, product: Product) -> str:
        """Where a lumped reading is not sound, for sums of independent products."""
        return lumped_note(self.for_product(product), product) if self.reading == "lumped" else ""

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray) -> CapacitorDie:
        """Standard draws of all capacitors, comparators and further parts of one sample."""
        return draw_die(self, key)

    def prepare(self, die: Die) -> Die:
        """The die folded into one weight per capacitor, for many reads of it.

        As it is where each product chooses its banks: its lines are then folded at each read.
        """
        if die is None:
            return None
        if isinstance(die, CapacitorLine) and die.cells.shape == (self.line_rows, self.columns):
            return die
        checked = check_die(self, die)
        return checked if self.for_rows(1) is not self else fold_die(self, checked)

    def multiply(self, operands: Operands, *, die: Die = None, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """Product read through the ADC: one conversion per tile, weight bit (or group) and input bit (or joined bits).

        The reading says whether each is simulated (`read_slices`) or all in one (`read_lumped`).
        """
        array, coded = self.for_product(operands.product), self.coded(operands)
        check_groups(coded, self.combined_columns)
        line = array._line(die, operands.product.columns * coded.w_code.digit_count)
        read = read_lumped if self.reading == "lumped" else read_slices
        return coded.decode(read(array, line, coded, key))

    def margin(
        self, operands: Operands, neuron: Neuron, *, die: Die = None, key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        """`slope * product + intercept` as the comparator sees it, the threshold realised by the bias DAC.

        The DAC puts the decision half way between the two neighbouring sums, so that without noise the decision
        equals that of the exact expression; `Neuron.decisive_shift` gives the answer where a sum lies half way itself.
        """
        array = self.for_product(operands.product)
        coded, product = self.coded(operands), operands.product
        line = array._line(die, product.columns)
        cells = coded.w if line is None else coded.w * line.cells[: product.rows]
        counts = product.sums(coded.x_code.digit(coded.x, 0), cells, coded.zero_digit(0))
        in_counts = neuron.in_counts(coded)
        code = self.bias_dac.code(in_counts.shift(product.rows))
        counts = counts + in_counts.decisive_shift(code * self.bias_dac.lsb)
        if line is not None:
            error = line.bias_error(self.bias_dac, self.bias_dac.levels(code))
            driven = jnp.ones((product.rows,), counts.dtype)
            counts = counts + error + over_columns(line.middle(driven, with_bias=True), counts.ndim)
        middle = product.rows + jnp.sum(self.bias_dac.section_units()[:-1])
        nominal = None if array.drivers is None else array.nominal
        counts = counts_at_decision(array, line, counts, middle, key, nominal)
        if key is not None:
            counts = counts + array.read_noise(nominal) * normal(key, counts.shape, counts.dtype)
        return in_counts.from_counts(counts)

    def margin_noise(self, operands: Operands, neuron: Neuron) -> Float[Array, "..."]:
        """`|slope|` times the noise of line and comparator; supply noise, common to all columns, is left out."""
        noise = self.for_product(operands.product).noise_counts
        return jnp.abs(neuron.in_counts(self.coded(operands)).slope) * noise

    def report(self, operands: Operands, *, neuron: Neuron | None = None) -> dict[str, Array]:
        """Mean switched capacitance of an evaluation, in unit capacitors, and the fractions that clip."""
        array, combined = self.for_product(operands.product), self.combined_columns
        coded, product = self.coded(operands), operands.product
        check_groups(coded, combined)
        steps, together = array.cell_steps, array.digits_together
        driven = steps * jnp.sum(product.driven_rows(array.line_rows).astype(coded.w.dtype), axis=-1)
        digits, finest = weight_digits(coded), finest_step(coded, combined)
        places = places_of(digits.shape[1], combined).astype(coded.w.dtype)
        # Averaged over thresholds a DAC shifts by nothing, half of its bits high; without a centre the ADC's is held.
        of_neuron = None if neuron is None else jnp.zeros(())
        shifts = None if neuron is not None else line_shifts(array, len(driven), digits.shape[1])

        def one(slice_: Slice) -> dict[str, Array]:
            cells = (slice_.sums + driven[slice_.tile]) / 2
            shift = of_neuron if shifts is None else over_columns(shifts[slice_.tile], cells.ndim)
            if together == 1:
                high, switched = cells, array.switched_units(cells, driven[slice_.tile], shift)
            else:
                high, switched = array._switched_in_conversion(product, slice_, driven[slice_.tile] / steps)
            found = {"switched_units": jnp.mean(switched), "high_cells": jnp.mean(high)}
            if neuron is None and self.adc is not None:
                moved = cells if shift is None else cells + shift / 2
                read = of_groups(moved * over_columns(places, cells.ndim), combined)
                rows = swing_of(combined) * driven[slice_.tile]
                found["clipped_adc"] = self.adc.clipped_fraction(read, rows, finest)
            return found

        totals = accumulate(coded, digits, array.line_rows, one, joining=Joining(together))
        reads = product.tiles(array.line_rows) * input_groups(coded, together)
        activity = {name: total / reads for name, total in totals.items()}
        activity |= coded.clipped_fractions()
        if neuron is not None:
            shift = neuron.in_counts(coded).shift(product.rows)
            activity["clipped_thresholds"] = self.bias_dac.clipped_fraction(shift, float(product.rows))
        return activity

    @checked_arguments
    def error_variances(
        self, *, rows: int | None = None, activity: float = 0.5, readout: str | None = None
    ) -> dict[str, Float[Array, ""]]:
        """Closed forms of `amsim.circuits.charge.column_error.error_variances`."""
        return error_variances(self, rows=rows, activity=activity, readout=readout)

    def ideal(self) -> "SwitchedCapacitor":
        """The array without mismatch, noise, offset, temperature or parts, its ADC resolving one count over the line.

        Exact up to 16383 rows, where the ADC's 16 bits end; of `bits` combined ones to `16383 / (2^bits - 1)` rows, and
        of so many input bits that share a conversion.
        """
        swing = self.rows * swing_of(self.combined_columns) * self.cell_steps
        adc = Adc(bits=min(swing.bit_length() + 2, 16), range=1.0)
        assert self.comparator is not None
        silent = dataclasses.replace(
            self,
            mismatch_coefficient=0.0,
            temperature=0.0,
            comparator=self.comparator.ideal(),
            adc=None if self.adc is None else adc,
            supply_noise=None,
            combining=None if self.combining is None else self.combining.ideal(),
            row_dac=None if self.row_dac is None else self.row_dac.ideal(),
            serial_accumulation=None if self.serial_accumulation is None else self.serial_accumulation.ideal(),
        )
        return dataclasses.replace(silent, drivers=None, reset=None, leakage=None, layout=None, faults=None)

    def _line(self, die: Die, slices: int) -> CapacitorLine | None:
        """Lines behind the slices of a site; None where they are nominal and ideal."""
        if die is None and not self.has_common_effects and self.joined is None:
            return None
        line = fold_die(self, nominal_die(self)) if die is None else self.prepare(die)
        return line.behind(slices)

    @checked_arguments
    def at_supply(
        self, supply: Float[Array, ""] | None, process: Process, former: Process | None = None
    ) -> "SwitchedCapacitor":
        """The same array at this supply; comparator, converter and drivers follow by their own laws."""
        # Parts of a file of an earlier version have no stated supply.
        stated = dataclasses.replace(self, **with_stated_supply(self, self.supply))
        return with_supply_and_clock(stated, supply, process, former)
