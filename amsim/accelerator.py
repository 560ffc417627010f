"""An accelerator: macros, the memories beside them, and the energy, latency and area of a whole inference.

First-order model, the one place where a system's cost is added up:
`E = MACs + weight memory + activation memory + DRAM + control`, with leakage counted under control.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checks import quantity
from amsim.circuits.macro import Macro, MacroCost
from amsim.circuits.memories import Dram, Sram

COMPONENTS = ("mac", "weight_memory", "activation_memory", "dram", "control")
"""Where energy goes; `mac` holds arrays with drivers and readout, `control` the clock and all leakage."""

DEFAULT_WEIGHT_MEMORY = 8 * 261.5 * 1024
"""Bits: 256 kB of convolution weights and 5.5 kB of classifier weights (facts 1.1)."""

DEFAULT_ACTIVATION_MEMORY = 8 * 64.0 * 1024
"""Bits: two image buffers of 32 kB (facts 1.1)."""


class Accelerator(eqx.Module):
    """Macros with their memories.

    Energy of the memories: every weight is fetched from the weight memory as often as its macro says (once an
    inference where it stays while the window slides); activations are written once and fetched once for each pass
    over the filters and each row of the window. What does not fit into a memory is moved to or from DRAM once (weights)
    or twice (activations) an inference. Control: one capacitance switched at the array's supply every cycle.
    Sites run one after another. Not modelled: batching over inferences, double buffering, stalls, input and output.

    Attributes:
        patterns: Name patterns, one for each macro, tried in order; the first that matches a whole site name wins.
        macros: The macros.
        weight_memory: SRAM for weights.
        activation_memory: SRAM for activations.
        dram: Off-chip memory.
        control_capacitance: Switched every cycle by control and clock, F. Default 12 pF: calibrated so that Bankman's
            system costs 3.8 uJ a frame (facts 1.1).

    Raises:
        ValueError: No macro, a rule without a macro, or a pattern that is no regular expression.
    """

    patterns: tuple[str, ...] = eqx.field(static=True)
    macros: tuple[Macro, ...]
    weight_memory: Sram
    activation_memory: Sram
    dram: Dram
    control_capacitance: Float[Array, ""] = quantity("control_capacitance")

    def __init__(
        self,
        macros: Any,
        *,
        patterns: Sequence[str] | None = None,
        weight_memory: Sram | None = None,
        activation_memory: Sram | None = None,
        dram: Dram | None = None,
        control_capacitance: Any = 12e-12,
    ) -> None:
        """Build an accelerator from one macro, from rules `{pattern: macro}`, or from macros and their patterns."""
        rules = _rules(macros, patterns)
        self.patterns = tuple(rules)
        self.macros = tuple(rules.values())
        self.weight_memory = Sram(capacity=DEFAULT_WEIGHT_MEMORY) if weight_memory is None else weight_memory
        self.activation_memory = (
            Sram(capacity=DEFAULT_ACTIVATION_MEMORY) if activation_memory is None else activation_memory
        )
        self.dram = Dram() if dram is None else dram
        self.control_capacitance = control_capacitance

    @staticmethod
    def of(hardware: Any) -> "Accelerator":
        """An accelerator as it is; a macro or rules with default memories."""
        return hardware if isinstance(hardware, Accelerator) else Accelerator(hardware)

    def macro_for(self, site_name: str) -> int | None:
        """Index of the macro whose pattern is the first to match a whole site name."""
        for index, pattern in enumerate(self.patterns):
            if re.fullmatch(pattern, site_name):
                return index
        return None

    def ideal(self) -> "Accelerator":
        """The same accelerator with ideal macros."""
        return eqx.tree_at(lambda a: a.macros, self, tuple(macro.ideal() for macro in self.macros))

    @property
    def area(self) -> Float[Array, ""]:
        """Macros and memories, m^2; control is part of the calibrated cell and unit areas."""
        return sum(
            (macro.area for macro in self.macros), start=self.weight_memory.area() + self.activation_memory.area()
        )

    def cost(
        self, sites: Sequence[tuple[int, MacroCost]]
    ) -> tuple[Float[Array, "sites components"], Float[Array, " sites"]]:
        """Energy by site and component, J, and time of each site, s, of one inference.

        Args:
            sites: For each site the index of its macro and what the macro counted.
        """
        if not sites:
            return jnp.zeros((0, len(COMPONENTS))), jnp.zeros((0,))
        stored = sum(cost.stored_bits for _, cost in sites)
        weights_missing = jnp.maximum(stored - self.weight_memory.capacity, 0.0) / max(stored, 1.0)
        leakage = self.weight_memory.leakage_power() + self.activation_memory.leakage_power()
        energies, times = [], []
        for index, cost in sites:
            activation_bits = cost.input_bits + cost.output_bits
            overflow = jnp.maximum(cost.output_bits - self.activation_memory.capacity, 0.0)
            supply = self.macros[index].operating_supply
            control = cost.cycles * self.control_capacitance * supply**2 + cost.seconds * leakage
            off_chip = cost.stored_bits * weights_missing + 2 * overflow
            energies.append(
                jnp.stack(
                    [
                        cost.energy,
                        self.weight_memory.energy(jnp.asarray(cost.weight_bits)),
                        self.activation_memory.energy(jnp.asarray(activation_bits)),
                        self.dram.energy(off_chip),
                        control,
                    ]
                )
            )
            times.append(cost.seconds)
        return jnp.stack(energies), jnp.stack(times)


def _rules(macros: Any, patterns: Sequence[str] | None) -> dict[str, Macro]:
    if patterns is not None:
        rules = dict(zip(patterns, macros, strict=True))
    else:
        rules = dict(macros) if isinstance(macros, Mapping) else {".*": macros}
    if not rules:
        raise ValueError("Argument `hardware` must have at least one rule, but is empty.")
    for pattern, macro in rules.items():
        if not isinstance(macro, Macro):
            raise ValueError(
                "Argument `hardware` must be a macro, an Accelerator or rules {name pattern: macro}, but has "
                f"{macro!r} of type {type(macro).__name__}."
            )
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(
                f"Argument `hardware` must have regular expressions as patterns, but {pattern!r} is none: {error}."
            ) from None
    return rules
