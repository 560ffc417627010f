"""Accelerator: macros with their memories, organisation and power management, built from a macro or rules."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import xarray as xr

from amsim.circuits.checks import part_of, regular_expression, words
from amsim.circuits.contract.macro import Macro
from amsim.circuits.technology.sram import Dram, Sram
from amsim.circuits.technology.technology import Technology
from amsim.system.cost import labelled_cost
from amsim.system.hardware import AcceleratorParts, PowerManagement, binary_activation_memory, binary_weight_memory
from amsim.system.organisation import Organisation, Spread, SystolicArray
from amsim.workloads import Workload


class Accelerator(AcceleratorParts):
    """Macros with their memories, control and power management.

    Each site of a network runs on the macro of the first pattern that matches its name, one site after another, split
    over the copies of that macro. Macros read weights from the weight memory and inputs from the activation memory, and
    write their outputs to the latter. What does not fit goes to the global memory if there is one, then to DRAM:
    weights are fetched once per `inferences_per_load` inferences, activations are written and read back. Weights that
    all fit in the cells of their macros are never reloaded. Activations are read while the macros compute, and stall
    them where the memory's words are too narrow; weight loads and DRAM transfers overlap with computing only with
    double buffering.
    Not modelled: sensors, input and output, networks on chip, the buses between memories and arrays and the writing of
    weights into cells (a weight that is loaded costs its read and the cycles), wake-up energy, SRAM access time against
    the clock, and a weight memory too small for a layer whose weights it must supply repeatedly.

    Attributes are those of `AcceleratorParts`.

    Raises:
        ValueError: No macro, a rule without a macro, a pattern that is not a regular expression or appears twice, fewer
            than one inference per load, or a part of the wrong kind.
    """

    def __init__(
        self,
        macros: Any,
        *,
        patterns: Sequence[str] | None = None,
        spreads: Any = None,
        organisation: Organisation | None = None,
        weight_memory: Sram | None = None,
        activation_memory: Sram | None = None,
        global_memory: Sram | None = None,
        dram: Dram | Literal["default"] | None = "default",
        technology: Technology | None = None,
        power: PowerManagement | None = None,
        inferences_per_load: Any = 1.0,
        double_buffered: bool = False,
        activation_products: bool = False,
    ) -> None:
        """Build an accelerator from one macro, from rules `{pattern: macro}`, or from macros and their patterns.

        `spreads` may be one `Spread` for all macros, or one for each. Memories that are not given are those of the
        binary chips, and the DRAM a default one; with `dram=None` there is none.
        """
        rules = _rules("macros", macros, patterns)
        self.patterns = tuple(rules)
        self.macros = tuple(rules.values())
        self.spreads = _spreads(spreads, len(rules))
        self.organisation = SystolicArray() if organisation is None else organisation
        self.weight_memory = binary_weight_memory() if weight_memory is None else weight_memory
        self.activation_memory = binary_activation_memory() if activation_memory is None else activation_memory
        self.global_memory = global_memory
        self.dram = Dram() if dram == "default" else dram
        self.technology = Technology() if technology is None else technology
        self.power = PowerManagement() if power is None else power
        self.inferences_per_load = inferences_per_load
        self.double_buffered = double_buffered
        self.activation_products = activation_products

    def __repr__(self) -> str:
        """Which macro runs what, and whether there is a DRAM; fields, `macros` among them, print in full."""
        rules = ", ".join(
            f"{on!r}: {type(macro).__name__}" for on, macro in zip(self.patterns, self.macros, strict=True)
        )
        return f"Accelerator({rules}; {type(self.organisation).__name__}, {'no ' if self.dram is None else ''}DRAM)"

    @property
    def deterministic(self) -> bool:
        """Whether all dies and all reads give the same results."""
        return all(macro.deterministic for macro in self.macros)

    @staticmethod
    def of(hardware: Any) -> "Accelerator":
        """Accelerator of any hardware: itself, or a macro or rules with default memories."""
        return hardware if isinstance(hardware, Accelerator) else Accelerator(_rules("hardware", hardware, None))

    def ideal(self) -> "Accelerator":
        """The same accelerator with ideal macros."""
        return eqx.tree_at(lambda a: a.macros, self, tuple(macro.ideal() for macro in self.macros))

    def lumped(self) -> "Accelerator":
        """The same accelerator, whose macros are simulated in one product for all slices (`Macro.lumped`).

        Raises:
            ValueError: A macro has no such reading; the text names its rule.
        """
        return self._with_reading(lambda macro: macro.lumped())

    def exact(self) -> "Accelerator":
        """The same accelerator, whose macros are simulated slice by slice."""
        return self._with_reading(lambda macro: macro.exact())

    def _with_reading(self, change: Callable[[Macro], Macro]) -> "Accelerator":
        macros: list[Macro] = []
        for pattern, macro in zip(self.patterns, self.macros, strict=True):
            try:
                macros.append(change(macro))
            except ValueError as error:
                raise ValueError(f"Macro of the rule {pattern!r}: {error}") from None
        return eqx.tree_at(lambda a: a.macros, self, tuple(macros))

    def cost(self, workload: Workload) -> xr.Dataset:
        """Energy, latency and area of one inference of a workload.

        Args:
            workload: Sites with their counts and activity: `chip.workload(x)`, or a network of `amsim.workloads`.

        Returns:
            Dataset, as from `amsim.system.cost.labelled_cost`.

        Raises:
            ValueError: A site that matches no rule or does not fit its macro, a network that does not fit the memories
                of an accelerator without DRAM, or a rate above what the accelerator can reach.
        """
        part_of("workload", workload, Workload)
        return labelled_cost(self, workload.layers)


def _spreads(spreads: Any, macros: int) -> tuple[Spread, ...]:
    if spreads is None or isinstance(spreads, Spread):
        return (Spread() if spreads is None else spreads,) * macros
    if not isinstance(spreads, Sequence):
        raise ValueError(f"Argument `spreads` must be a Spread or have one for each macro, but is {spreads!r}.")
    found = tuple(spreads)
    if len(found) != macros:
        raise ValueError(
            f"Argument `spreads` must be one or have one for each of {macros} macros, but has {len(found)}."
        )
    for one in found:
        part_of("spreads", one, Spread)
    return found


def _rules(name: str, macros: Any, patterns: Sequence[str] | None) -> dict[str, Macro]:
    if patterns is not None:
        words("patterns", patterns)
        several = tuple(macros) if isinstance(macros, Sequence) else (macros,)
        if len(several) != len(patterns) or len(set(patterns)) != len(patterns):
            raise ValueError(
                f"Argument `patterns` must have a different one for each of {len(several)} macros, but is {patterns!r}."
            )
        rules = dict(zip(patterns, several, strict=True))
    else:
        rules = dict(macros) if isinstance(macros, Mapping) else {".*": macros}
    if not rules:
        raise ValueError(f"Argument `{name}` must have at least one rule, but is empty.")
    for pattern, macro in rules.items():
        if not isinstance(macro, Macro):
            raise ValueError(
                f"Argument `{name}` must be a macro, an Accelerator or rules {{name pattern: macro}}, but has "
                f"{macro!r} of type {type(macro).__name__}."
            )
        regular_expression(name, pattern, used_as=" as patterns")
    return rules
