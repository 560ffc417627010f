"""Reset switch of a line: incomplete reset, clock feedthrough and charge injection."""

from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, quantity
from amsim.noise.switching import coupled_step, injected_step


class ResetSwitch(eqx.Module):
    """n-type switch between a line and its reset level.

    Reset ends after a finite time: `exp(-t / (R C_tot))` of an error of the line's charge is left. When the switch
    opens, its falling clock edge couples `-c_feed dV / C_tot` into the line and its channel charge
    `-p W L C_ox V_overdrive / C_tot`. When it closes, both come back, so that an incomplete reset leaves nothing of
    them.

    Attributes:
        resistance: On-resistance, Ohm. Default 1 kOhm, a switch sized for 1.8 pF (assumed).
        feedthrough_capacitance: Overlap of gate and line, F; it counts in C_tot. Default 0.1 fF (facts 8, recalled).
        clock_swing: Height of the clock edge, V. Default 0.6 V (facts 1.1).
        channel_capacitance: W L C_ox, F. Default 0.31 fF (facts 8, a minimum switch in 65 nm).
        injected_fraction: Fraction of the channel charge that goes into the line. Default 0.5 (facts 8).
        overdrive: Gate voltage above threshold before it opens, V. Default 0.2 V (assumed).
        spread: Relative standard deviation of both charges between switches. Default 0.05 (assumed).

    Raises:
        ValueError: A resistance that is not above 0, a negative value, or a fraction above 1.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "reset switch",
            "static",
            "Incomplete reset, clock feedthrough, charge injection and their spread between switches.",
            sizes=("spread",),
            left_out=True,
            effects=("comparator offset", "settling"),
        ),
    )

    resistance: Quantity = quantity("resistance", unit="Ohm", symbol="R", positive=True, default=1e3)
    feedthrough_capacitance: Quantity = quantity("feedthrough_capacitance", unit="F", symbol="C_feed", default=0.1e-15)
    clock_swing: Quantity = quantity("clock_swing", unit="V", default=0.6)
    channel_capacitance: Quantity = quantity("channel_capacitance", unit="F", symbol="W L C_ox", default=0.31e-15)
    injected_fraction: Quantity = quantity("injected_fraction", unit="1", symbol="p", at_most=1.0, default=0.5)
    overdrive: Quantity = quantity("overdrive", unit="V", symbol="V_overdrive", default=0.2)
    spread: Quantity = quantity("spread", unit="1", default=0.05)

    @checked_arguments
    def step(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """Step of a line of this total capacitance (F) when the switch opens, V."""
        injected = injected_step(self.channel_capacitance, self.overdrive, total, self.injected_fraction)
        return injected - coupled_step(self.feedthrough_capacitance, self.clock_swing, total)

    def clock_energy(self) -> Float[Array, ""]:
        """Energy of closing and opening the switch once, J: channel and both overlaps charged to the clock's swing."""
        return (self.channel_capacitance + 2.0 * self.feedthrough_capacitance) * self.clock_swing**2
