"""The lines of a switched-capacitor array: capacitors, parts, totals, times, gains and noise."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy import constants

from amsim.circuits.adc import Adc, Converter
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.die import CapacitorDie, checked_die, drawn_die, nominal_die
from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.charge.faults import Faults
from amsim.circuits.charge.folded_line import CapacitorLine, folded, followed
from amsim.circuits.charge.layout import Layout
from amsim.circuits.charge.leakage import Leakage
from amsim.circuits.charge.reset_switch import ResetSwitch
from amsim.circuits.checks import Quantity, count, one_key, part_of, quantity, root
from amsim.circuits.contract.error_sources import IDEAL, ErrorSource
from amsim.circuits.contract.macro import Die, Macro, over_columns
from amsim.noise.mismatch import MOM_FRINGE_COEFFICIENT
from amsim.noise.random import normal
from amsim.noise.switching import settled_fraction

PARTS = {"drivers": Drivers, "reset": ResetSwitch, "leakage": Leakage, "layout": Layout, "faults": Faults}
"""Effects that a switched-capacitor array has only where they are given."""

SUPPLY_DRAW = 2**31 - 1
"""Number of the key that draws the supply's noise, beyond those of slices."""


class CapacitorArray(Macro):
    """Physical description of a switched-capacitor array; `SwitchedCapacitor` computes with it.

    Attributes:
        rows: Cells on a line (static). Default 1024.
        columns: Physical lines, shared by all layers and filters (static). Default 64.
        weight_bits: Bits of a weight, side by side on neighbouring columns (static).
        input_bits: Bits of an input, one after another (static).
        unit_capacitance: F. Default 1 fF (facts 1.2).
        mismatch_coefficient: Relative sigma of a unit capacitor times sqrt of its capacitance, sqrt(F).
        cell_parasitic: Parasitic of the line to ground for each row, F. Default 0.3 fF (facts 5.2, 28 nm model).
        line_parasitic: Further parasitic of the line, F. Default 2.04 fF (same model).
        bottom_parasitic: Parasitic of each bottom plate to ground, F; costs energy and moves nothing. Default 0: it is
            part of the calibrated `cell_capacitance`.
        supply: V. Default 0.6 V (facts 1.1).
        temperature: K.
        comparator: Comparator of each column, or None.
        adc: Converter of each column, or None.
        bias_dac: Bias DAC of each column.
        drivers: Resistance of the drivers: settling and driver noise. None settles at once.
        reset: Reset switch: incomplete reset, clock feedthrough, charge injection. None is ideal.
        leakage: Droop of the held line. None holds for ever.
        supply_noise: Rms noise of the array's supply, V, the same for all columns at one evaluation. None is none.
        reference_tracking: How far the level that the readout compares with follows what all lines have in common
            (settling, droop, supply, switch charge): 1 for a replica line or a differential array, 0 for a fixed level.
        layout: Gradients, correlated mismatch and edges of the array. None has none.
        faults: Stuck cells and dead columns. None has none.
        cell_capacitance: Capacitance that a cell's logic and wires switch at each evaluation, F. Default 2.1 fF:
            calibrated so that 1024 rows cost the 0.975 pJ derived for Bankman's array (facts 1.1).
        cell_area: m^2. Default 73e-12: calibrated on Bankman's 6 mm^2 less its SRAM (facts 1.1).
        cell_leakage: Of a cell's logic at 0.8 V and 300 K, A. Default 0.4 nA: a flip-flop and an XNOR of 50 pA a NAND2
            (assumed).
        clock: Hz. Default 10 MHz (facts 1.1).
        evaluation_cycles: Clock cycles of one evaluation, reset included.
        load_width: Weight bits loaded in one cycle.

    Raises:
        ValueError: A size, capacitance, supply or temperature that is not above 0, a part of the wrong kind, or no
            readout at all.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "capacitor mismatch",
            "static",
            "Random deviations of the capacitors of cells and bias DAC, by the area law.",
            sizes=("mismatch_coefficient",),
        ),
        ErrorSource(
            "thermal noise",
            "dynamic",
            "kT/C noise of the line and noise of the drivers' resistances.",
            temperatures=("temperature",),
            kept=("leakage",),
            effects=("thermal noise", "driver noise"),
        ),
        ErrorSource(
            "quantisation",
            "resolution",
            "Steps of the converter; without them it is an ideal one that resolves one count.",
            off={"adc": IDEAL},
            effects=("quantisation", "converter"),
        ),
        ErrorSource(
            "supply noise",
            "dynamic",
            "Noise of the array's supply, the same for all columns at one evaluation.",
            sizes=("supply_noise",),
            off={"supply_noise": None},
        ),
    )

    rows: int = count(default=1024)
    columns: int = count(default=64)
    weight_bits: int = count(default=1)
    input_bits: int = count(default=1)
    unit_capacitance: Quantity = quantity("unit_capacitance", positive=True, default=1e-15)
    mismatch_coefficient: Quantity = quantity("mismatch_coefficient", default=MOM_FRINGE_COEFFICIENT)
    cell_parasitic: Quantity = quantity("cell_parasitic", default=0.3e-15)
    line_parasitic: Quantity = quantity("line_parasitic", default=2.04e-15)
    bottom_parasitic: Quantity = quantity("bottom_parasitic", default=0.0)
    supply: Quantity = quantity("supply", positive=True, default=0.6)
    temperature: Quantity = quantity("temperature", default=300.0)
    comparator: Comparator | None = eqx.field(default_factory=Comparator)
    adc: Converter | None = eqx.field(default_factory=Adc)
    bias_dac: BiasDac = eqx.field(default_factory=BiasDac)
    drivers: Drivers | None = None
    reset: ResetSwitch | None = None
    leakage: Leakage | None = None
    supply_noise: Quantity | None = quantity("supply_noise", optional=True)
    reference_tracking: Quantity = quantity("reference_tracking", at_most=1.0, default=1.0)
    layout: Layout | None = None
    faults: Faults | None = None
    cell_capacitance: Quantity = quantity("cell_capacitance", default=2.1e-15)
    cell_area: Quantity = quantity("cell_area", default=73e-12)
    cell_leakage: Quantity = quantity("cell_leakage", default=0.4e-9)
    clock: Quantity = quantity("clock", positive=True, default=10e6)
    evaluation_cycles: Quantity = quantity("evaluation_cycles", positive=True, default=2.0)
    load_width: Quantity = quantity("load_width", positive=True, default=256.0)

    def __check_init__(self) -> None:
        """Check that something reads the lines."""
        part_of("bias_dac", self.bias_dac, BiasDac)
        parts = {"comparator": Comparator, "adc": Converter} | PARTS
        for name, kind in parts.items():
            part_of(name, getattr(self, name), kind, optional=True)
        parasitics = (self.cell_parasitic, self.line_parasitic)
        known = not any(isinstance(value, jax.core.Tracer) for value in parasitics)
        if self.drivers is not None and known and not any(np.asarray(value) > 0 for value in parasitics):
            raise ValueError(
                "Arguments `cell_parasitic` and `line_parasitic` must not both be 0 with `drivers`: nothing would hold "
                "the line against their noise."
            )
        if self.comparator is None and self.adc is None:
            raise ValueError("Argument `comparator` or `adc` must be given: a line without readout computes nothing.")
        if self.comparator is None and self.adc is not None:
            raise ValueError("Argument `comparator` must be given: the ADC decides with it.")

    @property
    def parasitic_capacitance(self) -> Float[Array, ""]:
        """Everything on a line that no driver moves, F: parasitics and the reset switch's overlap."""
        overlap = 0.0 if self.reset is None else self.reset.feedthrough_capacitance
        return self.rows * self.cell_parasitic + self.line_parasitic + overlap

    @property
    def total_units(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, in unit capacitors."""
        parasitic = self.parasitic_capacitance / self.unit_capacitance
        return self.rows + jnp.sum(self.bias_dac.section_units()) + parasitic

    @property
    def total_capacitance(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, F."""
        return self.total_units * self.unit_capacitance

    @property
    def middle_units(self) -> Float[Array, ""]:
        """What is high, in unit capacitors, when all cells and bits of the bias DAC stand half way."""
        return (self.rows + jnp.sum(self.bias_dac.section_units()[:-1])) / 2

    @property
    def counts_per_volt(self) -> Float[Array, ""]:
        """Counts (half a cell) for each volt on the line, 1/V."""
        return 2.0 * self.total_units / self.supply

    @property
    def reset_time(self) -> Float[Array, ""]:
        """Time for which a line is reset, s: half of an evaluation."""
        return self.evaluation_cycles / self.clock / 2

    @property
    def evaluation_time(self) -> Float[Array, ""]:
        """Time from the step of the bottom plates to the decision or the hold, s: the other half."""
        return self.reset_time

    @property
    def has_common_effects(self) -> bool:
        """Whether nominal lines differ from ideal ones."""
        kickback = None if self.comparator is None else self.comparator.kickback
        return any(part is not None for part in (self.drivers, self.reset, self.leakage, kickback))

    @property
    def nominal_gain(self) -> Float[Array, ""]:
        """Part of a step that a nominal line shows at the decision: settled, and not yet drooped."""
        gain = jnp.ones_like(self.supply)
        if self.drivers is not None:
            gain = self.drivers.nominal_gain(
                self.evaluation_time, self.unit_capacitance, self.parasitic_capacitance, self.total_capacitance
            )
        if self.leakage is not None:
            gain = gain * self.leakage.kept(self.total_capacitance, self.temperature)
        return gain

    @property
    def reset_left(self) -> Float[Array, ""]:
        """Part of an error of the line's charge that is left at the end of reset."""
        if self.reset is None:
            return jnp.zeros_like(self.supply)
        return 1.0 - settled_fraction(self.reset_time, self.reset.resistance * self.total_capacitance)

    @property
    def drive_left(self) -> Float[Array, ""]:
        """Part of the last line value that slow drivers leave: `gain C_par / C_tot exp(-t_reset / RC)`.

        The charges that lifted the line sum to `C_par V`; in reset the switch holds the line, and they return through
        the drivers with their own `RC`. Exact for drivers that are alike.
        """
        if self.drivers is None:
            return jnp.zeros_like(self.supply)
        returned = settled_fraction(self.reset_time, self.drivers.resistance * self.unit_capacitance)
        return self.nominal_gain * (self.parasitic_capacitance / self.total_capacitance) * (1.0 - returned)

    @property
    def drive_shift(self) -> Float[Array, ""]:
        """What slow drivers take off the line after a last value half way up, V."""
        return -self.drive_left * self.nominal_gain * self.supply * (self.middle_units / self.total_units)

    @property
    def common_shift(self) -> Float[Array, ""]:
        """Shift that nominal lines have in common at the decision, V: kickback, switch charge, leakage, slow drivers.

        The line's own values leave nothing behind, since the bottom plates take them back in reset; what switch and
        leakage add stays as far as reset is incomplete and comes again: `added / (1 - left)` in the end.
        """
        assert self.comparator is not None
        total = self.total_capacitance
        shift, added = self.comparator.kicked_step(total), jnp.zeros_like(total)
        if self.reset is not None:
            added = added + self.reset.step(total)
        if self.leakage is not None:
            added = added - self.leakage.drop(total, self.temperature)
        return shift + self.drive_shift + added / (1.0 - self.reset_left)

    @property
    def noise_counts(self) -> Float[Array, ""]:
        """Standard deviation of one read, counts: everything sampled on the line and the comparator's noise."""
        return root(self.sampled_noise_counts**2 + self.decision_noise_counts**2)

    @property
    def sampled_noise_counts(self) -> Float[Array, ""]:
        """Standard deviation of what is on the line before any decision, counts."""
        variances = self.noise_variances()
        return root(sum(variances.values(), start=jnp.zeros_like(self.supply)))

    @property
    def decision_noise_counts(self) -> Float[Array, ""]:
        """Comparator noise at every decision, counts."""
        assert self.comparator is not None
        return self.comparator.noise * self.counts_per_volt

    def noise_variances(self) -> dict[str, Float[Array, ""]]:
        """Variance on the line, counts^2, of each source that is drawn at every read.

        "thermal noise": kT/C_tot of the reset switch. "driver noise": resistors of the drivers,
        `kT C_sum / (C_par C_tot)` within the reader's bandwidth. "last value": what slow drivers leave of the last sum,
        whose variance is one count^2 for each row when its operands are independent.
        """
        # kT / (C_u supply**2) first: kT alone times a capacitance would underflow in float32.
        unit = 4.0 * (constants.k * self.temperature / self.unit_capacitance / self.supply**2)
        variances = {"thermal noise": unit * self.total_units}
        if self.drivers is not None:
            grounded = self.parasitic_capacitance / self.unit_capacitance
            driven = (self.total_units - grounded) / grounded * self.total_units
            variances["driver noise"] = self.drivers.noise_fraction * unit * driven
            variances["last value"] = (self.nominal_gain * self.drive_left) ** 2 * self.rows
        return variances

    def fabricate(self, key: PRNGKeyArray) -> CapacitorDie:
        """Standard draws of all capacitors, comparators and further parts of one sample."""
        return drawn_die(self, one_key("key", key))

    def prepare(self, die: Die) -> Die:
        """The die folded into one weight for each capacitor, for many reads of it."""
        if die is None:
            return None
        if isinstance(die, CapacitorLine) and die.cells.shape == (self.rows, self.columns):
            return die
        return folded(self, checked_die(self, die))

    def _line(self, die: Die, slices: int) -> CapacitorLine | None:
        """Lines behind the slices of a site; None where they are nominal and ideal."""
        if die is None and not self.has_common_effects:
            return None
        line = folded(self, nominal_die(self)) if die is None else self.prepare(die)
        return line.behind(slices)

    def _at_decision(
        self, line: CapacitorLine | None, counts: Array, middle: Array | float, key: PRNGKeyArray | None
    ) -> Array:
        """Line in counts above its reference at the decision, from its settled value behind an ideal supply.

        Args:
            line: Its static errors, or None.
            counts: Settled value above the reference.
            middle: Counts from no cell high to half of them, which the reference stands for.
            key: Draws the supply's noise.
        """
        gain = jnp.ones_like(self.supply) if line is None else line.gain
        own, in_common = followed(gain, self.reference_tracking), self.reference_tracking * gain
        if self.drivers is not None and self.drivers.supply_resistance is not None:
            high, unit, whole = (counts + own * middle) / 2, self.unit_capacitance, self.total_units
            size = 1.0 if line is None else over_columns(line.size, counts.ndim)
            settled = self.drivers.rail_gain(high, self.evaluation_time, unit * size, whole)
            half = jnp.asarray(middle, counts.dtype) / 2
            at_middle = self.drivers.rail_gain(half, self.evaluation_time, unit, whole)
            # The reference is a line too, with half of its cells high.
            counts = counts * settled + middle * (own * settled - own + in_common * (1.0 - at_middle))
        if self.supply_noise is not None and key is not None:
            swing = self.supply_noise / self.supply
            shape = (*counts.shape[:-1], 1)
            relative = swing * normal(jax.random.fold_in(key, SUPPLY_DRAW), shape, counts.dtype)
            counts = counts + relative * (counts + (own - in_common) * middle)
        return counts if line is None else counts + over_columns(line.offset, counts.ndim)
