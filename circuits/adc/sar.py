"""Successive-approximation converter: a binary search with a capacitor array whose mismatch bends the levels."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.adc.capacitor_dac import DacLevels, transition_levels
from amsim.circuits.adc.converter import (
    ConversionNoise,
    Converter,
    ConverterDie,
    Values,
    check_die,
    exceeds,
    nearest_transition,
    on_columns,
)
from amsim.circuits.adc.survey import column_conversion_time, search_logic_area
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, one_of
from amsim.circuits.contract.bit_slicing import place_value
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.selection.codes import limited
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import ratio
from amsim.noise.gradients import rounded, with_gradient_of
from amsim.noise.loops import scan
from amsim.noise.mismatch import MOM_FRINGE_COEFFICIENT, capacitor_mismatch_sigma

TOPOLOGIES = ("bottom-plate", "shared-line", "split")
LAID_OUT_BITS = 8
"""Most bits of a search that is unrolled: gradients through a compiled loop are several times slower on a CPU."""


class SarDie(ConverterDie):
    """Standard draws of the capacitor arrays and offsets of one die.

    Attributes:
        capacitors: Of each bit, least significant first, then the dummy and the bridge.
        offset: Of each converter.
    """

    capacitors: Float[Array, "columns capacitors"]
    offset: Float[Array, " columns"]


class SarAdc(Converter):
    r"""Successive-approximation converter with a binary-weighted capacitor array, single-ended.

    Capacitor `k` has `2**k` unit capacitors and a relative error of sigma `s / sqrt(2**k)`, `s` from the area law. The
    trial level of code `D`, in codes from the lowest, is `sum_k d_k w_k - 1/2`:

    - "bottom-plate": `w_k = 2**bits C_k / (sum of bits and dummy)`: the gain is exact, the INL vanishes at both ends.
    - "shared-line": `w_k = C_k / C_unit`; the line's total divides signal and levels alike, so that it cancels.
    - "split": the bits below `low_bits` couple through a bridge of ideally `2**low_bits / (2**low_bits - 1)` units:
      `w_k` as in `split_levels`. The other bits start at one unit again.

    Every decision has comparator noise of its own; noise sampled on the line is drawn once per conversion.

    Where `input_capacitance` C_s is given, the converter samples the line: C_s, reset with the line, is joined to it
    when the line has settled, and taken away again. What is converted then is `C_tot / (C_tot + C_s)` of the line's
    value; the range, which follows the swing of the rows, is that much narrower in volts, so that codes stay the same
    and noise and offset of the comparator weigh more. Its thermal noise is `kT / C_s`: `kT / (C_tot + C_s)` from the
    two resets and `kT C_tot / (C_s (C_tot + C_s))` from the opening switch, that of the drivers within it. The bottom
    plates charge what the line gives away; the comparator decides behind C_s in every read, also of a fused neuron.
    Sampling is taken to settle.

    Energy per conversion: `bits * decision_energy + (linear_capacitance * bits + a C_array) VDD**2`. "bottom-plate":
    `a = 1 - 2**-bits - (1 - 4**-bits) / 3`, the mean of a conventional search over uniform codes; assumed for "split";
    "shared-line": `a = 1`, every trial discharges its capacitor and the reset recharges it.

    Attributes:
        bits: Resolution, 1 to 16 (static).
        topology: One of `TOPOLOGIES` (static).
        low_bits: Bits behind the bridge, 1 to `bits - 1`; for "split" only (static).
        range: Full scale relative to the swing of the driven rows, 1; values outside clip and are counted.
        unit_capacitance: Of one unit capacitor, F. Default 1 fF (facts 1.2).
        mismatch_coefficient: Relative sigma of a unit capacitor times sqrt of its capacitance, sqrt(F).
        parasitic: Comparator node to ground, F; it raises the input-referred noise and offset of the comparator
            (of no effect for "shared-line", whose node is the line).
        low_parasitic: Node behind the bridge to ground, F; a cause of INL, for "split" only.
        bridge_scale: Bridge relative to its ideal size, 1; for "split" only.
        offset_sigma: Standard deviation of the converter's own offset, LSB. Default 0: the offset is that of the line's
            comparator.
        linear_capacitance: Of the search logic per bit at 28 nm, F. Default 100 fF (facts 6.4).
        capacitor_density: Capacitance per area, F/m^2. Default 2 fF/um^2 (assumed, metal fringe).
        input_capacitance: C_s on which the line is sampled, F: `array_capacitance` where the array itself takes the
            charge. None (default): a buffer, which is not modelled, or a shared line.

    Raises:
        ValueError: Bits outside their range, an unknown topology, a negative quantity, a unit capacitance, input
            capacitance, bridge, density or range that is not above 0, or a shared line that is sampled.

    Valid for settled levels and errors far below one. Area: capacitors, by density and matching, and
    `search_logic_area`, anchored on a converter measured in 65 nm (facts 1b) and growing with the bits as facts 6.4.
    Time: facts 6.4.
    """

    bits: int = count(unit="bit", symbol="B", default=8)
    topology: str = eqx.field(static=True, default="bottom-plate")
    low_bits: int = count(unit="bit", default=4)
    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "converter mismatch",
            "static",
            "Random deviations of the capacitors of a converter.",
            sizes=("mismatch_coefficient",),
            effects=("converter",),
        ),
        ErrorSource(
            "converter offset",
            "static",
            "Offset of a converter beside that of the line's comparator.",
            sizes=("offset_sigma",),
            effects=("converter",),
        ),
    )

    range: Quantity = quantity("range", unit="1", positive=True, default=1.0)
    unit_capacitance: Quantity = quantity("unit_capacitance", unit="F", symbol="C_u", positive=True, default=1e-15)
    mismatch_coefficient: Quantity = quantity(
        "mismatch_coefficient", unit="F^0.5", symbol="K_C", default=MOM_FRINGE_COEFFICIENT
    )
    parasitic: Quantity = quantity("parasitic", unit="F", symbol="C_par", default=0.0)
    low_parasitic: Quantity = quantity("low_parasitic", unit="F", default=0.0)
    bridge_scale: Quantity = quantity("bridge_scale", unit="1", positive=True, default=1.0)
    offset_sigma: Quantity = quantity("offset_sigma", unit="LSB", symbol="sigma_os", default=0.0)
    linear_capacitance: Quantity = quantity("linear_capacitance", unit="F", symbol="C_lin", default=100e-15)
    capacitor_density: Quantity = quantity("capacitor_density", unit="F/m2", positive=True, default=2e-3)
    input_capacitance: Quantity | None = quantity(
        "input_capacitance", unit="F", symbol="C_s", positive=True, optional=True
    )

    def __check_init__(self) -> None:
        """Check resolution and topology."""
        integer_between("bits", self.bits, 1, 16)
        one_of("topology", self.topology, TOPOLOGIES)
        integer_between("low_bits", self.low_bits, 0, 16)
        if self.topology == "split":
            integer_between("bits", self.bits, 2, 16)  # one bit cannot be split
            integer_between("low_bits", self.low_bits, 1, self.bits - 1)
        if self.topology == "shared-line" and self.input_capacitance is not None:
            raise ValueError(
                "Argument `input_capacitance` must be None for the topology 'shared-line', whose capacitors are on the "
                "line itself."
            )

    @property
    def levels(self) -> int:
        """Number of output codes."""
        return 2**self.bits

    @property
    def comparators(self) -> int:
        """One, which decides once per bit."""
        return 1

    @property
    def comparator_referral(self) -> Float[Array, ""] | float:
        """Attenuation from the input to the comparator by the parasitic of its node, inverted: 1 or more."""
        if self.topology == "shared-line":
            return 1.0
        extra = ratio(self.parasitic, self.unit_capacitance)
        if self.topology == "bottom-plate":
            return 1.0 + extra / self.levels
        high, low = 2.0 ** (self.bits - self.low_bits) - 1.0, 2.0**self.low_bits
        bridge = self.bridge_scale * self._bridge_units
        coupling = bridge / (low + ratio(self.low_parasitic, self.unit_capacitance) + bridge)
        return (high + extra + bridge * (1.0 - coupling)) / (high + coupling * low)

    @property
    def array_capacitance(self) -> Float[Array, ""]:
        """Nominal capacitance of all capacitors of the array, F."""
        units = float(np.sum(self._sizes[:-1])) - (self.topology == "shared-line")
        bridge = self.bridge_scale * self._bridge_units if self.topology == "split" else 0.0
        return self.unit_capacitance * (units + bridge)

    @property
    def area(self) -> Float[Array, ""]:
        """Capacitors, comparator and logic of one converter at 28 nm, m^2."""
        return self.capacitor_area + search_logic_area(self.bits)

    @property
    def capacitor_area(self) -> Float[Array, ""]:
        """Capacitors of one converter, by their density, at any node, m^2."""
        return ratio(self.array_capacitance, self.capacitor_density)

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray, columns: int) -> SarDie:
        """Standard draws of `columns` converters of one die."""
        integer_between("columns", columns, 1)
        capacitors, offset = jax.random.split(key)
        return SarDie(jax.random.normal(capacitors, (columns, self.bits + 2)), jax.random.normal(offset, (columns,)))

    @checked_arguments
    def dac_levels(self, die: ConverterDie | None = None) -> DacLevels:
        """Trial levels of the arrays in codes: weights of the bits, and the level of all bits at 0."""
        check_die(die, SarDie, {"capacitors": (self.bits + 2,), "offset": ()}, None)
        offset = jnp.asarray(self.lowest_code - 0.5, self.range.dtype)
        if not isinstance(die, SarDie):
            return DacLevels(self._weights(jnp.zeros((self.bits + 2,), self.range.dtype)), offset)
        return DacLevels(jax.vmap(self._weights)(die.capacitors), offset + self.offset_sigma * die.offset)

    @checked_arguments
    def transitions(self, die: ConverterDie | None = None) -> Float[Array, "*columns transitions"]:
        """Transitions of the search, in codes."""
        levels = self.dac_levels(die)
        return transition_levels(levels) if die is None else jax.vmap(transition_levels)(levels)

    def read_codes(
        self, values: Float[Array, "..."], *, die: ConverterDie | None, noise: ConversionNoise | None
    ) -> Float[Array, "..."]:
        """Codes of the binary search, from the most significant bit down."""
        if values.ndim:
            check_die(die, SarDie, {"offset": ()}, values.shape[-1])
        dac = self.dac_levels(die)
        noisy = values if noise is None else noise.add_sampled(values)
        first = on_columns(dac.offset, values.ndim)
        nearest = nearest_transition(noisy, self)
        one = jnp.ones((), nearest.dtype)

        def decide(
            search: tuple[Array, Array, Array, Array], bit: tuple[Array, Array]
        ) -> tuple[tuple[Array, Array, Array, Array], None]:
            level, code, near_level, near_noise = search
            place = bit[1].astype(nearest.dtype)
            weight = on_columns(bit[0], values.ndim)
            draw = jnp.zeros_like(noisy) if noise is None else noise.of_decision(place, noisy)
            trial = level + weight
            # All trials but that of the last bit are even codes; the one trial of one bit is code 0.
            kept = exceeds(noisy + draw, trial, (place > 0) | (self.bits == 1))
            near_level = near_level + ((nearest >> place) & 1).astype(weight.dtype) * weight
            decides_nearest = (nearest & ((one << (place + 1)) - 1)) == (one << place)
            found = (
                jnp.where(kept, trial, level),
                code + jnp.where(kept, place_value(place, values.dtype), 0.0),
                near_level,
                jnp.where(decides_nearest, draw, near_noise),
            )
            return found, None

        places = jnp.arange(self.bits)
        nothing = jnp.zeros_like(noisy)
        start = (jnp.broadcast_to(first, noisy.shape), nothing, nothing, nothing)
        (_, code, near_level, near_noise), _ = scan(
            decide, start, (jnp.moveaxis(dac.weights, -1, 0), places), reverse=True, unroll=self.bits <= LAID_OUT_BITS
        )
        shift = near_level + first - (nearest.astype(values.dtype) + (self.lowest_code - 0.5))
        surrogate = limited(rounded(noisy + near_noise - shift), self.lowest_code, self.highest_code)
        return with_gradient_of(code + self.lowest_code, surrogate)

    @checked_arguments
    def energy(
        self,
        supply: Float[Array, ""],
        decision_energy: Float[Array, ""] | float = 0.0,
        process: Process | None = None,
    ) -> Float[Array, ""]:
        """Energy of one conversion, J; the reference of the array is the supply."""
        factor = 1.0 if self.topology == "shared-line" else 1.0 - 2.0**-self.bits - (1.0 - 4.0**-self.bits) / 3.0
        own = self.linear_capacitance * energy_ratio(process, supply) * self.bits + factor * self.array_capacitance
        return self.bits * decision_energy + own * supply**2

    @checked_arguments
    def conversion_time(
        self, rows: Float[Array, ""] | float | int, slowing: Float[Array, ""] | float = 1.0
    ) -> Float[Array, ""]:
        """Time of `bits` decisions one after another, s."""
        return column_conversion_time(self.bits, jnp.asarray(rows, self.range.dtype), slowing)

    @checked_arguments
    def decision_variance(self, decision: Values) -> Float[Array, "..."]:
        """Mean square error that the noise of a search's decisions adds for evenly spread values, LSB^2.

        `s**2 (1/2 + 1/2 / (1 + 1.13 s**1.5))`, where each decision has noise of its own of standard deviation s: later
        decisions correct a wrong early one as far as their weights reach. Fitted to 2e6 searches of 8 bits: the whole
        conversion is within 3 % for s from 0 to 6. Searches of 2 to 4 bits, of which few decisions correct others, are
        not covered by the fit. One bit is one decision, `s**2`.
        """
        noise = jnp.asarray(decision, self.range.dtype)
        if self.bits == 1:
            return noise**2
        return noise**2 * (0.5 + 0.5 / (1.0 + 1.13 * noise**1.5))

    def static_variance(self) -> Float[Array, ""]:
        r"""Expected variance of a transition's shift, averaged over all transitions, LSB^2.

        `K s**2 + offset_sigma**2 + mean((nominal shift)**2)`, `s` the relative sigma of a unit capacitor. To first
        order in the errors `K` is `(2**bits + 1) / 6` ("bottom-plate": `D (2**bits - D) / 2**bits` at code `D`) and
        `2**bits / 2` ("shared-line": `D` at code `D`); for "split" it is the mean of the squared derivatives of the
        ideal array. The nominal shift is that of `low_parasitic` and `bridge_scale`.
        """
        sigma = capacitor_mismatch_sigma(self.unit_capacitance, self.mismatch_coefficient)
        factor = {
            "bottom-plate": (self.levels + 1) / 6.0,
            "shared-line": self.levels / 2.0,
            "split": self._split_variance() if self.topology == "split" else 0.0,
        }[self.topology]
        variance = factor * sigma**2 + self.offset_sigma**2
        if self.topology != "split":
            return variance
        nominal = self.transitions()
        shift = nominal - (jnp.arange(1, self.levels, dtype=nominal.dtype) + (self.lowest_code - 0.5))
        return variance + jnp.mean(shift**2)

    def ideal(self) -> "SarAdc":
        """The same converter without mismatch, parasitics and offset, and with the ideal bridge."""
        return dataclasses.replace(
            self, mismatch_coefficient=0.0, parasitic=0.0, low_parasitic=0.0, bridge_scale=1.0, offset_sigma=0.0
        )

    @property
    def _bridge_units(self) -> float:
        """Bridge, in unit capacitors, that gives the whole low array the weight of one unit."""
        return 2.0**self.low_bits / (2.0**self.low_bits - 1.0)

    @property
    def _sizes(self) -> np.ndarray:
        """Nominal bits, dummy and bridge in unit capacitors; the bridge at its ideal size."""
        places = np.arange(self.bits)
        if self.topology == "split":
            places = np.where(places < self.low_bits, places, places - self.low_bits)
        bridge = self._bridge_units if self.topology == "split" else 1.0
        return np.concatenate([2.0**places, [1.0, bridge]])

    def _weights(self, draws: Float[Array, " capacitors"]) -> Float[Array, " bits"]:
        """Weights in codes, by the deviation of each sum from its ideal value: exactly `2**k` without errors."""
        sigma = capacitor_mismatch_sigma(self.unit_capacitance, self.mismatch_coefficient)
        sizes = jnp.asarray(self._sizes, draws.dtype)
        deviations = sigma * jnp.sqrt(sizes) * draws
        bits, dummy, bridge = deviations[:-2], deviations[-2], deviations[-1]
        units = sizes[:-2] + bits
        if self.topology == "shared-line":
            return units
        if self.topology == "bottom-plate":
            return units * (self.levels / (self.levels + (jnp.sum(bits) + dummy)))
        # The coupling is `2**-low_bits (1 + bridge error) / (1 + error of the second node)`; here times 2**low_bits.
        low = self.low_bits
        bridge_error = (self.bridge_scale - 1.0) + jnp.sqrt(self.bridge_scale) * (bridge / self._bridge_units)
        low_error = jnp.sum(bits[:low]) + dummy
        node_error = low_error + bridge_error * self._bridge_units + ratio(self.low_parasitic, self.unit_capacitance)
        coupling = (1.0 + bridge_error) / (1.0 + node_error / (2.0**low + self._bridge_units))
        effective = jnp.concatenate([coupling * units[:low], 2.0**low * units[low:]])
        ideal_high = float(self.levels - 2**low)
        total = ideal_high + 2.0**low * jnp.sum(bits[low:]) + coupling * (2.0**low + low_error)
        return effective * (self.levels / total)

    def _split_variance(self) -> float:
        """Mean over codes of the variance of a level, LSB^2, for a unit capacitor of relative sigma 1."""
        low = 2.0**self.low_bits
        codes = np.arange(1, self.levels)
        fraction = codes / self.levels
        low_codes = codes % 2**self.low_bits
        # A level moves by the charge that an error takes up, less the fraction that all capacitors share.
        coupled = low_codes - fraction * low
        pull = fraction + coupled / (low + self._bridge_units)
        high = low * ((codes - low_codes) * (1.0 - 2.0 * fraction) + fraction**2 * (self.levels - low))
        second_node = low_codes * (1.0 - 2.0 * pull) + pull**2 * low
        bridge = coupled**2 * (1.0 - 1.0 / low) ** 2 / self._bridge_units
        return float(np.mean(high + second_node + bridge))
