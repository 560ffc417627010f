"""Energy, time and area of a whole inference by site and component: the one place where a system's cost adds up.

`E = MACs + registers + memories + DRAM + control + leakage x time`. `system_cost` is a pure function of the
accelerator's parameters: it compiles once and passes through `jit`, `grad` and `vmap`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from amsim.circuits.contract.dataflow import Unrolling
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.noise.finite_slopes import quotient
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.system.hardware import COMPONENTS, MEMORIES, AcceleratorParts
from amsim.system.organisation import ACCUMULATOR_BITS
from amsim.system.quantities import LABELS
from amsim.system.site_counts import SiteCounts, site_counts
from amsim.system.traffic import Traffic, bandwidths, memory_energies, traffic, transfer_cycles
from amsim.workloads import Layer

IDLE = "(idle)"
"""Name of the last row of a cost with a given inference rate: the time between inferences."""

RATE_MARGIN = 1.0 + 1e-5
"""Highest accepted utilisation of the inference period; just above 1 so that the maximum rate survives rounding."""


class SystemCost(eqx.Module):
    """Cost of one inference; rows are the sites in order and, with a rate, the idle time after them.

    Attributes:
        energy: J, shape (sites, components).
        seconds: Time of each site, s, shape (sites,).
        cycles: Clock cycles of each site, stalls included, shape (sites,).
        stalls: Clock cycles lost to memories, loads or instructions, shape (sites,).
        utilisation: Multiply-accumulates relative to the peak of all cells in that time, 1, shape (sites,).
        read: Bits read at each of `amsim.system.hardware.MEMORIES`, shape (sites, memories).
        written: Bits written, shape (sites, memories).
        bandwidth: Bits per second that each memory can move, infinite where it takes no time, shape (sites, memories).
        clock: Hz, shape (sites,).
        peak_macs: Peak multiply-accumulates per cycle of all cells, shape (sites,).
        stored: Weight bits stored for each site, shape (sites,).
        working_set: Bits of inputs and outputs in memory at the same time, shape (sites,).
        unrolling: Number of the way in which units are filled, among those of the organisation, shape (sites,).
        area: m^2, shape (components,).
    """

    energy: Float[Array, "sites components"]
    seconds: Float[Array, " sites"]
    cycles: Float[Array, " sites"]
    stalls: Float[Array, " sites"]
    utilisation: Float[Array, " sites"]
    read: Float[Array, "sites memories"]
    written: Float[Array, "sites memories"]
    bandwidth: Float[Array, "sites memories"]
    clock: Float[Array, " sites"]
    peak_macs: Float[Array, " sites"]
    stored: Float[Array, " sites"]
    working_set: Float[Array, " sites"]
    unrolling: Float[Array, " sites"]
    area: Float[Array, " components"]


def system_cost(accelerator: AcceleratorParts, layers: Sequence[Layer]) -> SystemCost:
    """Cost of one inference of a network.

    Args:
        accelerator: The hardware.
        layers: Layers of a workload: sites with their counts and activity.

    Returns:
        Energy, time, traffic and cycles by site, and area by component; differentiable.

    Raises:
        ValueError: A site that matches no rule of the accelerator or does not fit its macro.
        RuntimeError: At run time, a network that does not fit the memories of an accelerator without DRAM, or a rate
            above what the accelerator can reach.
    """
    cost = unchecked_cost(accelerator, tuple(layers))
    if accelerator.dram is None:
        text = "The network does not fit the memories of an accelerator without DRAM."
        cost = eqx.error_if(cost, bits_from_dram(cost) > 0, text)
    if accelerator.power.rate is not None and layers:
        text = "Argument `rate` must be at most one over the time of one inference."
        cost = eqx.error_if(cost, busy_seconds(accelerator, cost) * accelerator.power.rate > RATE_MARGIN, text)
    return cost


@eqx.filter_jit
def unchecked_cost(accelerator: AcceleratorParts, layers: tuple[Layer, ...]) -> SystemCost:
    """As `system_cost`, also of a network that does not fit or a rate that is too high."""
    area = accelerator.component_area
    if not layers:
        columns = {"energy": len(COMPONENTS)} | dict.fromkeys(("read", "written", "bandwidth"), len(MEMORIES))
        names = [field.name for field in dataclasses.fields(SystemCost) if field.name != "area"]
        shapes = {name: (0, columns[name]) if name in columns else (0,) for name in names}
        return SystemCost(**{name: jnp.zeros(shape) for name, shape in shapes.items()}, area=area)
    counts = site_counts(accelerator, layers)
    moved = traffic(accelerator, counts)
    cycles = _cycles(accelerator, counts, moved)
    seconds = cycles / counts.clock + counts.unclocked_time
    peak = (cycles + counts.unclocked_time * counts.clock) * counts.peak_macs
    cost = SystemCost(
        energy=_energy(accelerator, counts, moved, cycles, seconds),
        seconds=seconds,
        cycles=cycles,
        stalls=cycles - counts.compute_cycles,
        utilisation=quotient(counts.macs, peak),
        read=moved.read,
        written=moved.written,
        bandwidth=bandwidths(accelerator, counts.clock),
        clock=counts.clock,
        peak_macs=counts.peak_macs,
        stored=counts.stored_bits,
        working_set=counts.working_set_bits,
        unrolling=counts.unrolling,
        area=area,
    )
    return cost if accelerator.power.rate is None else _with_idle_time(accelerator, cost)


def _cycles(accelerator: AcceleratorParts, counts: SiteCounts, moved: Traffic) -> Float[Array, " sites"]:
    """Cycles of each site; activations overlap with computing, loads and DRAM transfers only with double buffering."""
    weights, activations, shared, outside = jnp.unstack(transfer_cycles(accelerator, moved, counts.clock), axis=-1)
    streams = counts.streams > 0
    working = jnp.maximum(counts.compute_cycles + counts.overhead_cycles, activations)
    working = jnp.where(streams, jnp.maximum(working, weights), working)
    batch = accelerator.inferences_per_load
    loading = jnp.where(streams, 0.0, jnp.maximum(counts.load_cycles / batch, weights))
    arriving = jnp.maximum(shared, outside)
    if accelerator.double_buffered:
        return jnp.maximum(working, jnp.maximum(loading, arriving))
    return working + loading + arriving


def _energy(
    accelerator: AcceleratorParts, counts: SiteCounts, moved: Traffic, cycles: Array, seconds: Array
) -> Float[Array, "sites components"]:
    gates = accelerator.technology
    squared = counts.supply**2 * energy_ratio(gates.process, counts.supply)
    adder = ACCUMULATOR_BITS * (gates.full_adder_capacitance + gates.library.flip_flop_capacitance)
    weights, activations, shared, outside = memory_energies(accelerator, moved)
    if accelerator.dram is not None:
        outside = outside + accelerator.dram.background_energy(seconds)
    by_component = {
        "mac": counts.mac_energy + counts.additions * adder * squared,
        "registers": counts.register_energy,
        "weight_memory": weights,
        "activation_memory": activations,
        "global_memory": shared,
        "dram": outside,
        "control": counts.instruction_energy + cycles * accelerator.organisation.control_capacitance * squared,
        "leakage": counts.leakage * seconds,
    }
    return jnp.stack([by_component[name] for name in COMPONENTS], axis=-1)


def idle_energy(accelerator: AcceleratorParts, seconds: Float[Array, ""]) -> Float[Array, " components"]:
    """Energy by component, J, of idle time, in which there is only leakage and refresh.

    Args:
        accelerator: The hardware.
        seconds: Idle time, shape (), s.

    Returns:
        In the order of `amsim.system.hardware.COMPONENTS`, shape (components,), J.
    """
    row = jnp.zeros((len(COMPONENTS),)).at[COMPONENTS.index("leakage")].set(seconds * accelerator.idle_leakage)
    if accelerator.dram is not None:
        row = row.at[COMPONENTS.index("dram")].set(accelerator.dram.background_energy(seconds))
    return row


def _with_idle_time(accelerator: AcceleratorParts, cost: SystemCost) -> SystemCost:
    """Cost with a last row for the time until the next inference, in which there is only leakage and refresh."""
    assert accelerator.power.rate is not None
    idle = jnp.maximum(1.0 / accelerator.power.rate - jnp.sum(cost.seconds), 0.0)
    rows = {"energy": idle_energy(accelerator, idle), "seconds": idle}

    def longer(name: str) -> Array:
        values = getattr(cost, name)
        return jnp.concatenate([values, rows.get(name, jnp.zeros_like(values[0]))[None]])

    grown = (field.name for field in dataclasses.fields(cost) if field.name != "area")
    return SystemCost(**{name: longer(name) for name in grown}, area=cost.area)


def _macs(layer: Layer) -> int | float:
    """Multiply-accumulates of a layer over all its runs."""
    return layer.macs if "runs" not in layer.activity else layer.work.macs * float(layer.runs)


def chosen_unrollings(
    accelerator: AcceleratorParts, layers: Sequence[Layer], numbers: Float[Array, " sites"]
) -> list[Unrolling | None]:
    """Way in which the units of each site are filled; None where its macro has no choice.

    Args:
        accelerator: The hardware.
        layers: Layers of a workload.
        numbers: `SystemCost.unrolling` of the layers, concrete.

    Returns:
        One for each layer.
    """
    found: list[Unrolling | None] = []
    for layer, number in zip(layers, numbers, strict=True):
        index = accelerator.macro_for(layer.name)
        ways = () if index is None else accelerator.organisation.unrollings(accelerator.macros[index])
        found.append(ways[int(number)] if ways else None)
    return found


def filled_units(accelerator: AcceleratorParts, layers: Sequence[Layer]) -> list[tuple[Unrolling, float] | None]:
    """How the units of each site are filled: the loops on them, and multiply-accumulates relative to their peak.

    Args:
        accelerator: The hardware.
        layers: Layers of a workload, which need not fit its memories.

    Returns:
        One for each layer; None where its macro has no choice.
    """
    cost = unchecked_cost(accelerator, tuple(layers))
    ways = chosen_unrollings(accelerator, layers, cost.unrolling[: len(layers)])
    used = np.asarray(cost.utilisation, float)[: len(layers)]
    return [None if way is None else (way, float(number)) for way, number in zip(ways, used, strict=True)]


def labelled_cost(accelerator: AcceleratorParts, layers: Sequence[Layer]) -> xr.Dataset:
    """Cost of one inference as a Dataset; where several run together, energy and time are the share of one.

    Args:
        accelerator: The hardware.
        layers: Layers of a workload.

    Returns:
        `energy` (site, component) in J; `latency`, `cycles`, `stalls`, `utilisation`, `macs`, `clock`, `peak_macs`,
        `stored_bits` and `working_set_bits` (site), with the coordinate `unrolling`: loops that fill rows and columns
        of units, empty without a choice; `bits_read`, `bits_written` and `bandwidth` (site, memory); `area`
        and `component_area` (component) in m^2. With a rate, a last site `(idle)` holds the leakage between inferences.
        The attribute `extrapolated` names memories whose supply lies outside the fits of their process.

    Raises:
        ValueError: As `system_cost`, naming what would fit, and a rate above what the accelerator can reach.
    """
    cost = _cost_or_error(accelerator, tuple(layers))
    _check_fit(accelerator, cost)
    _check_rate(accelerator, cost)
    names, macs = [layer.name for layer in layers], [_macs(layer) for layer in layers]
    chosen = chosen_unrollings(accelerator, layers, cost.unrolling[: len(layers)])
    ways = ["" if one is None else one.label for one in chosen]
    if accelerator.power.rate is not None and names:
        names, macs, ways = [*names, IDLE], [*macs, 0], [*ways, ""]
    by_site = {
        "latency": cost.seconds,
        "cycles": cost.cycles,
        "stalls": cost.stalls,
        "utilisation": cost.utilisation,
        "clock": cost.clock,
        "peak_macs": cost.peak_macs,
        "stored_bits": cost.stored,
        "working_set_bits": cost.working_set,
    }
    variables: dict[str, Any] = {
        "energy": (("site", "component"), np.asarray(cost.energy, float)),
        **{name: (("site",), np.asarray(values, float)) for name, values in by_site.items()},
        "macs": (("site",), np.rint(macs).astype(int)),
        "bits_read": (("site", "memory"), np.asarray(cost.read, float)),
        "bits_written": (("site", "memory"), np.asarray(cost.written, float)),
        "bandwidth": (("site", "memory"), np.asarray(cost.bandwidth, float)),
        "area": ((), float(jnp.sum(cost.area))),
        "component_area": (("component",), np.asarray(cost.area, float)),
    }
    coordinates: dict[str, Any] = {"site": names, "component": list(COMPONENTS), "memory": list(MEMORIES)}
    coordinates["unrolling"] = ("site", np.asarray(ways, str))
    attributes = {
        **provenance(accelerator=accelerator),
        "extrapolated": ", ".join(accelerator.extrapolated),
    }
    return labelled(variables, coordinates, attributes, labels=LABELS)


def _cost_or_error(accelerator: AcceleratorParts, layers: tuple[Layer, ...]) -> SystemCost:
    """Cost; quantities out of range raise ValueError with their value, which compiled code cannot give."""
    try:
        return unchecked_cost(accelerator, layers)
    except eqx.EquinoxRuntimeError:
        with jax.disable_jit():
            return unchecked_cost(accelerator, layers)


def bits_from_dram(cost: SystemCost) -> Float[Array, ""]:
    """Bits that an inference reads from the DRAM; without one they have no place."""
    return jnp.sum(cost.read[:, MEMORIES.index("dram")])


def busy_seconds(accelerator: AcceleratorParts, cost: SystemCost) -> Float[Array, ""]:
    """Time of an inference without the idle time that a rate leaves, which is the last row of its cost, s."""
    return jnp.sum(cost.seconds if accelerator.power.rate is None else cost.seconds[:-1])


def _check_fit(accelerator: AcceleratorParts, cost: SystemCost) -> None:
    if accelerator.dram is not None or float(bits_from_dram(cost)) == 0:
        return
    weights, batch = float(jnp.sum(cost.stored)), float(accelerator.inferences_per_load)
    working_set, between = batch * float(jnp.max(cost.working_set)), accelerator.global_memory
    raise ValueError(
        f"The network does not fit: it has {weights:.0f} bits of weights and a working set of up to {working_set:.0f} "
        f"bits of inputs and outputs ({batch:g} inferences together), but `weight_memory` holds "
        f"{float(accelerator.weight_memory.capacity):.0f} and `activation_memory` "
        f"{float(accelerator.activation_memory.capacity):.0f} bits, `global_memory` "
        f"{0.0 if between is None else float(between.capacity):.0f}; larger ones would do, or a `dram`."
    )


def _check_rate(accelerator: AcceleratorParts, cost: SystemCost) -> None:
    rate = accelerator.power.rate
    if rate is None or not cost.seconds.size:
        return
    busy = float(busy_seconds(accelerator, cost))
    if busy * float(rate) > RATE_MARGIN:
        raise ValueError(
            f"Argument `rate` must be at most {1 / busy:.4g} inferences per second, of {busy:.4g} s each, but is "
            f"{float(rate):g}."
        )
