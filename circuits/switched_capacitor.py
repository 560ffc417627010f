"""Switched-capacitor binary-analog array: XNOR cells drive unit capacitors on a line that a comparator or ADC reads."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from scipy import constants

from amsim.circuits.bit_slicing import Slice, accumulate, recombine, weight_digits
from amsim.circuits.capacitor_line import CapacitorDie, CapacitorLine, switched_units
from amsim.circuits.checks import Quantity, count, one_key, part_of, quantity
from amsim.circuits.comparator import Comparator
from amsim.circuits.converters import Adc, BiasDac
from amsim.circuits.macro import UNKNOWN, Die, Macro, MacroCost, Work, over_columns
from amsim.circuits.neuron import Neuron
from amsim.circuits.operands import IntegerCode, ValueRange, input_code, weight_code
from amsim.circuits.products import Product
from amsim.noise.mismatch import MOM_FRINGE_COEFFICIENT, capacitor_mismatch_sigma
from amsim.noise.random import normal


class SwitchedCapacitor(Macro):
    r"""Charge-domain XNOR array after Bankman et al. (ISSCC'18, JSSC'19).

    Every cell drives the bottom plate of a unit capacitor to `supply` when weight and input agree and to ground when
    not; the top plates share one line, reset to mid level with all bottoms at ground. With `C_i = C_u (1 + s z_i)`:
    `V = V_cm + supply * sum_i C_i h_i / C_tot`, `C_tot = sum units + bias DAC + parasitic`, `h_i` in {0, 1}.
    One cell is the step `supply * C_u / C_tot`; a sum of -1 and +1 (a count) is half of it.

    A 0 among one-bit weights or inputs leaves its cell undriven, its bottom plate at mid level.

    Each line is read by its comparator (a fused neuron whose threshold is a code of the bias DAC) or by an ADC.
    Noise of a read: `sqrt(kT / C_tot)` sampled at reset and the comparator's own, both Gaussian, new at every read.
    Sources: facts 1, 5.2, 5.3, 6.4, 8. Valid for settled lines; droop, settling and charge injection are not modelled.

    Attributes:
        rows: Cells on a line (static). Default 1024.
        columns: Physical lines, shared by all layers and filters (static). Default 64.
        weight_bits: Bits of a weight, side by side on neighbouring columns (static).
        input_bits: Bits of an input, one after another (static).
        unit_capacitance: F. Default 1 fF (facts 1.2).
        mismatch_coefficient: Relative sigma of a unit capacitor times sqrt of its capacitance, sqrt(F).
        cell_parasitic: Parasitic of the line to ground for each row, F. Default 0.3 fF (facts 5.2, 28 nm model).
        line_parasitic: Further parasitic of the line, F. Default 2.04 fF (same model).
        supply: V. Default 0.6 V (facts 1.1).
        temperature: K.
        comparator: Comparator of each column, or None.
        adc: ADC of each column, or None.
        bias_dac: Bias DAC of each column.
        cell_capacitance: Capacitance that a cell's logic and wires switch at each evaluation, F. Default 2.1 fF:
            calibrated so that 1024 rows cost the 0.975 pJ derived for Bankman's array (facts 1.1).
        cell_area: m^2. Default 73e-12: calibrated on Bankman's 6 mm^2 less its SRAM (facts 1.1).
        clock: Hz. Default 10 MHz (facts 1.1).
        evaluation_cycles: Clock cycles of one evaluation, reset included.
        load_width: Weight bits loaded in one cycle.

    Raises:
        ValueError: A size, capacitance, supply or temperature that is not above 0, or no readout at all.
    """

    rows: int = count(default=1024)
    columns: int = count(default=64)
    weight_bits: int = count(default=1)
    input_bits: int = count(default=1)
    unit_capacitance: Quantity = quantity("unit_capacitance", positive=True, default=1e-15)
    mismatch_coefficient: Quantity = quantity("mismatch_coefficient", default=MOM_FRINGE_COEFFICIENT)
    cell_parasitic: Quantity = quantity("cell_parasitic", default=0.3e-15)
    line_parasitic: Quantity = quantity("line_parasitic", default=2.04e-15)
    supply: Quantity = quantity("supply", positive=True, default=0.6)
    temperature: Quantity = quantity("temperature", default=300.0)
    comparator: Comparator | None = eqx.field(default_factory=Comparator)
    adc: Adc | None = eqx.field(default_factory=Adc)
    bias_dac: BiasDac = eqx.field(default_factory=BiasDac)
    cell_capacitance: Quantity = quantity("cell_capacitance", default=2.1e-15)
    cell_area: Quantity = quantity("cell_area", default=73e-12)
    clock: Quantity = quantity("clock", positive=True, default=10e6)
    evaluation_cycles: Quantity = quantity("evaluation_cycles", positive=True, default=2.0)
    load_width: Quantity = quantity("load_width", positive=True, default=256.0)

    def __check_init__(self) -> None:
        """Check that something reads the lines."""
        part_of("comparator", self.comparator, Comparator, optional=True)
        part_of("adc", self.adc, Adc, optional=True)
        part_of("bias_dac", self.bias_dac, BiasDac)
        if self.comparator is None and self.adc is None:
            raise ValueError("Argument `comparator` or `adc` must be given: a line without readout computes nothing.")
        if self.comparator is None and self.adc is not None:
            raise ValueError("Argument `comparator` must be given: the ADC decides with it.")

    @property
    def reads_numbers(self) -> bool:
        """With an ADC."""
        return self.adc is not None

    @property
    def decides(self) -> bool:
        """With one-bit operands, which is what a comparator can decide on."""
        return self.weight_bits == 1 and self.input_bits == 1

    @property
    def total_units(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, in unit capacitors."""
        return self.rows + jnp.sum(self.bias_dac.section_units()) + self._parasitic_units

    @property
    def counts_per_volt(self) -> Float[Array, ""]:
        """Counts (half a cell) for each volt on the line, 1/V."""
        return 2.0 * self.total_units / self.supply

    @property
    def noise_counts(self) -> Float[Array, ""]:
        """Standard deviation of one read, counts: kT/C and comparator noise together."""
        # kT / (C_u supply**2) first: kT alone times a capacitance would underflow in float32.
        thermal = constants.k * self.temperature / self.unit_capacitance / self.supply**2 * self.total_units
        assert self.comparator is not None
        variance = 4.0 * thermal + (self.comparator.noise * self.counts_per_volt) ** 2
        # The root has no derivative at 0, where no noise stays no noise.
        return jnp.where(variance > 0, jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)

    @property
    def operating_supply(self) -> Float[Array, ""]:
        """The array's supply, V."""
        return self.supply

    @property
    def area(self) -> Float[Array, ""]:
        """Cells and converters, m^2."""
        converters = 0.0 if self.adc is None else self.columns * self.adc.area
        return self.rows * self.columns * self.cell_area + converters

    @property
    def _parasitic_units(self) -> Float[Array, ""]:
        return (self.rows * self.cell_parasitic + self.line_parasitic) / self.unit_capacitance

    def fabricate(self, key: PRNGKeyArray) -> CapacitorDie:
        """Standard draws of all capacitors and comparators of one sample."""
        units, bias, comparator = jax.random.split(one_key("key", key), 3)
        return CapacitorDie(
            jax.random.normal(units, (self.rows, self.columns)),
            jax.random.normal(bias, (self.columns, self.bias_dac.sections)),
            jax.random.normal(comparator, (self.columns,)),
        )

    def multiply(
        self,
        product: Product,
        inputs: Float[Array, "..."],
        matrix: Float[Array, "rows columns"],
        *,
        die: Die = None,
        key: PRNGKeyArray | None = None,
        input_range: ValueRange = UNKNOWN,
        weight_range: ValueRange = UNKNOWN,
    ) -> Float[Array, "..."]:
        """Product read through the ADC: one conversion for each tile, input bit and weight bit."""
        adc = self.adc
        assert adc is not None
        x_code, x, w_code, w = self._encode(product, inputs, matrix, input_range, weight_range)
        digits = weight_digits(w_code, w)
        driven = product.driven_rows(self.rows).astype(digits.dtype)
        line = self._line(die, digits.shape[1])
        offsets = None if line is None else line.offsets(driven, with_bias=False)
        finest = self._finest_step(product, x_code, x, w)

        def read(one: Slice) -> Float[Array, "..."]:
            rows = jnp.sum(driven[one.tile])
            counts = one.sums if offsets is None else one.sums + over_columns(offsets[one.tile], one.sums.ndim)
            slice_key = None if key is None else jax.random.fold_in(key, one.order)
            noisy = self._with_noise(counts, slice_key)
            cells = adc.convert((noisy + rows) / 2, rows, finest)
            return one.place_value * (2 * cells - rows)

        sums = accumulate(product, self.rows, x_code, x, digits, None if line is None else line.cells, read)
        return recombine(product, sums, x_code, x, w_code, w) * x_code.scale * over_columns(w_code.scale, sums.ndim)

    def margin(
        self,
        product: Product,
        inputs: Float[Array, "..."],
        matrix: Float[Array, "rows columns"],
        neuron: Neuron,
        *,
        die: Die = None,
        key: PRNGKeyArray | None = None,
        input_range: ValueRange = UNKNOWN,
        weight_range: ValueRange = UNKNOWN,
    ) -> Float[Array, "..."]:
        """`slope * product + intercept` as the comparator sees it, the threshold realised by the bias DAC.

        The DAC puts the decision half way between the two neighbouring sums, so that without noise the decision
        equals that of the exact expression. With an odd number of undriven cells a sum may meet the threshold there;
        a comparator has no answer to that, so a 64th of what the DAC leaves of the exact threshold gives one.
        """
        x_code, x, w_code, w = self._encode(product, inputs, matrix, input_range, weight_range)
        line = self._line(die, product.columns)
        cells = w if line is None else w * line.cells[: product.rows]
        counts = product.sums(x_code.digit(x, 0), cells)
        in_counts = neuron.in_counts(x_code, w_code, w, counts.ndim)
        code = self.bias_dac.code(in_counts.shift(product.rows))
        realised = code * self.bias_dac.lsb
        counts = counts + (realised + jnp.clip(in_counts.exact_shift() - realised, -1, 1) / 64)
        if line is not None:
            error = line.bias_error(self.bias_dac, self.bias_dac.levels(code))
            driven = jnp.ones((product.rows,), counts.dtype)
            counts = counts + error + over_columns(line.offsets(driven, with_bias=True), counts.ndim)
        return in_counts.from_counts(self._with_noise(counts, key))

    def report(
        self,
        product: Product,
        inputs: Float[Array, "..."],
        matrix: Float[Array, "rows columns"],
        *,
        neuron: Neuron | None = None,
        input_range: ValueRange = UNKNOWN,
        weight_range: ValueRange = UNKNOWN,
    ) -> dict[str, Array]:
        """Mean switched capacitance of an evaluation, in unit capacitors, and the fractions that clip."""
        x_code, x, w_code, w = self._encode(product, inputs, matrix, input_range, weight_range)
        driven = jnp.sum(product.driven_rows(self.rows).astype(w.dtype), axis=-1)
        finest = self._finest_step(product, x_code, x, w)
        # Half of the bias DAC goes high, averaged over thresholds; a line read by the ADC holds it.
        bias_high = 0.0 if neuron is None else jnp.sum(self.bias_dac.section_units()) / 2

        def one(slice_: Slice) -> dict[str, Array]:
            cells = (slice_.sums + driven[slice_.tile]) / 2
            found = {"switched_units": jnp.mean(switched_units(cells + bias_high, self.total_units))}
            if neuron is None and self.adc is not None:
                found["clipped_adc"] = self.adc.clipped(cells, driven[slice_.tile], finest)
            return found

        totals = accumulate(product, self.rows, x_code, x, weight_digits(w_code, w), None, one)
        activity = {name: total / (product.tiles(self.rows) * x_code.bits) for name, total in totals.items()}
        activity |= {"clipped_inputs": x_code.clipped(inputs), "clipped_weights": w_code.clipped(matrix)}
        if neuron is not None:
            shift = neuron.in_counts(x_code, w_code, w, inputs.ndim).shift(product.rows)
            activity["clipped_thresholds"] = self.bias_dac.clipped(shift, float(product.rows))
        return activity

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """Capacitors by the activity of the site, cell logic by events, one readout for each line evaluation."""
        product = work.product
        slices = product.columns * self.weight_bits
        evaluations = float(work.positions * product.tiles(self.rows) * self.input_bits)
        passes = -(-slices // self.columns)
        fused = "clipped_thresholds" in activity
        assert self.comparator is not None
        readout = self.comparator.energy()
        if not fused and self.adc is not None:
            # The converter decides once for each bit, with this comparator: less noise costs energy here too.
            readout = self.adc.bits * readout + self.adc.energy(self.supply)
        capacitors = self.unit_capacitance * activity["switched_units"] * self.supply**2
        logic = self.cell_capacitance * self.supply**2 * (product.rows / product.tiles(self.rows))
        stored = float(product.rows * slices)
        cycles = evaluations * passes * self.evaluation_cycles + stored / self.load_width
        return MacroCost(
            energy=evaluations * slices * (capacitors + logic + readout),
            cycles=cycles,
            seconds=cycles / self.clock,
            weight_bits=stored,
            input_bits=float(work.input_words * self.input_bits * passes) * work.window_fetches,
            output_bits=float(work.positions * product.columns * self.input_bits),
            stored_bits=stored,
        )

    def ideal(self) -> "SwitchedCapacitor":
        """No mismatch, noise, offset or temperature, and an ADC that resolves one count over the whole line.

        Exact up to 16383 rows, where the ADC's 16 bits end.
        """
        adc = Adc(bits=min(self.rows.bit_length() + 2, 16), range=1.0)
        assert self.comparator is not None
        return dataclasses.replace(
            self,
            mismatch_coefficient=0.0,
            temperature=0.0,
            comparator=self.comparator.ideal(),
            adc=None if self.adc is None else adc,
        )

    def _encode(
        self, product: Product, inputs: Array, matrix: Array, input_range: ValueRange, weight_range: ValueRange
    ) -> tuple[IntegerCode, Array, IntegerCode, Array]:
        x_code = input_code(inputs, self.input_bits, input_range, product.vector_axes)
        w_code = weight_code(matrix, self.weight_bits, weight_range)
        return x_code, x_code.encode(inputs), w_code, w_code.encode(matrix)

    def _line(self, die: Die, slices: int) -> CapacitorLine | None:
        if die is None:
            return None
        assert self.comparator is not None
        if not isinstance(die, CapacitorDie):
            raise ValueError(
                f"Argument `die` must be a die of this macro, from `fabricate`, but is of type {type(die).__name__}."
            )
        if die.units.shape != (self.rows, self.columns) or die.bias.shape[1] != self.bias_dac.sections:
            raise ValueError(
                f"Argument `die` must be a die of this macro ({self.rows} rows, {self.columns} columns, "
                f"{self.bias_dac.sections} bias capacitors), but has {die.units.shape[0]} rows, "
                f"{die.units.shape[1]} columns, {die.bias.shape[1]} bias capacitors."
            )
        return CapacitorLine.of_die(
            die,
            jnp.arange(slices) % self.columns,
            unit_sigma=capacitor_mismatch_sigma(self.unit_capacitance, self.mismatch_coefficient),
            bias_dac=self.bias_dac,
            parasitic_units=self._parasitic_units,
            offset=self.comparator.residual_offset(die.comparator) * self.counts_per_volt,
        )

    def _finest_step(self, product: Product, x_code: IntegerCode, x: Array, w: Array) -> Array | float:
        """Step in cells between the possible values of a line: half a cell where a cell may be undriven."""
        undriven = jnp.zeros((1,) * x.ndim, bool)
        if x_code.bits == 1 and x_code.signed:
            undriven = jnp.any(x == 0, axis=product.vector_axes, keepdims=True)
        if self.weight_bits == 1:
            undriven = undriven | over_columns(jnp.any(w == 0, axis=0), x.ndim)
        return jnp.where(undriven, 0.5, 1.0).astype(x.dtype)

    def _with_noise(self, counts: Array, key: PRNGKeyArray | None) -> Array:
        return counts if key is None else counts + self.noise_counts * normal(key, counts.shape, counts.dtype)
