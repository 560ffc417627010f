"""Single-slope converter: a ramp shared by all columns, and a counter per column that its comparator stops."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.adc.converter import ConversionNoise, Converter, ConverterDie, check_die, on_columns
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.selection.codes import limited
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.gradients import rounded


class SingleSlopeDie(ConverterDie):
    """Standard draws of one die; those of the ramp are the same for all columns.

    Attributes:
        gain: Slope of the ramp.
        bow: Curvature of the ramp.
        delay: Delay of each column's comparator.
    """

    gain: Float[Array, " columns"]
    bow: Float[Array, " columns"]
    delay: Float[Array, " columns"]


class SingleSlopeAdc(Converter):
    r"""Converter that counts clock periods until a ramp passes the line.

    After `t` periods the ramp is at `v(t) = (1 + gain_sigma z_g) t + 4 bow_sigma z_b (t / N) (1 - t / N)`, in codes
    from half a code below the lowest level, with `N = 2**bits`. The count is `t` at the crossing plus a delay
    `delay_sigma z_d` of the column's comparator, rounded. Noise is one draw at the crossing, of the total variance of
    line and comparator.

    Energy: `2**bits (decision_energy + 2 flip_flop_capacitance VDD**2)`: a clocked comparator decides in every period,
    a ripple counter toggles two flip-flops per count. The ramp, which all columns share, is not included.

    Attributes:
        bits: Resolution, 1 to 16 (static).
        range: Full scale relative to the swing of the driven rows, 1; values outside clip and are counted.
        gain_sigma: Relative standard deviation of the slope over dies, 1. Default 0.2 % (assumed, after calibration).
        bow_sigma: Standard deviation of the bow at mid-scale over dies, LSB. Default 0.3 (assumed).
        delay_sigma: Standard deviation of the delay over columns, LSB. Default 0.2 (assumed).
        clock: Of the counter at 28 nm, Hz. Default 1 GHz (assumed).
        flip_flop_capacitance: Switched by a flip-flop that toggles, at 28 nm, F. Default 2.1 fF (facts 7.3).
        comparator_area: Of one comparator at 28 nm, m^2. Default 20e-12 (assumed).
        flip_flop_area: Of one flip-flop at 28 nm, m^2. Default 3.68e-12 (facts 7.3: 6 NAND2 of 0.614 um^2).

    Raises:
        ValueError: Bits outside 1..16, a negative quantity, or a range or clock that is not above 0.

    Valid for a ramp that rises over the whole scale: `4 bow / N < 1`.
    """

    bits: int = count(unit="bit", symbol="B", default=8)
    range: Quantity = quantity("range", unit="1", positive=True, default=1.0)
    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "converter ramp",
            "static",
            "Slope and bow of the ramp, and the delay of each column.",
            sizes=("gain_sigma", "bow_sigma", "delay_sigma"),
            effects=("converter",),
        ),
    )

    gain_sigma: Quantity = quantity("gain_sigma", unit="1", default=0.002)
    bow_sigma: Quantity = quantity("bow_sigma", unit="LSB", default=0.3)
    delay_sigma: Quantity = quantity("delay_sigma", unit="LSB", default=0.2)
    clock: Quantity = quantity("clock", unit="Hz", symbol="f_clk", positive=True, default=1e9)
    flip_flop_capacitance: Quantity = quantity("flip_flop_capacitance", unit="F", symbol="C_ff", default=2.1e-15)
    comparator_area: Quantity = quantity("comparator_area", unit="m2", default=20e-12)
    flip_flop_area: Quantity = quantity("flip_flop_area", unit="m2", default=3.68e-12)

    def __check_init__(self) -> None:
        """Check the resolution."""
        integer_between("bits", self.bits, 1, 16)

    @property
    def levels(self) -> int:
        """Number of output codes."""
        return 2**self.bits

    @property
    def comparators(self) -> int:
        """One per column."""
        return 1

    @property
    def comparator_referral(self) -> float:
        """1: the comparator sits on the line."""
        return 1.0

    @property
    def area(self) -> Float[Array, ""]:
        """Comparator and counter of one column, m^2."""
        return self.comparator_area + self.bits * self.flip_flop_area

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray, columns: int) -> SingleSlopeDie:
        """Standard draws of `columns` converters of one die."""
        integer_between("columns", columns, 1)
        gain, bow, delay = jax.random.split(key, 3)
        return SingleSlopeDie(
            jnp.broadcast_to(jax.random.normal(gain), (columns,)),
            jnp.broadcast_to(jax.random.normal(bow), (columns,)),
            jax.random.normal(delay, (columns,)),
        )

    @checked_arguments
    def transitions(self, die: ConverterDie | None = None) -> Float[Array, "*columns transitions"]:
        """Values of the ramp at which the count changes, corrected for the delay, in codes."""
        check_die(die, SingleSlopeDie, {"gain": (), "bow": (), "delay": ()}, None)
        ideal = jnp.arange(self.lowest_code + 1, self.highest_code + 1, dtype=self.range.dtype) - 0.5
        if not isinstance(die, SingleSlopeDie):
            return ideal
        gain, bow, delay = (draws[:, None] for draws in self._errors(die))
        time = (ideal - self._bottom)[None, :] - delay
        part = time / self.levels
        return ideal[None, :] - delay + gain * time + 4.0 * bow * part * (1.0 - part)

    def read_codes(
        self, values: Float[Array, "..."], *, die: ConverterDie | None, noise: ConversionNoise | None
    ) -> Float[Array, "..."]:
        """Codes by the count at which the ramp passes each value."""
        draws = {} if values.ndim == 0 else {"gain": (), "bow": (), "delay": ()}
        check_die(die, SingleSlopeDie, draws, values.shape[-1] if values.ndim else None)
        noisy = values if noise is None else noise.add_combined(values)
        if isinstance(die, SingleSlopeDie):
            noisy = noisy + self._lateness(noisy, die)
        return limited(rounded(noisy), self.lowest_code, self.highest_code)

    @checked_arguments
    def energy(
        self,
        supply: Float[Array, ""],
        decision_energy: Float[Array, ""] | float = 0.0,
        process: Process | None = None,
    ) -> Float[Array, ""]:
        """Energy of one conversion, J."""
        counted = self.flip_flop_capacitance * energy_ratio(process, supply)
        return self.levels * (decision_energy + 2.0 * counted * supply**2)

    @checked_arguments
    def conversion_time(
        self, rows: Float[Array, ""] | float | int, slowing: Float[Array, ""] | float = 1.0
    ) -> Float[Array, ""]:
        """Time of one clock period per code, whatever the rows, s; the clock follows the logic."""
        return self.levels / self.clock * slowing

    def static_variance(self) -> Float[Array, ""]:
        r"""Expected variance of a transition's shift, averaged over all transitions, LSB^2.

        `gain_sigma**2 mean(t**2) + bow_sigma**2 mean((4 u (1 - u))**2) + delay_sigma**2` over `t = 1..N - 1` and
        `u = t / N`, to first order; about `gain_sigma**2 N**2 / 3 + 8/15 bow_sigma**2 + delay_sigma**2`.
        """
        times = np.arange(1, self.levels)
        parts = times / self.levels
        gain, bow = float(np.mean(times**2.0)), float(np.mean((4.0 * parts * (1.0 - parts)) ** 2))
        return gain * self.gain_sigma**2 + bow * self.bow_sigma**2 + self.delay_sigma**2

    def ideal(self) -> "SingleSlopeAdc":
        """The same converter with a straight ramp of the nominal slope and no delay."""
        return dataclasses.replace(self, gain_sigma=0.0, bow_sigma=0.0, delay_sigma=0.0)

    @property
    def _bottom(self) -> float:
        """Start of the ramp, in codes."""
        return self.lowest_code - 0.5

    def _errors(self, die: SingleSlopeDie) -> tuple[Array, Array, Array]:
        return self.gain_sigma * die.gain, self.bow_sigma * die.bow, self.delay_sigma * die.delay

    def _lateness(self, values: Float[Array, "..."], die: SingleSlopeDie) -> Float[Array, "..."]:
        """Excess of the count over that of an ideal ramp; exactly 0 without errors."""
        gain, bow, delay = (on_columns(draws, values.ndim) for draws in self._errors(die))
        height = values - self._bottom
        # t = 2 h / (slope + root) solves h = slope t + curve t**2 and stays exact when the curve is 0.
        slope_error = gain + 4.0 * bow / self.levels
        curve = -4.0 * bow / self.levels**2
        square = (1.0 + slope_error) ** 2 + 4.0 * curve * height
        # A ramp that never gets so high leaves the counter at its end; a small root has the same effect.
        safe = jnp.maximum(square, 1e-6)
        root = jnp.sqrt(safe)
        return height * ((1.0 - root) - slope_error) / (1.0 + slope_error + root) + delay
