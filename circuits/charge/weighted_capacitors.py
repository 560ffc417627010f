"""Bits of a weight combined by sampling capacitors of 1, 2, 4, ... units."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amsim.circuits.charge.charge_line import matched_time_constant
from amsim.circuits.charge.combining import Combined, Combining
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.noise.finite_slopes import ratio
from amsim.noise.switching import settled_fraction


class WeightedCapacitors(Combining):
    r"""Sampling capacitors `C_j = 2^j C_0` on the lines of a group, shorted to one node when the lines have settled.

    While the lines settle each carries its sampling capacitor and a dummy of `(2^(bits-1) - 2^j) C_0`, so that all have
    the same load. Then the lines are cut off and the sampling capacitors joined on a node of parasitic `C_p` that was
    reset: `V = sum_j C_j V_j / (sum_j C_j + C_p)`, the divisor being what holds it. The switch of capacitor j has the
    resistance `R / 2^j`; with equal `R C` the node settles with `R C_0 C_p / (sum_j C_j + C_p)`, and so it does in
    no time where nothing hangs on it.

    The weights are exact whatever the lines and the parasitic are; what counts is that the node is small: noise
    `kT / (sum_j C_j + C_p)`, and a step of the least significant cell of `C_0 / (sum_j C_j + C_p)` of that of its line.

    Attributes:
        bits: Bits of a group, a column each (static).
        unit_capacitance: C_0, F. Default 8 fF (assumed: the noise of two bits is that of the default comparator).
        node_parasitic: C_p, F. Default 1 fF, the input of a comparator (facts 8).
        resistance: R, Ohm. Default 1 kOhm (assumed, as the reset switch).
        sharing_time: Time for which charge is shared, s. Default 1 ns (assumed).
        gate_capacitance: Gate of a switch at 28 nm, F. Default 0.31 fF (facts 8, a minimum switch in 65 nm).
        switch_area: Area of a switch at 28 nm, m^2. Default 0.5e-12, a two-input gate (assumed).
        capacitor_density: F/m^2. Default 2 fF/um^2 (assumed, metal fringe).

    Raises:
        ValueError: Bits outside 1..16, a capacitance or density that is not above 0, or a negative value.

    Validity: lines that hold while they are cut off. Source: charge balance.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "combination",
            "systematic",
            "Charge that is still being shared when the combined bits are read.",
            off={"resistance": 0.0},
        ),
    )

    bits: int = count(unit="bit", default=2)
    unit_capacitance: Quantity = quantity("unit_capacitance", unit="F", symbol="C_0", positive=True, default=8e-15)
    node_parasitic: Quantity = quantity("node_parasitic", unit="F", symbol="C_p", default=1e-15)
    resistance: Quantity = quantity("resistance", unit="Ohm", symbol="R", default=1e3)
    sharing_time: Quantity = quantity("sharing_time", unit="s", symbol="t_share", default=1e-9)
    gate_capacitance: Quantity = quantity("gate_capacitance", unit="F", default=0.31e-15)
    switch_area: Quantity = quantity("switch_area", unit="m2", default=0.5e-12)
    capacitor_density: Quantity = quantity("capacitor_density", unit="F/m2", positive=True, default=2e-3)

    @property
    def capacitors(self) -> int:
        """Sampling capacitors, then dummies of all lines but the most significant."""
        return 2 * self.bits - 1

    @property
    def switches(self) -> int:
        """One to each line, one to the node for each line, and the node's reset."""
        return 2 * self.bits + 1

    @property
    def line_load(self) -> Float[Array, ""]:
        """`2^(bits-1) C_0`, F."""
        return 2.0 ** (self.bits - 1) * self.unit_capacitance

    @property
    def time(self) -> Float[Array, ""]:
        """One sharing, s."""
        return self.sharing_time

    def _nominal(self, line: Float[Array, ""]) -> Float[Array, " capacitors"]:
        """Sampling capacitors and dummies, F; the lines do not matter."""
        places = 2.0 ** np.arange(self.bits)
        units = np.concatenate([places, places[-1] - places[:-1]])
        return self.unit_capacitance * jnp.asarray(units, self.unit_capacitance.dtype)

    def _loads(self, own: Float[Array, "*groups capacitors"]) -> Float[Array, "*groups bits"]:
        """Sampling capacitor and dummy of each line, F."""
        none = jnp.zeros_like(own[..., :1])
        return own[..., : self.bits] + jnp.concatenate([own[..., self.bits :], none], axis=-1)

    def _combine(
        self, lines: Float[Array, "*groups bits"], own: Float[Array, "*groups capacitors"], settled: bool
    ) -> Combined:
        """`a_j = C_j / (sum_j C_j + C_p)` times what has settled."""
        sampled = own[..., : self.bits]
        held = jnp.sum(sampled, axis=-1) + self.node_parasitic
        shares = ratio(sampled, held[..., None])
        if not settled:
            tau = matched_time_constant(self.resistance * self.unit_capacitance, self.node_parasitic, held)
            shares = shares * settled_fraction(self.sharing_time, tau)[..., None]
        return Combined(shares, held)

    def ideal(self) -> "WeightedCapacitors":
        """The same with switches of no resistance."""
        return dataclasses.replace(self, resistance=0.0)
