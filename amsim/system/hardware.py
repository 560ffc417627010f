"""Parts of an accelerator and what follows from them alone: area, leakage, and the macro that runs a site."""

import re
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amsim.circuits.checks import part_of
from amsim.circuits.contract.macro import Macro
from amsim.circuits.fields import Quantity, quantity
from amsim.circuits.technology.sram import Dram, Sram, SramOrganisation
from amsim.circuits.technology.technology import Technology
from amsim.noise.switching import REFERENCE_TEMPERATURE
from amsim.system.organisation import Organisation, Spread
from amsim.workloads.use_names import USE_MARK, layer_of, names_use

COMPONENTS = (
    "mac",
    "registers",
    "weight_memory",
    "activation_memory",
    "global_memory",
    "dram",
    "control",
    "leakage",
)
"""Components of energy and area; `mac` includes arrays with drivers, readout and the adders of partial sums."""

ON_CHIP_MEMORIES = ("weight_memory", "activation_memory", "global_memory")
"""Names of the on-chip memories, which are fields of an accelerator."""

MEMORIES = (*ON_CHIP_MEMORIES, "dram")
"""Names of all memories, in the order in which traffic is counted."""

KILOBYTE = 8 * 1024.0
"""Bits in a kilobyte."""


def binary_weight_memory() -> Sram:
    """Default weight memory: 256 kB for convolutions and 5.5 kB for the classifier (facts 1.1), 256 bits per cycle."""
    return Sram(capacity=261.5 * KILOBYTE, organisation=SramOrganisation(word_width=256))


def binary_activation_memory() -> Sram:
    """Default activation memory: two 32 kB image buffers (facts 1.1), one word for the 256 channels of a pixel."""
    return Sram(capacity=64.0 * KILOBYTE, organisation=SramOrganisation(word_width=256, banks=2))


class PowerManagement(eqx.Module):
    """Active and idle leakage, power gating, and the inference rate.

    Attributes:
        rate: Inferences per second, 1/s; the time between them is idle. None (default): they run back to back.
        gated_leakage: Fraction of a macro's leakage that remains while it is not in use, 1. Default 1: no power gating.
            Its cells are assumed to keep their weights.
        retention: Fraction of the memories' leakage that remains in idle time, 1; of no effect without a `rate`.
            Default 1: no lower retention supply. They are assumed to keep their data, so that 0 (supply off) is
            optimistic.
        temperature: K, 230 to 400. Default 300 K.

    Raises:
        ValueError: A quantity out of range.
    """

    rate: Quantity | None = quantity("rate", unit="1/s", positive=True, optional=True)
    gated_leakage: Quantity = quantity("gated_leakage", unit="1", at_most=1.0, default=1.0)
    retention: Quantity = quantity("retention", unit="1", at_most=1.0, default=1.0)
    temperature: Quantity = quantity(
        "temperature", unit="K", symbol="T", positive=True, at_most=400.0, default=REFERENCE_TEMPERATURE
    )

    def __check_init__(self) -> None:
        """Check that the temperature is inside the range of the leakage law."""
        if not isinstance(self.temperature, jax.core.Tracer) and np.any(np.asarray(self.temperature) < 230):
            raise ValueError(f"Argument `temperature` must be from 230 to 400 K, but is {float(self.temperature):g}.")


class AcceleratorParts(eqx.Module):
    """Parts of an accelerator, from which its cost is computed; `Accelerator` adds defaults, rules and the cost itself.

    Attributes:
        patterns: Name patterns, one per macro, tried in order; the first that matches a whole site name wins. The name
            of a layer stands for all its uses; `tower#2`, with the mark, for the second alone.
        macros: The macros.
        spreads: Replication of each macro and how sites are split over the copies.
        organisation: `SystolicArray` or `Processor`.
        weight_memory: SRAM for weights.
        activation_memory: SRAM for activations.
        global_memory: SRAM between those and DRAM, or None.
        dram: Off-chip memory, or None: a network that does not fit on chip is then an error.
        technology: Gates of the adders that combine partial sums; its process is that of the control too.
        power: Leakage, gating and rate.
        double_buffered: Whether weights and DRAM transfers of the next site arrive while the present one computes
            (static).
        activation_products: Whether macros also compute products of two activations, such as attention scores, one
            operand of which is loaded as weights at each inference (static). These sites are named `activations`,
            `activations#2`, ... and are subject to the rules like any other.
        inferences_per_load: Inferences that run together, site by site, so that weights are loaded once for all.

    Raises:
        ValueError: Fewer than one inference per load, a part of the wrong kind, or macros that the organisation cannot
            run as it is set.
    """

    patterns: tuple[str, ...] = eqx.field(static=True)
    macros: tuple[Macro, ...]
    spreads: tuple[Spread, ...]
    organisation: Organisation
    weight_memory: Sram
    activation_memory: Sram
    global_memory: Sram | None
    dram: Dram | None
    technology: Technology
    power: PowerManagement
    double_buffered: bool = eqx.field(static=True)
    activation_products: bool = eqx.field(static=True, default=False)
    inferences_per_load: Float[Array, ""] = quantity("inferences_per_load", unit="1", positive=True, default=1.0)

    def __check_init__(self) -> None:
        """Check the parts."""
        part_of("organisation", self.organisation, Organisation)
        part_of("weight_memory", self.weight_memory, Sram)
        part_of("activation_memory", self.activation_memory, Sram)
        part_of("global_memory", self.global_memory, Sram, optional=True)
        part_of("dram", self.dram, Dram, optional=True)
        part_of("technology", self.technology, Technology)
        part_of("power", self.power, PowerManagement)
        part_of("double_buffered", self.double_buffered, bool)
        part_of("activation_products", self.activation_products, bool)
        self.organisation.check_macros(self.macros)
        batch = self.inferences_per_load
        if not isinstance(batch, jax.core.Tracer) and np.asarray(batch) < 1:
            raise ValueError(f"Argument `inferences_per_load` must be at least 1, but is {float(batch):g}.")

    def macro_for(self, site_name: str) -> int | None:
        """Index of the macro whose pattern is the first to match a site, by its own name or by that of its layer."""
        # A pattern with the mark speaks of single uses, any other of layers with all their uses.
        own = next((one for one in self.patterns if names_use(one, site_name)), "")
        if USE_MARK in own:
            return self.patterns.index(own)
        layers = (index for index, one in enumerate(self.patterns) if USE_MARK not in one)
        return next((index for index in layers if re.fullmatch(self.patterns[index], layer_of(site_name))), None)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What defaults of the macros do to figures that a user states (`Macro.remarks`), each with its rule."""
        several = len(self.macros) > 1
        return tuple(
            f"{pattern}: {text}" if several else text
            for pattern, macro in zip(self.patterns, self.macros, strict=True)
            for text in macro.remarks
        )

    @property
    def area(self) -> Float[Array, ""]:
        """Total area: macros, memories and the organisation's own, m^2."""
        return jnp.sum(self.component_area)

    @property
    def component_area(self) -> Float[Array, " components"]:
        """Area by component, m^2; calibrated cell areas include control as well, and DRAM is another chip."""
        none, macros = jnp.zeros(()), zip(self.macros, self.spreads, strict=True)
        by_component = dict.fromkeys(COMPONENTS, none) | {
            "mac": sum((macro.area * spread.count for macro, spread in macros), start=none),
            "control": self.organisation.area * float(sum(spread.count for spread in self.spreads)),
            "weight_memory": self.weight_memory.area(),
            "activation_memory": self.activation_memory.area(),
            "global_memory": none if self.global_memory is None else self.global_memory.area(),
        }
        return jnp.stack([by_component[name] for name in COMPONENTS])

    def active_leakage(self, index: int) -> Float[Array, ""]:
        """Leakage power while the macros of one rule run, W: theirs, the gated rest of the others, all memories."""
        kelvin = self.power.temperature
        left = [1.0 if other == index else self.power.gated_leakage for other in range(len(self.macros))]
        return self._macro_leakage(left) + self._memory_leakage(kelvin)

    @property
    def idle_leakage(self) -> Float[Array, ""]:
        """Leakage power between inferences, W."""
        left = [self.power.gated_leakage] * len(self.macros)
        return self._macro_leakage(left) + self.power.retention * self._memory_leakage(self.power.temperature)

    def _macro_leakage(self, left: Sequence[Any]) -> Float[Array, ""]:
        """Leakage of all copies of each macro and their organisation, times the fraction that is left of it, W."""
        kelvin, feeding = self.power.temperature, self.organisation.leakage_power(self.power.temperature)
        macros = zip(self.macros, self.spreads, left, strict=True)
        powers = (share * (one.leakage_power(kelvin) + feeding) * float(spread.count) for one, spread, share in macros)
        return sum(powers, start=jnp.zeros(()))

    @property
    def extrapolated(self) -> tuple[str, ...]:
        """Names of the memories whose supply is outside the range of their process; without a process, 0.5 to 1.1 V."""
        return tuple(name for name, one in self.on_chip_memories.items() if one is not None and _beyond(one))

    @property
    def on_chip_memories(self) -> dict[str, Sram | None]:
        """On-chip memories by name, in the order in which traffic is counted."""
        return {name: getattr(self, name) for name in ON_CHIP_MEMORIES}

    def _memory_leakage(self, kelvin: Float[Array, ""]) -> Float[Array, ""]:
        present = (memory for memory in self.on_chip_memories.values() if memory is not None)
        return sum((memory.leakage_power(kelvin) for memory in present), start=jnp.zeros(()))


def bits_per_cycle(memory: Sram) -> float:
    """Bits that a memory moves in a clock cycle: every bank reads or writes one word."""
    return float(memory.organisation.banks * memory.organisation.word_width)


def _beyond(memory: Sram) -> bool:
    if memory.process is None:
        return not 0.5 <= round(float(memory.supply), 6) <= 1.1
    return bool(memory.process.extrapolated(memory.supply))
