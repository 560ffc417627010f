"""Bits of a weight combined by sharing the charge of their lines one after another with one capacitor."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.combining import Combined, Combining
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.noise.finite_slopes import ratio
from amsim.noise.switching import settled_fraction


class TimeSharedCharge(Combining):
    r"""A capacitor `C_a` that is joined to the lines of a group one after another, the least significant first.

    Each sharing takes `V <- V + b_j (V_j - V)` with `b_j = C_j / (C_a + C_j) (1 - exp(-t / tau_j))`,
    `tau_j = R C_a C_j / (C_a + C_j)`: with `C_a` as large as a line, settled, `V <- (V + V_j) / 2`. So
    `V = sum_j b_j V_j prod_(k>j) (1 - b_k)`, which is `sum_j 2^(j-bits) V_j` from a capacitor that starts at reset. It
    is held by `C_a`: noise `kT / C_a`, whatever the number of bits. A capacitor of another size than the lines, or
    switches too slow, leave weights that are not powers of two.

    Attributes:
        bits: Bits of a group, a column each (static).
        capacitance: C_a with all that hangs on it, F. None (default) is as large as a line: one more line without
            cells, gated like the others where they have banks.
        resistance: R of a switch, Ohm. Default 1 kOhm (assumed, as the reset switch).
        sharing_time: Time of each sharing, s. Default 10 ns (assumed: 15 time constants on lines of 1.3 pF).
        gate_capacitance: Gate of a switch at 28 nm, F. Default 0.31 fF (facts 8, a minimum switch in 65 nm).
        switch_area: Area of a switch at 28 nm, m^2. Default 0.5e-12, a two-input gate (assumed).
        capacitor_density: F/m^2. Default 2 fF/um^2 (assumed, metal fringe).

    Raises:
        ValueError: Bits outside 1..16, a capacitance or density that is not above 0, or a negative value.

    Source: charge balance of two capacitors; their difference decays with the series of both.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "combination",
            "systematic",
            "Bits that do not weigh 1, 2, 4, ...: a capacitor unlike the lines, and charge that is still being shared.",
            off={"resistance": 0.0, "capacitance": None},
        ),
    )

    bits: int = count(unit="bit", default=2)
    capacitance: Quantity | None = quantity("capacitance", unit="F", symbol="C_a", positive=True, optional=True)
    resistance: Quantity = quantity("resistance", unit="Ohm", symbol="R", default=1e3)
    sharing_time: Quantity = quantity("sharing_time", unit="s", symbol="t_share", default=10e-9)
    gate_capacitance: Quantity = quantity("gate_capacitance", unit="F", default=0.31e-15)
    switch_area: Quantity = quantity("switch_area", unit="m2", default=0.5e-12)
    capacitor_density: Quantity = quantity("capacitor_density", unit="F/m2", positive=True, default=2e-3)

    @property
    def capacitors(self) -> int:
        """C_a alone."""
        return 1

    @property
    def switches(self) -> int:
        """One to each line, and the reset of C_a."""
        return self.bits + 1

    @property
    def line_load(self) -> Float[Array, ""]:
        """0 F: nothing hangs on the lines while they settle."""
        return jnp.zeros_like(self.resistance)

    @property
    def time(self) -> Float[Array, ""]:
        """One sharing per bit, s."""
        return self.bits * self.sharing_time

    def _nominal(self, line: Float[Array, ""]) -> Float[Array, " capacitors"]:
        """C_a, F."""
        return jnp.reshape(line if self.capacitance is None else self.capacitance, (1,))

    def _loads(self, own: Float[Array, "*groups capacitors"]) -> Float[Array, "*groups bits"]:
        """0 F for each line."""
        return jnp.zeros((*own.shape[:-1], self.bits), own.dtype)

    def _combine(
        self, lines: Float[Array, "*groups bits"], own: Float[Array, "*groups capacitors"], settled: bool
    ) -> Combined:
        """`a_j = b_j prod_(k>j) (1 - b_k)`."""
        part = ratio(lines, own + lines)
        if not settled:
            part = part * settled_fraction(self.sharing_time, self.resistance * own * part)
        left = jnp.cumprod(1.0 - part[..., ::-1], axis=-1)[..., ::-1]
        after = jnp.concatenate([left[..., 1:], jnp.ones_like(left[..., :1])], axis=-1)
        return Combined(part * after, own[..., 0])

    def ideal(self) -> "TimeSharedCharge":
        """The same with a capacitor as large as a line and switches of no resistance."""
        return dataclasses.replace(self, resistance=0.0, capacitance=None)
