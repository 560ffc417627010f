"""Fields of a switched-capacitor array: its cells, lines and parts, with their defaults, and what they must satisfy."""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amsim.circuits.adc import Adc, Converter
from amsim.circuits.charge.banks import Banks
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.combining import Combining
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.charge.faults import Faults
from amsim.circuits.charge.grouped_array import check_columns
from amsim.circuits.charge.layout import Layout
from amsim.circuits.charge.leakage import Leakage
from amsim.circuits.charge.line_noise import LineNoise
from amsim.circuits.charge.reset_switch import ResetSwitch
from amsim.circuits.charge.row_dac import RowDac
from amsim.circuits.charge.serial_accumulation import SerialAccumulation
from amsim.circuits.checks import one_of, part_of
from amsim.circuits.contract.error_sources import IDEAL, ErrorSource
from amsim.circuits.contract.macro import READINGS, Macro
from amsim.circuits.fields import Quantity, count, optional_array, physical, quantity
from amsim.circuits.technology.process import Process
from amsim.noise.checks import real
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


class CapacitorArray(LineNoise):
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
