"""Lines of a switched-capacitor array: capacitors, parts, totals, times, gains and noise."""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import constants

from amsim.circuits.adc import Adc, Converter
from amsim.circuits.charge.banks import Banks
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.charge_line import switched_capacitance
from amsim.circuits.charge.combining import Combining
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.charge.faults import Faults
from amsim.circuits.charge.grouped_array import Group, check_columns
from amsim.circuits.charge.joined_digits import JoinedDigits
from amsim.circuits.charge.layout import Layout
from amsim.circuits.charge.leakage import Leakage
from amsim.circuits.charge.nominal_line import LineParts, NominalLine, nominal_line
from amsim.circuits.charge.reset_switch import ResetSwitch
from amsim.circuits.charge.row_dac import RowDac, mean_square
from amsim.circuits.charge.serial_accumulation import SerialAccumulation
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import one_of, part_of
from amsim.circuits.contract.bit_slicing import swing_of
from amsim.circuits.contract.error_sources import IDEAL, ErrorSource
from amsim.circuits.contract.macro import READINGS, Macro
from amsim.circuits.fields import Quantity, count, optional_array, physical, quantity
from amsim.circuits.technology.between_nodes import delay_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.checks import real
from amsim.noise.finite_slopes import quotient, ratio, root
from amsim.noise.mismatch import MOM_FRINGE_COEFFICIENT

PARTS = {
    "banks": Banks,
    "combining": Combining,
    "row_dac": RowDac,
    "serial_accumulation": SerialAccumulation,
    "drivers": Drivers,
    "reset": ResetSwitch,
    "leakage": Leakage,
    "layout": Layout,
    "faults": Faults,
}
"""Parts that a switched-capacitor array has only where they are given."""


STATED_AT_A_SUPPLY = {"comparator": Comparator, "drivers": Drivers}
"""Parts whose figures are stated at one supply and follow that of the array."""


def with_stated_supply(array: Any, supply: Any) -> dict[str, Any]:
    """Those parts of an array that have no stated supply, with this one (V)."""
    parts = {name: getattr(array, name) for name in STATED_AT_A_SUPPLY}
    found = {name: part for name, part in parts.items() if isinstance(part, STATED_AT_A_SUPPLY[name])}
    unstated = {name: part for name, part in found.items() if part.supply is None}
    if not unstated:
        return {}
    with np.errstate(over="ignore", under="ignore"):
        volts = jnp.asarray(real("supply", supply), float)
    # Not `replace`, whose checks would run again on all fields; the array checks its supply itself.
    return {
        name: eqx.tree_at(lambda one: one.supply, part, volts, is_leaf=lambda leaf: leaf is None)
        for name, part in unstated.items()
    }


class CapacitorArray(JoinedDigits):
    """Physical description of a switched-capacitor array; `SwitchedCapacitor` computes with it.

    Attributes:
        rows: Cells of a column (static), all on its line unless `banks` part it. Default 1024.
        columns: Physical lines, shared by all layers and filters (static). Default 64.
        weight_bits: Bits of a weight, side by side on neighbouring columns (static).
        input_bits: Bits of an input, one after another (static).
        weight_coding: Digits of weights of several bits (static): "ternary", a cell for each bit of the magnitude,
            half way where that is 0, or "bipolar", two's complement in cells of -1 and +1 (default). Ternary words lie
            evenly about 0 and take a column less, less noise (`(4**(b-1) - 1) / 3` times that of a line instead of
            `(4**b - 1) / 12`), and zeros that move no line; but lines then stop at half cells, so that a converter that
            resolves every cell is exact for bipolar digits only. "auto" is ternary wherever words lie evenly.
        input_coding: Digits of inputs (static): "bipolar", -1 and +1 (default), or "unipolar", 0 and +1, for inputs
            that are known not to be negative: half the swing, and zeros that leave cells half way. "auto" is bipolar
            until a calibration chooses (`amsim.calibrate(method={"readout": "error-energy"})`).
        unit_capacitance: F. Default 1 fF (facts 1.2).
        mismatch_coefficient: Relative sigma of a unit capacitor times sqrt of its capacitance, sqrt(F).
        cell_parasitic: Parasitic of the line to ground per row, F. Default 0.3 fF (facts 5.2, 28 nm model).
        line_parasitic: Further parasitic of the line, F. Default 2.04 fF (same model).
        bottom_parasitic: Parasitic of each bottom plate to ground, F; costs energy, does not move the line. Default 0:
            part of the calibrated `cell_capacitance`.
        supply: V. Default 0.6 V (facts 1.1).
        temperature: K.
        comparator: Comparator of each column, or None.
        adc: Converter of each column, or None.
        bias_dac: Bias DAC of each column.
        readout_centre: Shift of lines that a converter reads by their bias DACs, counts, shape () or any that
            broadcasts to (tiles, slices), taken away again behind the converter: its range then lies around sums of
            minus this shift. Even numbers keep sums on whole cells, and so on the levels of a converter that resolves
            one. Of combined columns each is that of its own line, before they are combined. None holds the DACs.
        second_line: What each line is read against (static). "none" is a level, `reference_tracking` saying how well it
            follows. "differential" is a line of its own whose cells all go the other way: a cell then moves the
            difference by twice the step, against the noise of the comparator as before, `sqrt(2)` times the kT/C noise
            and the mismatch of two capacitors, `1/sqrt(2)` of a step. "replica" is one whose driven cells stay half
            way: the single step, `sqrt(2)` times the kT/C noise, and the replica's mismatch as an offset of the
            column. Both have capacitors, switch, leakage and faults of their own, and energy; what both lines have
            in common cancels.
        banks: Banks of the line, of which a product uses as few as hold its rows. None is one line of all rows.
        combining: Circuit that joins the charge of neighbouring bit columns with weights 1, 2, 4, ..., so that one
            conversion reads several bits of a weight. None converts every column by itself, as does one of one bit.
        columns_per_converter: Columns that share a converter and its comparator, which takes them one after another
            while the others hold (static); whole groups where columns are combined. None: each conversion has its own.
        row_dac: DAC of each row, on whose levels several input bits share an evaluation. None drives one bit at a time.
        serial_accumulation: Capacitor of each column that adds up the evaluations of several input digits before one
            conversion. None converts each evaluation.
        drivers: Resistance of the drivers: settling and driver noise. None settles at once.
        reset: Reset switch: incomplete reset, clock feedthrough, charge injection. None is ideal.
        leakage: Droop of the held line. None holds forever.
        supply_noise: Rms noise of the array's supply, V, the same for all columns at one evaluation. None is none.
        reference_tracking: Degree to which the readout's reference level tracks what all lines have in common
            (settling, droop, supply, switch charge): 0 for a fixed level, 1 (default) for one that follows as a line
            without errors would. Of no effect beside a second line, and refused there unless it is 1.
        layout: Gradients, correlated mismatch and edges of the array. None has none.
        faults: Stuck cells and dead columns. None has none.
        cell_capacitance: Capacitance that a cell's logic and wires switch at each evaluation, F. Default 2.1 fF:
            calibrated so that 1024 rows cost the 0.975 pJ derived for Bankman's array (facts 1.1).
        cell_area: m^2. Default 73e-12: calibrated on Bankman's 6 mm^2 less its SRAM (facts 1.1).
        cell_leakage: Leakage of a cell's logic at 0.8 V and 300 K, A. Default 0.4 nA: a flip-flop and an XNOR of 50 pA
            per NAND2 (assumed).
        clock: Hz. Default 10 MHz (facts 1.1).
        evaluation_cycles: Clock cycles of one evaluation, reset included.
        load_width: Weight bits loaded in one cycle.
        process: Node that the array and its readout are made in. Logic, comparators, drivers and converters are stated
            at 28 nm and scaled to it; capacitors of lines and converters, and parts without a law, are not.
        reading: How products are simulated (static): "exact", slice by slice (default), or "lumped", all slices in one
            product; see `Macro.lumped`.

    Raises:
        ValueError: A size, capacitance, supply or temperature that is not above 0, a part of the wrong kind, banks that
            do not divide the rows, groups that do not divide the bits of a weight or the columns, or no readout at all.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "capacitor mismatch",
            "static",
            "Random deviations of the capacitors of cells, bias DAC and combined bits, by the area law.",
            sizes=("mismatch_coefficient",),
        ),
        ErrorSource(
            "thermal noise",
            "dynamic",
            "kT/C noise of the line and noise of the drivers' resistances.",
            temperatures=("temperature",),
            kept=("leakage", "comparator"),
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
    weight_bits: int = count(unit="bit", symbol="b_w", default=1)
    input_bits: int = count(unit="bit", symbol="b_x", default=1)
    weight_coding: Literal["auto", "bipolar", "ternary"] = eqx.field(static=True, default="bipolar")
    input_coding: Literal["auto", "bipolar", "unipolar"] = eqx.field(static=True, default="bipolar")
    unit_capacitance: Quantity = quantity("unit_capacitance", unit="F", symbol="C_u", positive=True, default=1e-15)
    mismatch_coefficient: Quantity = quantity(
        "mismatch_coefficient", unit="F^0.5", symbol="K_C", default=MOM_FRINGE_COEFFICIENT
    )
    cell_parasitic: Quantity = quantity("cell_parasitic", unit="F", default=0.3e-15)
    line_parasitic: Quantity = quantity("line_parasitic", unit="F", default=2.04e-15)
    bottom_parasitic: Quantity = quantity("bottom_parasitic", unit="F", symbol="C_bottom", default=0.0)
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True, default=0.6)
    temperature: Quantity = quantity("temperature", unit="K", symbol="T", default=300.0)
    comparator: Comparator | None = eqx.field(default_factory=Comparator)
    adc: Converter | None = eqx.field(default_factory=Adc)
    bias_dac: BiasDac = eqx.field(default_factory=BiasDac)
    readout_centre: Float[Array, "..."] | None = physical(
        unit="1", converter=optional_array("readout_centre"), default=None
    )
    second_line: Literal["none", "differential", "replica"] = eqx.field(static=True, default="none")
    banks: Banks | None = None
    combining: Combining | None = None
    columns_per_converter: int | None = count(default=None)
    row_dac: RowDac | None = None
    serial_accumulation: SerialAccumulation | None = None
    drivers: Drivers | None = None
    reset: ResetSwitch | None = None
    leakage: Leakage | None = None
    supply_noise: Quantity | None = quantity("supply_noise", unit="V", optional=True)
    reference_tracking: Quantity = quantity("reference_tracking", unit="1", at_most=1.0, default=1.0)
    layout: Layout | None = None
    faults: Faults | None = None
    cell_capacitance: Quantity = quantity("cell_capacitance", unit="F", symbol="C_cell", default=2.1e-15)
    cell_area: Quantity = quantity("cell_area", unit="m2", default=73e-12)
    cell_leakage: Quantity = quantity("cell_leakage", unit="A", default=0.4e-9)
    clock: Quantity = quantity("clock", unit="Hz", symbol="f_clk", positive=True, default=10e6)
    evaluation_cycles: Quantity = quantity("evaluation_cycles", unit="1", positive=True, default=2.0)
    load_width: Quantity = quantity("load_width", unit="bit", positive=True, default=256.0)
    process: Process = eqx.field(default_factory=Process)
    reading: Literal["exact", "lumped"] = eqx.field(static=True, default="exact")

    def __post_init__(self) -> None:
        """Let parts without a supply of their own be stated at the array's."""
        for name, part in with_stated_supply(self, self.supply).items():
            setattr(self, name, part)

    def __check_init__(self) -> None:
        """Check that something reads the lines."""
        # Equinox checks base classes last, and what follows counts with sizes and word lengths.
        Macro.__check_init__(self)
        one_of("weight_coding", self.weight_coding, ("auto", "bipolar", "ternary"))
        one_of("input_coding", self.input_coding, ("auto", "bipolar", "unipolar"))
        one_of("second_line", self.second_line, ("none", "differential", "replica"))
        one_of("reading", self.reading, READINGS)
        part_of("process", self.process, Process)
        part_of("bias_dac", self.bias_dac, BiasDac)
        parts = {"comparator": Comparator, "adc": Converter} | PARTS
        for name, kind in parts.items():
            part_of(name, getattr(self, name), kind, optional=True)
        if self.banks is not None and self.rows % self.banks.number:
            raise ValueError(
                f"Argument `banks` must divide the {self.rows} rows of a line evenly, but has {self.banks.number}."
            )
        self._check_rails()
        self._check_tracking()
        check_columns(self)
        self.check_joined_digits()
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

    def _check_tracking(self) -> None:
        """Check that nothing is said of a level where there is a second line."""
        level = self.reference_tracking
        if self.second_line != "none" and not isinstance(level, jax.core.Tracer) and np.any(np.asarray(level) != 1.0):
            raise ValueError(
                f"Argument `reference_tracking` must be 1 beside a `second_line` of {self.second_line!r}, which "
                f"follows what both lines have in common by itself, but is {np.asarray(level)}."
            )

    def _check_rails(self) -> None:
        """Check that rails hold whole columns, and as many each."""
        shared = 1 if self.drivers is None else self.drivers.rail_lines
        if shared > 1 and (shared % self.lines or (self.columns * self.lines) % shared):
            raise ValueError(
                f"Argument `drivers` must have `rail_lines` of 1, or that hold whole columns of {self.lines} lines and "
                f"divide the {self.columns * self.lines} lines of the array, but has {shared}."
            )

    @property
    def deciding_comparator(self) -> Comparator | None:
        """The comparator with its noise at the array's supply."""
        return None if self.comparator is None else self.comparator.at_supply(self.supply, self.process)

    @property
    def at_trim(self) -> "CapacitorArray | None":
        """The array when its comparators were trimmed; None where the trim was under the conditions of use.

        Supply and leakage are those of then; clock, and temperature for everything else, those of use.
        """
        trim = None if self.comparator is None else self.comparator.trim
        if trim is None or (trim.temperature is None and trim.supply is None):
            return None
        then = self
        if trim.supply is not None:
            then = eqx.tree_at(lambda one: one.supply, then, trim.supply)
        if trim.temperature is not None and self.leakage is not None:
            leakage = self.leakage.kept_at(self.temperature, trim.temperature)
            then = eqx.tree_at(lambda one: one.leakage, then, leakage)
        return then

    @property
    def working_drivers(self) -> Drivers | None:
        """The drivers with their resistance at the array's supply and node."""
        return None if self.drivers is None else self.drivers.at_supply(self.supply, self.process)

    @property
    def readout_slowing(self) -> Float[Array, ""]:
        """Time of the readout's logic over that at 28 nm and the supply where its comparator is stated, 1."""
        stated = None if self.comparator is None else self.comparator.supply
        return delay_ratio(self.process, self.supply, self.supply if stated is None else stated)

    @property
    def parasitic_capacitance(self) -> Float[Array, ""]:
        """Everything on a line that no driver moves, F: parasitics, overlaps of the reset switch and of open banks."""
        overlap = 0.0 if self.reset is None else self.reset.feedthrough_capacitance
        if self.banks is not None:
            overlap = overlap + self.banks.off_total
        if self.joined is not None:
            overlap = overlap + self.joined.line_load
        return self.line_rows * self.cell_parasitic + self.line_parasitic + overlap

    @property
    def total_units(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, in unit capacitors."""
        parasitic = ratio(self.parasitic_capacitance, self.unit_capacitance)
        return self.line_rows + jnp.sum(self.bias_dac.section_units()) + parasitic

    @property
    def total_capacitance(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, F."""
        return self.total_units * self.unit_capacitance

    @checked_arguments
    def bias_units_high(self, shift: Float[Array, "..."]) -> Float[Array, "..."]:
        """Unit capacitors of a bias DAC that go high for a shift, counts."""
        return (jnp.sum(self.bias_dac.section_units()) + shift) / 2

    @property
    def sampling_capacitance(self) -> Float[Array, ""] | None:
        """Capacitance on which the converter samples a line, F; None where it is read as it is."""
        return None if self.adc is None else self.adc.input_capacitance

    @property
    def read_units(self) -> Float[Array, ""]:
        """Capacitance that holds the charge of a line when it is read, in unit capacitors."""
        sampled = self.sampling_capacitance
        return self.total_units if sampled is None else self.total_units + ratio(sampled, self.unit_capacitance)

    @checked_arguments
    def sampled_fraction(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """What the converter's sampling leaves of the voltage of lines of this total capacitance (F), 1."""
        sampled = self.sampling_capacitance
        return jnp.ones_like(total) if sampled is None else ratio(total, total + sampled)

    @checked_arguments
    def kickback_step(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """Kickback on what the comparator reads, V.

        That is lines of this total capacitance (F), what holds their sample, or the node that combines them.
        """
        assert self.comparator is not None
        held = self.sampling_capacitance if self.group is None else self.group.held
        return self.comparator.kickback_step(total if held is None else jnp.full_like(total, held))

    @checked_arguments
    def common_share(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """What is read of a step that all lines of this total capacitance (F) make, V/V."""
        return self.sampled_fraction(total) if self.group is None else jnp.sum(self.group.shares)

    @property
    def middle_units(self) -> Float[Array, ""]:
        """Capacitance that is high with all cells and bits of the bias DAC half way, in unit capacitors."""
        return (self.line_rows + jnp.sum(self.bias_dac.section_units()[:-1])) / 2

    @checked_arguments
    def switched_units(
        self, high: Float[Array, "..."], driven: Float[Array, "..."] | float, bias: Float[Array, "..."] | float = 0.0
    ) -> Float[Array, "..."]:
        """Capacitance that the supply charges on all lines of a column in an evaluation, in unit capacitors.

        Args:
            high: Cells of the first line that go high.
            driven: Cells of each line in use.
            bias: Unit capacitors of each bias DAC that go high, the same on both lines of a column.
        """
        switched = switched_capacitance(high + bias, self.read_units)
        if self.second_line == "none":
            return switched
        return switched + switched_capacitance(self.high_beside(high, driven) + bias, self.read_units)

    @property
    def tracking(self) -> Float[Array, ""]:
        """Degree to which what a line is read against follows what all lines have in common."""
        return self.reference_tracking if self.second_line == "none" else jnp.ones_like(self.reference_tracking)

    @property
    def cell_voltage(self) -> Float[Array, ""]:
        """Step of a line by one cell, V; of combined columns the step of their node by a least significant one."""
        step = self.supply / self.read_units
        return step if self.group is None else step * self.group.full_share / swing_of(self.combined_columns)

    @property
    def counts_per_volt(self) -> Float[Array, ""]:
        """Counts (half a cell; of combined columns, of the least significant one) per volt of what is read, 1/V."""
        counts = ratio(2.0 * self.read_units, self.swing * self.accumulated_swing * self.supply)
        return counts if self.group is None else ratio(counts * swing_of(self.combined_columns), self.group.full_share)

    @property
    def reset_time(self) -> Float[Array, ""]:
        """Time for which a line is reset, s: half of an evaluation."""
        return ratio(self.evaluation_cycles, self.clock) / 2

    @property
    def evaluation_time(self) -> Float[Array, ""]:
        """Time from the step of the bottom plates to the decision or the hold, s: the other half."""
        return self.reset_time

    @property
    def has_common_effects(self) -> bool:
        """Whether nominal lines differ from ideal ones."""
        kickback = None if self.comparator is None else self.comparator.kickback
        parts = (self.drivers, self.reset, self.leakage, kickback, self.serial_accumulation)
        return any(part is not None for part in parts)

    @property
    def settling_time(self) -> Float[Array, ""]:
        """Time for which drivers settle, s: from the step of the bottom plates to the decision, hold included."""
        return self.evaluation_time if self.leakage is None else self.evaluation_time + self.leakage.hold_time

    @property
    def nominal(self) -> NominalLine:
        """A line of nominal capacitors: what it settles to, and what it keeps. Each call computes it anew."""
        return nominal_line(
            LineParts(
                unit=self.unit_capacitance,
                parasitic=self.parasitic_capacitance,
                total_units=self.total_units,
                middle_units=self.middle_units,
                sampling=self.sampling_capacitance,
                supply=self.supply,
                temperature=self.temperature,
                evaluation_time=self.evaluation_time,
                settling_time=self.settling_time,
                drivers=self.working_drivers,
                reset=self.reset,
                leakage=self.leakage,
            )
        )

    @checked_arguments
    def read_gain(self, nominal: NominalLine) -> Float[Array, ""]:
        """Fraction of a step that is read: of combined columns with what their sharing leaves of the swing."""
        group = self.group
        return nominal.gain if group is None else nominal.gain * ratio(jnp.sum(group.shares), group.full_share)

    @property
    def has_rail(self) -> bool:
        """Whether the capacitors that rise share a rail of some resistance."""
        return self.drivers is not None and self.drivers.supply_resistance is not None

    @property
    def linear_lines(self) -> bool:
        """Whether what is read of a line before the converter is linear in its digits, at every read."""
        return not self.has_rail and self.supply_noise is None

    @property
    def has_own_rails(self) -> bool:
        """Whether no line shares its rail with another."""
        return self.drivers is None or self.drivers.rail_lines == 1

    @checked_arguments
    def common_shift(self, nominal: NominalLine) -> Float[Array, ""]:
        """Shift that nominal lines have in common at the decision, V: kickback, switch charge, leakage, slow drivers.

        As after many evaluations: the line's own values leave nothing behind, since the bottom plates take them back in
        reset; what leaks away is missing in the next evaluation as far as reset is incomplete.
        """
        total = nominal.total
        added, share = nominal.switch_step(total) - nominal.leaked_drop(total), self.common_share(total)
        return self.kickback_step(total) + share * nominal.drive_shift + share * (added + nominal.droop_shift)

    @property
    def noise_counts(self) -> Float[Array, ""]:
        """Standard deviation of one read, counts: everything sampled on the line and the comparator's noise."""
        return self.read_noise()

    @checked_arguments
    def read_noise(self, nominal: NominalLine | None = None) -> Float[Array, ""]:
        """The same; the nominal line is computed where it is not given."""
        decided = self.comparator_referral * self.decision_noise_counts
        return root(self.sampled_noise(self.line_rows, nominal) ** 2 + decided**2)

    @property
    def sampled_noise_counts(self) -> Float[Array, ""]:
        """Standard deviation of the noise on the line before any decision, counts."""
        return self.sampled_noise(self.line_rows)

    @checked_arguments
    def sampled_noise(
        self, driven: Float[Array, ""] | float | int, nominal: NominalLine | None = None
    ) -> Float[Array, ""]:
        """The same on a line of which so many rows are in use; the nominal line is computed where it is not given."""
        variances = self.noise_variances(driven, nominal)
        return root(sum(variances.values(), start=jnp.zeros_like(self.supply)))

    @property
    def comparator_referral(self) -> Float[Array, ""] | float:
        """Volts on the line for which a volt at the comparator's input stands, V/V: as its converter says."""
        return 1.0 if self.adc is None else self.adc.comparator_referral

    @property
    def decision_noise_counts(self) -> Float[Array, ""]:
        """Comparator noise at every decision, counts at its own input."""
        assert self.comparator is not None
        return self.comparator.noise_at(self.supply, self.process) * self.counts_per_volt

    @checked_arguments
    def noise_variances(
        self, driven: Float[Array, ""] | float | int | None = None, nominal: NominalLine | None = None
    ) -> dict[str, Float[Array, ""]]:
        """Variance on the line, counts^2, of each source that is drawn at every read.

        "thermal noise": kT/C noise of the reset switch on C_tot. "driver noise": noise of the drivers' resistors,
        `kT C_sum / (C_par C_tot)` within the readout's bandwidth. Of a converter that samples the line both together
        are the kT/C noise of its C_s. "last value": what slow drivers leave of the sums before, whose variance is one
        count^2 per row when operands are independent, less with levels in between. Those of two lines add. "row DAC
        noise": that of `driven` rows (None is all of the line). After joined evaluations the noise of the line is that
        of its accumulation capacitor, `kT / C_a`.
        """
        # kT / (C_u supply**2) first: kT alone times a capacitance would underflow in float32.
        unit = (
            4.0
            * self.lines
            / self.swing**2
            * ratio(ratio(constants.k * self.temperature, self.unit_capacitance), self.supply**2)
        )
        sampled = self.sampling_capacitance
        if sampled is None:
            variances = {"thermal noise": unit * self.total_units}
        else:
            variances = {
                "thermal noise": unit * ratio(self.read_units, ratio(sampled, self.unit_capacitance)) * self.read_units
            }
        if self.serial_accumulation is not None:
            left = ratio(self.total_capacitance, self.accumulation_capacitance) / self.accumulated_swing**2
            variances["thermal noise"] = variances["thermal noise"] * left
        if self.drivers is not None:
            if sampled is None:
                grounded = ratio(self.parasitic_capacitance, self.unit_capacitance)
                moved = ratio(self.total_units - grounded, grounded) * self.total_units
                variances["driver noise"] = self.drivers.noise_fraction * unit * moved
            nominal = self.nominal if nominal is None else nominal
            left = quotient(nominal.drive_left**2, 1.0 - nominal.drive_kept**2)
            variances["last value"] = left * nominal.gain**2 * self.line_rows
            if self.row_dac is not None:
                variances["last value"] = variances["last value"] * mean_square(self.row_dac.bits)
        if self.row_dac is not None:
            rows = self.line_rows if driven is None else driven
            level = ratio(2.0 * self.row_dac.noise, self.supply)
            variances["row DAC noise"] = level**2 * rows * self.weight_square
        return variances if self.group is None else self._of_group(variances, self.group)

    def _of_group(self, variances: dict[str, Float[Array, ""]], group: Group) -> dict[str, Float[Array, ""]]:
        """The same of combined columns: what holds their node sets its kT/C noise, the rest is that of all lines."""
        sampled = ratio(constants.k * self.temperature, group.held) * self.lines
        others = {name: variance * jnp.sum(group.weights**2) for name, variance in variances.items()}
        return others | {"thermal noise": sampled * self.counts_per_volt**2}
