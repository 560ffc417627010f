"""Ideal uniform converter: evenly spaced levels, with the energy and area of a published fit."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.adc.converter import ConversionNoise, Converter, ConverterDie, Linearised, Values
from amsim.circuits.adc.survey import column_area, column_conversion_time
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, is_real_number
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.selection.codes import limited
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.gradients import rounded

AREA_OF_8_BITS = 2660e-12
"""Default area at 8 bits, m^2, from which that of other resolutions is scaled."""

DEFAULT_AREAS = {bits: AREA_OF_8_BITS * (column_area(bits) / column_area(8)) for bits in range(1, 17)}
"""Default area by resolution, m^2."""


class Adc(Converter):
    """Uniform analog-to-digital converter of a line, without static errors.

    Noise of a conversion is one Gaussian draw of the total variance of line and comparator.
    Energy per conversion:
    `bits * decision_energy + (linear_capacitance * bits + exponential_capacitance * 4**bits) * VDD**2`.

    Attributes:
        bits: Resolution, 1 to 16 (static).
        range: Full scale relative to the swing of the driven rows, 1; values outside clip and are counted.
        linear_capacitance: Switched per bit by logic at 28 nm, F. Default 100 fF (facts 6.4, fitted to 28 nm chips by
            ZigZag-IMC).
        exponential_capacitance: Factor of 4**bits, F; noise demands it at any node. Default 1 aF (same source).
        area: Area of one converter at 28 nm, m^2; all of it is taken for logic. Default 2660e-12 at 8 bits (facts 6.3,
            28 nm, 100 MS/s: converters built for speed, five times a measured column's; `SarAdc` has that of a
            column), at others in the ratio of `column_area`, that of the source of time and energy (facts 6.4): 1.84
            times per bit, from 2 to 11 bits, continued to both ends. When `bits` change, as in a sweep, a default area
            becomes that of the new resolution; an area of one's own stays.

    Raises:
        ValueError: Bits outside 1..16, a negative capacitance or area, or a range that is not above 0.
    """

    bits: int = count(unit="bit", symbol="B", default=8)
    range: Quantity = quantity("range", unit="1", positive=True, default=1.0)
    linear_capacitance: Quantity = quantity("linear_capacitance", unit="F", symbol="C_lin", default=100e-15)
    exponential_capacitance: Quantity = quantity("exponential_capacitance", unit="F", symbol="C_exp", default=1e-18)
    area: Quantity = quantity("area", unit="m2", default=AREA_OF_8_BITS)

    def __post_init__(self) -> None:
        """Let a default area follow the resolution: a copy of other bits is made with the area of the original."""
        area, bits = self.area, self.bits
        if isinstance(area, jax.core.Tracer) or not isinstance(bits, int | np.integer) or bits not in DEFAULT_AREAS:
            return
        number = is_real_number(area) and not isinstance(area, int)
        if number and any(math.isclose(area, other, rel_tol=1e-6) for other in DEFAULT_AREAS.values()):
            self.area = DEFAULT_AREAS[bits]

    def __check_init__(self) -> None:
        """Check the resolution."""
        integer_between("bits", self.bits, 1, 16)

    @property
    def levels(self) -> int:
        """Number of output codes."""
        return 2**self.bits

    @property
    def comparators(self) -> int:
        """One, which decides once per bit."""
        return 1

    @property
    def comparator_referral(self) -> float:
        """1: the comparator sits on the line."""
        return 1.0

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray, columns: int) -> None:
        """None, since there are no static errors to draw."""
        return

    @checked_arguments
    def transitions(self, die: ConverterDie | None = None) -> Float[Array, "*columns transitions"]:
        """Ideal transitions, half-way between the codes."""
        _no_die(die)
        return jnp.arange(self.lowest_code + 1, self.highest_code + 1, dtype=self.range.dtype) - 0.5

    def read_codes(
        self, values: Float[Array, "..."], *, die: ConverterDie | None, noise: ConversionNoise | None
    ) -> Float[Array, "..."]:
        """Nearest code of each value, ties to even."""
        _no_die(die)
        noisy = values if noise is None else noise.add_combined(values)
        return limited(rounded(noisy), self.lowest_code, self.highest_code)

    @checked_arguments
    def energy(
        self,
        supply: Float[Array, ""],
        decision_energy: Float[Array, ""] | float = 0.0,
        process: Process | None = None,
    ) -> Float[Array, ""]:
        """Energy of one conversion, J."""
        logic = self.linear_capacitance * energy_ratio(process, supply) * self.bits
        own = (logic + self.exponential_capacitance * 4.0**self.bits) * supply**2
        return self.bits * decision_energy + own

    @checked_arguments
    def conversion_time(
        self, rows: Float[Array, ""] | float | int, slowing: Float[Array, ""] | float = 1.0
    ) -> Float[Array, ""]:
        """Time of `bits` decisions one after another, s."""
        return column_conversion_time(self.bits, jnp.asarray(rows, self.range.dtype), slowing)

    @checked_arguments
    def linearised(self, die: ConverterDie | None, spread: Values) -> Linearised:
        """No shift and no variance."""
        _no_die(die)
        return Linearised(jnp.zeros_like(self.range), jnp.zeros_like(self.range))

    def static_variance(self) -> Float[Array, ""]:
        """0 LSB^2: there are no static errors."""
        return jnp.zeros_like(self.range)

    def ideal(self) -> "Adc":
        """The converter itself."""
        return self


def _no_die(die: eqx.Module | None) -> None:
    if die is not None:
        raise ValueError(f"Argument `die` must be None: an Adc has no static errors, but is a {type(die).__name__}.")
