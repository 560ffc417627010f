"""Flash converter: all levels compared at once, each by a comparator of its own on a resistor ladder."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

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
from amsim.circuits.adc.survey import column_conversion_time
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.selection.codes import limited
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.gradients import rounded, with_gradient_of

HARMONICS = 64
"""Terms of the series for the mean code of noisy comparators; those beyond vanish once noise is 0.005 LSB."""


class FlashDie(ConverterDie):
    """Standard draws of the comparators and ladders of one die.

    Attributes:
        comparators: Offset of each comparator, the lowest first.
        resistors: Each resistor of the ladder, the lowest first.
    """

    comparators: Float[Array, "columns comparators"]
    resistors: Float[Array, "columns resistors"]


class FlashAdc(Converter):
    r"""Flash converter with `levels - 1` comparators and an encoder that counts those that switch.

    Threshold `i` of `1..levels - 1`, in codes from the lowest, is `levels sum_(j<=i) R_j / sum_j R_j - 1/2 +
    offset_sigma z_i` with resistors `R_j = 1 + ladder_mismatch z_j`. Counting makes out-of-order thresholds harmless:
    the transitions are the sorted thresholds. Each comparator has noise of its own.

    Energy: `(levels - 1) (decision_energy + logic_capacitance VDD**2)`; the current of the ladder, which all columns
    share, is not included.

    Attributes:
        levels: Output codes, 2 to 1024, any number (static). Default 16; C3SRAM has 11 (facts 1b).
        range: Full scale relative to the swing of the driven rows, 1; values outside clip and are counted.
        offset_sigma: Standard deviation of each comparator's offset after trim, LSB. Default 0.1 (assumed).
        ladder_mismatch: Relative standard deviation of one resistor, 1. Default 1 % (assumed).
        logic_capacitance: Of the encoder per comparator at 28 nm, F. Default 4.2 fF: a full adder (facts 7.3).
        comparator_area: Of one comparator with its share of ladder and encoder at 28 nm, m^2. Default 25e-12 (assumed).

    Raises:
        ValueError: Levels outside 2..1024, a negative quantity or a range that is not above 0.

    Valid for a settled ladder and comparators without kickback.
    """

    levels: int = count(unit="1", symbol="L", default=16)
    range: Quantity = quantity("range", unit="1", positive=True, default=1.0)
    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "converter mismatch",
            "static",
            "Random deviations of the ladder's resistors.",
            sizes=("ladder_mismatch",),
            effects=("converter",),
        ),
        ErrorSource(
            "converter offset",
            "static",
            "Offset of each comparator of a converter, after trim.",
            sizes=("offset_sigma",),
            effects=("converter",),
        ),
    )

    offset_sigma: Quantity = quantity("offset_sigma", unit="LSB", symbol="sigma_os", default=0.1)
    ladder_mismatch: Quantity = quantity("ladder_mismatch", unit="1", default=0.01)
    logic_capacitance: Quantity = quantity("logic_capacitance", unit="F", symbol="C_logic", default=4.2e-15)
    comparator_area: Quantity = quantity("comparator_area", unit="m2", default=25e-12)

    def __check_init__(self) -> None:
        """Check the number of levels."""
        integer_between("levels", self.levels, 2, 1024)

    @property
    def bits(self) -> int:
        """Width of the output word."""
        return math.ceil(math.log2(self.levels))

    @property
    def comparators(self) -> int:
        """One per threshold."""
        return self.levels - 1

    @property
    def comparator_referral(self) -> float:
        """1: the comparators sit on the line."""
        return 1.0

    @property
    def area(self) -> Float[Array, ""]:
        """All comparators of one converter, m^2."""
        return self.comparators * self.comparator_area

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray, columns: int) -> FlashDie:
        """Standard draws of `columns` converters of one die."""
        integer_between("columns", columns, 1)
        comparators, resistors = jax.random.split(key)
        return FlashDie(
            jax.random.normal(comparators, (columns, self.comparators)),
            jax.random.normal(resistors, (columns, self.levels)),
        )

    @checked_arguments
    def shifts(self, die: ConverterDie | None = None) -> Float[Array, "*columns comparators"]:
        """Static shift of the threshold of each comparator from its ideal value, in codes."""
        check_die(die, FlashDie, {"comparators": (self.comparators,), "resistors": (self.levels,)}, None)
        if not isinstance(die, FlashDie):
            return jnp.zeros((self.comparators,), self.range.dtype)
        errors = self.ladder_mismatch * die.resistors
        below = jnp.cumsum(errors, axis=-1)
        part = jnp.arange(1, self.levels, dtype=errors.dtype) / self.levels
        total = below[:, -1:]
        ladder = (below[:, :-1] - part[None, :] * total) / (1.0 + total / self.levels)
        return ladder + self.offset_sigma * die.comparators

    @checked_arguments
    def transitions(self, die: ConverterDie | None = None) -> Float[Array, "*columns transitions"]:
        """Thresholds in rising order, which are the transitions of a counting encoder, in codes."""
        shifts = self.shifts(die)
        return jnp.sort(on_columns(self._ideal_thresholds, shifts.ndim) + shifts, axis=-1)

    def read_codes(
        self, values: Float[Array, "..."], *, die: ConverterDie | None, noise: ConversionNoise | None
    ) -> Float[Array, "..."]:
        """Codes by the number of comparators that switch."""
        if values.ndim:
            check_die(die, FlashDie, {"comparators": (self.comparators,)}, values.shape[-1])
        noisy = values if noise is None else noise.add_sampled(values)
        # Comparators on a last axis that XLA sums away in the same loop, draws included.
        each = noisy[..., None]
        shifts = on_columns(self.shifts(die), each.ndim)
        ideal = on_columns(self._ideal_thresholds, each.ndim)
        if noise is not None:
            shifts = shifts - noise.of_comparators(noisy, self.comparators)
        number = jnp.arange(1, self.levels).reshape((1,) * noisy.ndim + (-1,))
        fires = exceeds(each, ideal + shifts, (number + self.lowest_code) % 2 == 0)
        codes = jnp.sum(fires, axis=-1, dtype=values.dtype) + self.lowest_code
        nearest = (nearest_transition(noisy, self)[..., None] == number).astype(values.dtype)
        shift = jnp.sum(nearest * shifts, axis=-1)
        return with_gradient_of(codes, limited(rounded(noisy - shift), self.lowest_code, self.highest_code))

    @checked_arguments
    def energy(
        self,
        supply: Float[Array, ""],
        decision_energy: Float[Array, ""] | float = 0.0,
        process: Process | None = None,
    ) -> Float[Array, ""]:
        """Energy of one conversion, J."""
        return self.comparators * (decision_energy + self.logic_capacitance * energy_ratio(process, supply) * supply**2)

    @checked_arguments
    def conversion_time(
        self, rows: Float[Array, ""] | float | int, slowing: Float[Array, ""] | float = 1.0
    ) -> Float[Array, ""]:
        """Time of one decision, s."""
        return column_conversion_time(1, jnp.asarray(rows, self.range.dtype), slowing)

    @checked_arguments
    def conversion_variance(self, sampled: Values, decision: Values) -> Float[Array, "..."]:
        r"""Mean square error of a conversion whose comparators each have noise of their own, LSB^2.

        Of evenly spread values, thresholds one LSB apart and `s` the noise of a comparator,
        `sampled**2 + s / sqrt(pi) + sum_m exp(-(2 pi m s)**2) / (2 pi**2 m**2)`: the first term of s is the mean of
        `sum_k Phi (1 - Phi)`, the second the variance of the mean code about the value, by its Fourier series. It
        is `s**2 + 1/12` for small s.
        """
        sampled, noise = jnp.asarray(sampled, self.range.dtype), jnp.asarray(decision, self.range.dtype)
        harmonics = jnp.arange(1, HARMONICS + 1, dtype=noise.dtype)
        each = jnp.exp(-((2.0 * math.pi * harmonics * noise[..., None]) ** 2)) / (2.0 * math.pi**2 * harmonics**2)
        # What is left out of the series, of which all terms are near 1 for no noise.
        rest = 1.0 / 12.0 - jnp.sum(1.0 / (2.0 * math.pi**2 * harmonics**2))
        bias = jnp.sum(each, axis=-1) + rest * jnp.exp(-((2.0 * math.pi * HARMONICS * noise) ** 2))
        return sampled**2 + noise / math.sqrt(math.pi) + bias

    @checked_arguments
    def decision_variance(self, decision: Values) -> Float[Array, "..."]:
        """Mean square error that the noise of the comparators adds to a conversion, LSB^2.

        `conversion_variance` with this noise alone, less that of rounding: every comparator draws noise of its own.

        Args:
            decision: Standard deviation of a comparator's noise, referred to the input, codes.
        """
        return jnp.maximum(self.conversion_variance(0.0, decision) - self.quantisation_variance(), 0.0)

    def static_variance(self) -> Float[Array, ""]:
        r"""Expected variance of a threshold's shift, averaged over all thresholds, LSB^2.

        `offset_sigma**2 + ladder_mismatch**2 (levels + 1) / 6`: to first order the ladder shifts threshold `i` by a
        variance of `ladder_mismatch**2 i (levels - i) / levels`.
        """
        return self.offset_sigma**2 + self.ladder_mismatch**2 * ((self.levels + 1) / 6.0)

    def ideal(self) -> "FlashAdc":
        """The same converter without offsets and ladder mismatch."""
        return dataclasses.replace(self, offset_sigma=0.0, ladder_mismatch=0.0)

    @property
    def _ideal_thresholds(self) -> Float[Array, " comparators"]:
        return jnp.arange(self.lowest_code + 1, self.highest_code + 1, dtype=self.range.dtype) - 0.5
