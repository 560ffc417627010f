r"""A line with two of its effects at once: drivers and the rail they share, drivers and a leak; two real poles each.

All drivers have the same `tau = R_i C_i`, so that the capacitors count as one. The line's voltage `v` and the voltage
`a` that its charge gives it when nothing flows any more then say all of it; `a` is what a floating line approaches with
`p tau`, `p = C_par / C_tot` (`amsim.circuits.charge.charge_line.matched_time_constant`). Times are divided by each
other only, so that float32 holds every intermediate value.
"""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from amsim.noise.finite_slopes import quotient, ratio, root
from amsim.noise.switching import mean_decay, settled_fraction


def settled_behind_rail(
    time: Float[Array, "..."],
    branch: Float[Array, "..."],
    rail: Float[Array, "..."],
    high: Float[Array, "..."],
    grounded: Float[Array, "..."],
) -> Float[Array, "..."]:
    r"""Fraction of its step that a line has made behind drivers that are alike and a rail shared by those that rise.

    The step response of `(1 + s tau) / (1 + s b + s^2 p tau tau_H)` with `tau_H = tau + R_supply C_H` and
    `b = (p + h) tau + (p + l) tau_H`: h, l and p are the fractions of C_tot that rise, stay low and no driver moves.
    Both poles are real, since `b^2 - 4 p tau tau_H = ((p + h) tau - (p + l) tau_H)^2 + 4 tau tau_H h l`. It is
    `1 - exp(-t / (p tau))` without the rail and `1 - exp(-t / ((1 - h) R_supply C_H))` without drivers.

    Args:
        time: t since the step, shape (...), s.
        branch: tau of a driver, shape that broadcasts, s.
        rail: `R_supply C_H`, shape that broadcasts, s.
        high: h, shape that broadcasts, 1.
        grounded: p, shape that broadcasts, 1; with h at most 1.

    Returns:
        Fraction from 0 to 1, broadcast shape.

    Validity: drivers that are alike; exact for them. Source: Kirchhoff's laws.
    """
    both = 2.0 * branch + rail
    own = ratio(branch, both)
    behind, low = ratio(branch + rail, both), 1.0 - grounded - high
    one, other = (grounded + high) * own, (grounded + low) * behind
    apart = root((one - other) ** 2 + 4.0 * own * behind * high * low)
    slow = (one + other + apart) / 2.0
    fast = settled_fraction(time, both * grounded * own * ratio(behind, slow))
    return fast + quotient(slow - own, apart) * (settled_fraction(time, both * slow) - fast)


class AlikeDrivers(eqx.Module):
    """Drivers of a line that are alike, at the end of the evaluation, from when on the line is held.

    Attributes:
        branch: `tau = R_i C_i`, s.
        grounded: `p = C_par / C_tot` of each line, 1.
        time: From the step of the bottom plates to the hold, s.
    """

    branch: Float[Array, ""]
    grounded: Float[Array, "..."]
    time: Float[Array, ""]

    def settled(self, hold: Float[Array, ""] | float = 0.0) -> Float[Array, "..."]:
        """Fraction of a step that the line has made at the end of a hold (s) without leakage, 1."""
        return settled_fraction(self.time + hold, self.branch * self.grounded)

    @property
    def injected(self) -> Float[Array, "..."]:
        """What a charge injected at the step has moved the line by, relative to a settled line: more than 1.

        The charge is on C_par first, then the capacitors take their part: `1 + (1 - p) / p exp(-t / (p tau))`.
        """
        return 1.0 + ratio(1.0 - self.grounded, self.grounded) * (1.0 - self.settled())

    def kept(
        self, begun: Float[Array, "..."], hold: Float[Array, ""], droop: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        r"""Part of a settled value that the line shows after a hold in which the open switch leaks, 1.

        The impulse response of `(1 + s p tau begun) / (1 + s (tau + rho) + s^2 p tau rho)` times `rho = R_off C_tot`.

        Args:
            begun: The same part when the hold begins: `settled()` of a step, `injected` of a charge.
            hold: Duration, s.
            droop: rho, s.
        """
        fraction, held, apart, up, constants = self._leaking(droop)
        slow, fast = (1.0 - settled_fraction(hold, constant) for constant in constants)
        lost = self.grounded * fraction * begun / up
        return held * (1.0 - lost) / apart * slow + (begun * up - held) / apart * fast

    def dropped(self, hold: Float[Array, ""], droop: Float[Array, "..."]) -> Float[Array, "..."]:
        r"""Drop of the line by a constant current that sets in with the hold, relative to `I t / C_tot`; more than 1.

        The step response of `(1 + s tau) / (1 + s (tau + rho) + s^2 p tau rho)` times `rho / t`: the current takes the
        charge of C_par first.

        Args:
            hold: Duration t, s.
            droop: rho, s.
        """
        fraction, held, apart, up, constants = self._leaking(droop)
        slow, fast = (mean_decay(ratio(hold, constant)) for constant in constants)
        through = ratio(up - self.grounded * held, self.grounded)
        return (up - fraction) * held / up / apart * slow + through / apart * fast

    def _leaking(self, droop: Float[Array, "..."]) -> tuple[Any, ...]:
        """`x = tau / (tau + rho)`, `1 - x`, `d = sqrt(1 - 4 p x (1 - x))`, `(1 + d) / 2`, both time constants."""
        both = self.branch + droop
        fraction, held = ratio(self.branch, both), ratio(droop, both)
        apart = root((held - fraction) ** 2 + 4.0 * (1.0 - self.grounded) * fraction * held)
        up = (1.0 + apart) / 2.0
        return fraction, held, apart, up, (both * up, self.branch * self.grounded * held / up)
