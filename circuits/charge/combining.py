"""Charge of neighbouring bit columns combined before one conversion: what all circuits that do it have in common."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, truth_values
from amsim.circuits.fields import Quantity
from amsim.circuits.technology.between_nodes import area_ratio, energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import ratio
from amsim.noise.thermal import ktc_sigma

MOST_BITS = 16


class Combined(NamedTuple):
    """Lines combined.

    Attributes:
        shares: a_j, volts of the combined node per volt of each line, the least significant first.
        held: Capacitance that holds the combined node, F.
    """

    shares: Float[Array, "*groups bits"]
    held: Float[Array, "*groups"]


class Combining(eqx.Module):
    """Circuit that makes one value of the lines of neighbouring bit columns, the base class of all of them.

    A group is `bits` columns side by side that hold neighbouring digits of a weight, the least significant first. The
    network is linear: with `V_j` the steps of the lines from reset, the combined node moves by `V = sum_j a_j V_j`. A
    readout takes it as `sum_j w_j S_j` cells of the least significant line, `w_j = a_j (2^bits - 1) / sum_j a_j` with
    the sum that of nominal capacitors settled: its reference follows the swing of a group, so that an attenuation of
    all lines is none of its errors, but noise and offset of the comparator weigh more. Ideal are `w_j = 2^j`.

    All capacitors are reset and in thermal equilibrium at all times, so that the noise on the combined node, that of
    its lines included, is `sqrt(kT / C)` of the capacitance that holds it, however often charge was shared before.

    Not modelled: charge injected by the switches of a group (taken as cancelled by dummies), leakage while charge is
    shared, and the noise of switches that stay closed beyond the bandwidth of the readout.

    Attributes:
        bits: Bits of a group, a column each (static).
        gate_capacitance: Gate of a switch at 28 nm, F.
        switch_area: Area of a switch at 28 nm, m^2.
        capacitor_density: Capacitance per area of the circuit's own capacitors, F/m^2.
    """

    bits: eqx.AbstractVar[int]
    gate_capacitance: eqx.AbstractVar[Quantity]
    switch_area: eqx.AbstractVar[Quantity]
    capacitor_density: eqx.AbstractVar[Quantity]

    def __check_init__(self) -> None:
        """Check the number of bits."""
        integer_between("bits", self.bits, 1, MOST_BITS)

    @property
    @abstractmethod
    def capacitors(self) -> int:
        """Number of the circuit's own capacitors, those of one group."""

    @property
    @abstractmethod
    def switches(self) -> int:
        """Number of switches of one group, each closed and opened once per evaluation."""

    @property
    @abstractmethod
    def line_load(self) -> Float[Array, ""]:
        """Nominal capacitance that it hangs on every line, F; it counts in the total of the line."""

    @property
    @abstractmethod
    def time(self) -> Float[Array, ""]:
        """Time from settled lines to the combined value, s."""

    @abstractmethod
    def _nominal(self, line: Float[Array, ""]) -> Float[Array, " capacitors"]:
        """Own capacitors, F, for lines of this nominal total (F)."""

    @abstractmethod
    def _loads(self, own: Float[Array, "*groups capacitors"]) -> Float[Array, "*groups bits"]:
        """Capacitance that own capacitors (F) hang on each line, F."""

    @abstractmethod
    def _combine(
        self, lines: Float[Array, "*groups bits"], own: Float[Array, "*groups capacitors"], settled: bool
    ) -> Combined:
        """As `combine`, of checked arguments."""

    @abstractmethod
    def ideal(self) -> "Combining":
        """The same circuit with shares that are powers of two."""

    @checked_arguments
    def nominal(self, line: Float[Array, ""]) -> Float[Array, " capacitors"]:
        """Own capacitors of a group, F.

        Args:
            line: Nominal total of a line, what the circuit hangs on it included, F.
        """
        return self._nominal(jnp.asarray(line, float))

    @checked_arguments
    def loads(self, own: Float[Array, "*groups capacitors"] | None = None) -> Float[Array, "*groups bits"]:
        """Capacitance that the circuit hangs on each line, F.

        Args:
            own: Own capacitors, in the order of `nominal`, F; None are nominal ones.

        Raises:
            ValueError: Another number of capacitors.
        """
        if own is None:
            return jnp.broadcast_to(self.line_load, (self.bits,))
        given = jnp.asarray(own, float)
        _check_last("own", given, self.capacitors)
        return self._loads(given)

    @checked_arguments
    def combine(
        self,
        lines: Float[Array, "*groups bits"],
        own: Float[Array, "*groups capacitors"] | None = None,
        *,
        settled: bool = False,
    ) -> Combined:
        """Share of each line in the combined node.

        Args:
            lines: Total capacitance of each line, what the circuit hangs on it included, F.
            own: Own capacitors, in the order of `nominal`, F; None are nominal ones for the mean of the lines.
            settled: Whether all sharing has ended, as with switches of no resistance.

        Raises:
            ValueError: Another number of lines or capacitors.
        """
        truth_values(settled=settled)
        totals = jnp.asarray(lines, float)
        _check_last("lines", totals, self.bits)
        if own is None:
            own = jnp.broadcast_to(self._nominal(jnp.mean(totals)), (*totals.shape[:-1], self.capacitors))
        given = jnp.asarray(own, float)
        _check_last("own", given, self.capacitors)
        return self._combine(totals, given, settled)

    @checked_arguments
    def voltage(
        self,
        voltages: Float[Array, "*groups bits"],
        lines: Float[Array, "*groups bits"],
        own: Float[Array, "*groups capacitors"] | None = None,
    ) -> Float[Array, "*groups"]:
        """Step of the combined node, V: `sum_j a_j V_j`.

        Args:
            voltages: V_j, settled steps of the lines from reset with the circuit's load on them, V.
            lines: As in `combine`.
            own: As in `combine`.

        Raises:
            ValueError: Another number of voltages, lines or capacitors.
        """
        volts = jnp.asarray(voltages, float)
        _check_last("voltages", volts, self.bits)
        return jnp.sum(self.combine(lines, own).shares * volts, axis=-1)

    @checked_arguments
    def place_values(self, line: Float[Array, ""]) -> Float[Array, " bits"]:
        """w_j, weights of the bits as they are read from nominal settled lines of this total (F); ideal ones are 2^j.

        Their sum is `2^bits - 1`: ends of the range are exact.
        """
        shares = self.nominal_group(line, settled=True).shares
        return ratio(shares, jnp.sum(shares)) * (2.0**self.bits - 1.0)

    @checked_arguments
    def radix(self, line: Float[Array, ""]) -> Float[Array, " ratios"]:
        """Weight of each bit over that of the one below, on nominal settled lines of this total (F), 1; ideally 2."""
        places = self.place_values(line)
        return places[1:] / places[:-1]

    @checked_arguments
    def nonlinearity(self, line: Float[Array, ""]) -> Float[Array, " words"]:
        """INL of the words 0, 1, ... `2^bits - 1` on nominal settled lines of this total (F), LSB; 0 at both ends."""
        words = np.arange(2**self.bits)
        digits = jnp.asarray((words[:, None] >> np.arange(self.bits)[None]) & 1, float)
        return jnp.sum(digits * self.place_values(line)[None], axis=-1) - jnp.asarray(words, float)

    @checked_arguments
    def sampled_noise(self, line: Float[Array, ""], temperature: Real[Array, ""]) -> Float[Array, ""]:
        """Rms noise on the combined node, that of the lines included, V: `sqrt(kT / C)` of what holds it.

        Args:
            line: Nominal total of a line, F.
            temperature: K.
        """
        return ktc_sigma(self.nominal_group(line).held, temperature)

    @checked_arguments
    def nominal_group(self, line: Float[Array, ""], *, settled: bool = False) -> Combined:
        """Shares and held capacitance of nominal capacitors on lines of this total (F)."""
        truth_values(settled=settled)
        total = jnp.asarray(line, float)
        return self._combine(jnp.broadcast_to(total, (self.bits,)), self._nominal(total), settled)

    @checked_arguments
    def energy(self, supply: Float[Array, ""], process: Process | None = None) -> Float[Array, ""]:
        """Energy of combining one group once, J: the gates of its switches.

        Charge is only shared between capacitors that the lines have charged; what is lost there they have paid for.

        Args:
            supply: V.
            process: Node of the switches; None is 28 nm.
        """
        return self.switches * self.gate_capacitance * energy_ratio(process, supply) * supply**2

    @checked_arguments
    def area(self, line: Float[Array, ""], process: Process | None = None) -> Float[Array, ""]:
        """Area of one group, m^2: its capacitors, which the node leaves alone, and its switches.

        Args:
            line: Nominal total of a line, F.
            process: Node of the switches; None is 28 nm.
        """
        metal = ratio(jnp.sum(self.nominal(line)), self.capacitor_density)
        return metal + self.switches * self.switch_area * area_ratio(process)


def _check_last(name: str, values: Array, size: int) -> None:
    """Raise ValueError unless the last axis has this size."""
    if values.ndim < 1 or values.shape[-1] != size:
        raise ValueError(f"Argument `{name}` must have shape (..., {size}), but has shape {values.shape}.")
