"""Hardware moved to another technology node, as a whole."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from amsim.circuits.checks import one_number
from amsim.circuits.contract.macro import Macro
from amsim.circuits.technology.process import REFERENCE_NODE, Process
from amsim.circuits.technology.sram import Sram
from amsim.circuits.technology.supply_scaling import with_supply
from amsim.system.accelerator import Accelerator
from amsim.system.settings import parts


def at_node(hardware: Any, node: Any, *, supply: Any = None) -> Any:
    """The same hardware made in another node: every part that knows a process, all at once.

    Energies follow `energy_ratio`, areas `area_ratio` and times `delay_ratio` of
    `amsim.circuits.technology.between_nodes` (Stillmaker and Baas, 2017): cells, drivers, comparators, converters,
    adder trees, units, control, registers and SRAM. Clocks keep their slack, `clock t_old(V_old) / t_new(V_new)`. A
    memory without a process takes that of 28 nm first, at the same cost. What stays as it is, each with its reason:
    `amsim.what_does_not_scale`.

    A move to the node in use changes nothing, and a move there and back at the same supplies gives the same costs, to
    rounding. Cells shrink with their logic: an array whose unit capacitors lie above its cells cannot become smaller
    than these.

    Args:
        hardware: A macro, an `Accelerator` or rules.
        node: As in `Process`, such as "16nm".
        supply: One rail for macros, memories and registers, V. None keeps the supply of each.

    Returns:
        Hardware of the same type.

    Raises:
        ValueError: An unknown node, a supply outside its fits, a macro whose figures hold for one node only, such as a
            measured one, or a process with a threshold or exponent of its own, which are those of one node.
    """
    accelerator, new = Accelerator.of(hardware), Process(node=node).node
    if supply is not None:
        one_number("supply", supply)
        supply = jnp.asarray(supply, float)
    moved = _made_in(accelerator, new)
    macros = tuple(_clocked(old, macro, supply) for old, macro in zip(accelerator.macros, moved.macros, strict=True))
    changes: dict[str, Any] = {"macros": macros}
    if supply is not None:
        changes |= {name: with_supply(memory, supply) for name, memory in moved.on_chip_memories.items()}
        changes["organisation"] = moved.organisation.at_supply(supply)
    found: Any = dataclasses.replace(moved, **changes)
    if isinstance(hardware, Macro):
        found = macros[0]
    elif isinstance(hardware, Mapping):
        found = dict(zip(accelerator.patterns, macros, strict=True))
    for path, part in parts(found):
        _check_reach(path, part)
    return found


def _made_in(hardware: Any, node: str) -> Any:
    """The same hardware with every process at a node, its figures and clocks untouched."""

    def leaves(kind: type) -> Any:
        return lambda part: isinstance(part, kind)

    def stated(part: Any) -> Any:
        return part.stated_by_process() if isinstance(part, Sram) and node != REFERENCE_NODE else part

    def renamed(part: Any) -> Any:
        if not isinstance(part, Process) or part.node == node:
            return part
        if part.threshold is not None or part.alpha is not None:
            raise ValueError(
                "Argument `hardware` must have no process with a `threshold` or `alpha` of its own, which are those of "
                f"{part.node}; set them to None, or give it parts at {node}."
            )
        return dataclasses.replace(part, node=node)

    with_processes = jax.tree.map(stated, hardware, is_leaf=leaves(Sram))
    return jax.tree.map(renamed, with_processes, is_leaf=leaves(Process))


def _clocked(old: Macro, new: Macro, supply: Any) -> Macro:
    """A macro in its new process, clocked with the slack that it had in its old one."""
    former, process = _process(old), _process(new)
    if former is None or process is None:
        raise ValueError(f"{type(old).__name__} has no process: its figures hold for the node that they were found in.")
    unmoved = former.node == process.node and supply is None
    return old if unmoved else new.at_supply(supply, process, former)


def _process(part: Any) -> Process | None:
    found = jax.tree.leaves(part, is_leaf=lambda one: isinstance(one, Process))
    return next((one for one in found if isinstance(one, Process)), None)


def _check_reach(path: str, part: Any) -> None:
    """Raise ValueError where a part with a supply lies outside the fits of its process; traced ones raise when used."""
    process, supply = _process(part), getattr(part, "supply", None)
    if process is None or supply is None or isinstance(supply, jax.core.Tracer):
        return
    low, high = process.energy_window
    if not process.extrapolate and not low <= round(float(supply), 6) <= high:
        raise ValueError(
            f"Argument `supply` must bring every part into the fits of {process.node}, {low:g} to {high:g} V, but "
            f"`{path}` runs at {float(supply):g} V."
        )
