"""Bits of a weight combined by a C-2C ladder, with the parasitics of its nodes and the load that lines are."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.combining import Combined, Combining
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.noise.finite_slopes import ratio
from amsim.noise.loops import scan


class CapacitorLadder(Combining):
    r"""C-2C ladder at the foot of the lines of a group: line j drives node j through C, 2C join the nodes.

    A capacitor C to ground ends the ladder below node 0; the last node is read. A line of total `L` (its C included) is
    a source behind `s = C (L - C) / L`. From the end on, with the parasitic `p` of every node,
    `Y_j = T_j + s_j + p`, `T_(j+1) = Y_j D_j / (Y_j + D_j)`, `T_0` the end and `D_j` the links:
    `a_j = C_j / Y_j prod_(k>j) T_k / Y_k`, and the last node is held by its `Y`. Without parasitics, on long lines,
    each node halves, `a_j = 2^(j-bits)`; parasitics make a bit worth more than two of the one below, short lines less.

    `compensation` makes links `2 C'` and the end `C'` with `C' = C + compensation (s + p - C)`: of 1, sized for
    parasitics and lines, every bit weighs twice the one below exactly.

    Attributes:
        bits: Bits of a group, a column each (static).
        unit_capacitance: C, F. Default 8 fF (assumed).
        node_parasitic: p of every node, F. Default 1 fF, the input of a comparator (facts 8).
        compensation: Part of parasitics and of the lines' load that links are sized for, 1. Default 0: all links 2C.
        gate_capacitance: Gate of a switch at 28 nm, F; one resets each node. Default 0.31 fF (facts 8, a minimum
            switch in 65 nm).
        switch_area: Area of a switch at 28 nm, m^2. Default 0.5e-12, a two-input gate (assumed).
        capacitor_density: F/m^2. Default 2 fF/um^2 (assumed, metal fringe).

    Raises:
        ValueError: Bits outside 1..16, a capacitance or density that is not above 0, a negative value, or a
            compensation above 1.

    Validity: C below the total of a line. The ladder hangs on the lines at all times and settles with them; resistances
    of its own are not modelled. For energy a line carries its C as if the other side were ground, an upper bound.
    Source: charge balance node by node.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "combination",
            "systematic",
            "Bits that do not weigh 1, 2, 4, ...: parasitics of the ladder's nodes, lines that are no stiff sources.",
            off={"compensation": 1.0},
        ),
    )

    bits: int = count(unit="bit", default=2)
    unit_capacitance: Quantity = quantity("unit_capacitance", unit="F", symbol="C", positive=True, default=8e-15)
    node_parasitic: Quantity = quantity("node_parasitic", unit="F", symbol="p", default=1e-15)
    compensation: Quantity = quantity("compensation", unit="1", at_most=1.0, default=0.0)
    gate_capacitance: Quantity = quantity("gate_capacitance", unit="F", default=0.31e-15)
    switch_area: Quantity = quantity("switch_area", unit="m2", default=0.5e-12)
    capacitor_density: Quantity = quantity("capacitor_density", unit="F/m2", positive=True, default=2e-3)

    @property
    def capacitors(self) -> int:
        """Those of the lines, the end, then the links."""
        return 2 * self.bits

    @property
    def switches(self) -> int:
        """The reset of each node."""
        return self.bits

    @property
    def line_load(self) -> Float[Array, ""]:
        """C, F."""
        return self.unit_capacitance

    @property
    def time(self) -> Float[Array, ""]:
        """0 s: the ladder settles with the lines."""
        return jnp.zeros_like(self.unit_capacitance)

    def _nominal(self, line: Float[Array, ""]) -> Float[Array, " capacitors"]:
        """Capacitors of the lines, end and links, F."""
        unit = self.unit_capacitance
        stiff = unit * (1.0 - ratio(unit, line))
        sized = unit + self.compensation * (stiff + self.node_parasitic - unit)
        factors = jnp.where(jnp.arange(self.capacitors) > self.bits, 2.0, 1.0)
        return jnp.where(jnp.arange(self.capacitors) < self.bits, unit, sized * factors)

    def _loads(self, own: Float[Array, "*groups capacitors"]) -> Float[Array, "*groups bits"]:
        """The capacitor of each line, F."""
        return own[..., : self.bits]

    def _combine(
        self, lines: Float[Array, "*groups bits"], own: Float[Array, "*groups capacitors"], settled: bool
    ) -> Combined:
        """`a_j = C_j / Y_j prod_(k>j) T_k / Y_k`."""
        # In units of C: products of two capacitances would leave float32.
        of_lines, end = ratio(own[..., : self.bits], self.unit_capacitance), ratio(own, self.unit_capacitance)
        stiff = of_lines * (1.0 - ratio(own[..., : self.bits], lines))
        links, end = end[..., self.bits + 1 :], end[..., self.bits]
        parasitic = ratio(self.node_parasitic, self.unit_capacitance)

        def node(below: Array, along: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            source, link = along
            whole = below + source + parasitic
            return whole * ratio(link, whole + link), (whole, below)

        # Above the last node there is no link; any serves.
        joined = jnp.concatenate([links, jnp.ones_like(stiff[..., :1])], axis=-1)
        turns = jnp.moveaxis(stiff, -1, 0), jnp.moveaxis(joined, -1, 0)
        _, (whole, below) = scan(node, jnp.broadcast_to(end, stiff.shape[:-1]), turns)
        through = jnp.cumprod((below / whole)[::-1], axis=0)[::-1]
        after = jnp.concatenate([through[1:], jnp.ones_like(through[:1])], axis=0)
        shares = of_lines * jnp.moveaxis(after / whole, 0, -1)
        return Combined(shares, whole[-1] * self.unit_capacitance)

    def ideal(self) -> "CapacitorLadder":
        """The same with links that make every bit weigh twice the one below."""
        return dataclasses.replace(self, compensation=1.0)
