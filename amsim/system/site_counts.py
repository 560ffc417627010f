"""Counts of each site of a network on an accelerator, per inference: cycles, bits and joules before memories."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.work import SHARED_BY, MacroCost, Work
from amsim.system.hardware import AcceleratorParts
from amsim.system.organisation import Spread
from amsim.system.unrolling_choice import fewest_cycles, undominated
from amsim.workloads import Layer
from amsim.workloads.weight_parts import first_stored


class SiteCounts(eqx.Module):
    """Counts of all sites, per inference; each has shape (sites,).

    Attributes:
        macs: Multiply-accumulates.
        peak_macs: Peak multiply-accumulates per cycle of all copies of the macro.
        clock: Hz.
        supply: Of the macro, V.
        mac_energy: Energy of multiply-accumulates with drivers and readout, J.
        additions: Partial sums added after the readout, words.
        register_energy: Energy of local registers, J.
        instruction_energy: Energy of instructions, J.
        compute_cycles: Clock cycles of computing on the busiest copy.
        overhead_cycles: Clock cycles in which that copy waits for instructions, fill and drain.
        load_cycles: Clock cycles of loading weights into cells.
        unclocked_time: Time that is not a number of clock cycles, s.
        stored_bits: Weight bits stored for the site, without those that another site has stored already.
        cell_bits: Those of them that stay in the cells of the macros and need no memory.
        weight_bits: Weight bits fetched from the weight memory.
        input_bits: Input bits fetched from the activation memory.
        output_bits: Output bits written to it.
        working_set_bits: Working set of one run: inputs and outputs in memory at the same time.
        repeats: Runs of the site per inference, on average.
        streams: 1 where weights stream through the macro instead of staying in its cells, else 0.
        leakage: Leakage power while the site runs, W.
        unrolling: Number of the way in which its units are filled, among those of the organisation.
    """

    macs: Float[Array, " sites"]
    peak_macs: Float[Array, " sites"]
    clock: Float[Array, " sites"]
    supply: Float[Array, " sites"]
    mac_energy: Float[Array, " sites"]
    additions: Float[Array, " sites"]
    register_energy: Float[Array, " sites"]
    instruction_energy: Float[Array, " sites"]
    compute_cycles: Float[Array, " sites"]
    overhead_cycles: Float[Array, " sites"]
    load_cycles: Float[Array, " sites"]
    unclocked_time: Float[Array, " sites"]
    stored_bits: Float[Array, " sites"]
    cell_bits: Float[Array, " sites"]
    weight_bits: Float[Array, " sites"]
    input_bits: Float[Array, " sites"]
    output_bits: Float[Array, " sites"]
    working_set_bits: Float[Array, " sites"]
    repeats: Float[Array, " sites"]
    streams: Float[Array, " sites"]
    leakage: Float[Array, " sites"]
    unrolling: Float[Array, " sites"]


def site_counts(accelerator: AcceleratorParts, layers: Sequence[Layer]) -> SiteCounts:
    """Counts of the layers of a workload on an accelerator.

    A site that is split over several copies of its macro takes as long as its largest part. What the parts share
    (inputs over output channels, weights over pixels) is fetched once; over input channels their partial sums are
    added. Weights are loaded at each inference, and at each run of a layer that repeats, unless all weights of a macro
    fit in its cells: the largest parts of all its sites together must fit in one copy. Parameters are stored once for
    each word length, in whatever form their sites use them; cells hold a weight once for each form of its matrix.

    Args:
        accelerator: The hardware.
        layers: Layers of a workload.

    Returns:
        One array per quantity, shape (sites,).

    Raises:
        ValueError: A site that matches no rule or does not fit its macro.
    """
    indices = [_macro_index(accelerator, layer) for layer in layers]
    leakages = {index: accelerator.active_leakage(index) for index in sorted(set(indices))}
    sites = [
        _one_site(accelerator, index, layer, leakages[index]) for index, layer in zip(indices, layers, strict=True)
    ]
    kept = _stay_in_cells(indices, layers, [site.pop("occupancy") for site in sites])
    stored = first_stored(
        [layer.stored_parts for layer in layers], [accelerator.macros[index].weight_bits for index in indices]
    )
    # Weights that some site cannot keep in cells have to be in a memory.
    loaded = {name for layer, stays in zip(layers, kept, strict=True) if not stays for name in layer.stored_parts}
    for site, layer, new, stays in zip(sites, layers, stored, kept, strict=True):
        site |= {name: 0.0 for name in ("load_cycles", "weight_bits") if stays}
        whole, in_cells = site["stored_bits"], sum(words for name, words in new.items() if name not in loaded)
        site["stored_bits"] = whole * (sum(new.values()) / layer.weight_words)
        site["cell_bits"] = whole * (in_cells / layer.weight_words)
    dtype = jnp.result_type(float)
    return SiteCounts(**{name: jnp.stack([jnp.asarray(site[name], dtype) for site in sites]) for name in sites[0]})


def _one_site(accelerator: AcceleratorParts, index: int, layer: Layer, leakage: Float[Array, ""]) -> dict[str, Any]:
    """Counts of one site by name, and the fraction of the macro's cells that its weights occupy."""
    macro, spread, work, times = accelerator.macros[index], accelerator.spreads[index], layer.work, layer.runs
    ways = [dataclasses.replace(work, unrolling=one) for one in accelerator.organisation.unrollings(macro)] or [work]
    costs = [_costs(accelerator, index, layer, way) for way in ways]
    able = undominated(costs)
    runs = [_every_time(accelerator, index, layer, ways[number], *costs[number]) for number in able]
    every_time, best = fewest_cycles(accelerator, runs)
    whole, part = costs[0]
    counts = {name: times * value for name, value in every_time.items()} | {
        "peak_macs": whole.peak_macs * float(spread.count),
        "clock": whole.clock,
        "supply": macro.operating_supply,
        "stored_bits": layer.weight_slices * whole.stored_bits,
        "working_set_bits": float(work.input_words * macro.input_bits) + whole.output_bits,
        "repeats": times * 1.0,
        "streams": float(math.isinf(whole.occupancy)),
        "leakage": leakage,
        "occupancy": layer.weight_slices * part.occupancy,
        "unrolling": jnp.asarray(able)[best],
    }
    return _loaded_each_time(accelerator, counts, whole) if layer.weights_are_activations else counts


def _costs(accelerator: AcceleratorParts, index: int, layer: Layer, work: Work) -> tuple[MacroCost, MacroCost]:
    """Cost of a site, filled as the work says, and of its largest part where it is split over copies of the macro."""
    macro, spread = accelerator.macros[index], accelerator.spreads[index]
    whole = macro.cost(work, layer.activity)
    return whole, whole if spread.count == 1 else macro.cost(work.part(spread.over, spread.count), layer.activity)


def _every_time(
    accelerator: AcceleratorParts, index: int, layer: Layer, work: Work, whole: MacroCost, part: MacroCost
) -> dict[str, Any]:
    """Counts of one run of a site by name, filled as the work says."""
    macro, spread = accelerator.macros[index], accelerator.spreads[index]
    overhead = accelerator.organisation.overhead(macro, work, whole, part)
    shared = SHARED_BY[spread.over]
    return {
        "macs": float(work.macs),
        "mac_energy": whole.energy,
        "additions": _additions(macro, layer, work, spread) if shared == "sums" else whole.additions,
        "register_energy": overhead.register_energy,
        "instruction_energy": overhead.control_energy,
        "compute_cycles": part.compute_cycles,
        "overhead_cycles": overhead.cycles,
        "load_cycles": part.load_cycles,
        "unclocked_time": part.unclocked_time,
        "weight_bits": (part if shared == "weights" else whole).weight_bits,
        "input_bits": (part if shared == "inputs" else whole).input_bits,
        "output_bits": whole.output_bits,
    }


def _loaded_each_time(accelerator: AcceleratorParts, counts: dict[str, Any], whole: MacroCost) -> dict[str, Any]:
    """Counts of a site whose weights are activations: read from their memory, at each inference of a batch as well."""
    return counts | {
        "input_bits": counts["input_bits"] + counts["weight_bits"],
        "weight_bits": 0.0,
        "load_cycles": counts["load_cycles"] * accelerator.inferences_per_load,
        "stored_bits": 0.0,
        "working_set_bits": counts["working_set_bits"] + whole.stored_bits,
        # The cells lose any other weights.
        "occupancy": math.inf,
    }


def _additions(macro: Macro, layer: Layer, work: Work, spread: Spread) -> float:
    """Partial sums added where the input channels of a layer are split: within each part, then between parts."""
    largest = work if spread.count == 1 else work.part(spread.over, spread.count)
    parts, rest = divmod(work.product.blocks, largest.product.blocks)
    within = parts * macro.cost(largest, layer.activity).additions
    if rest:
        last = dataclasses.replace(work, product=work.product.part(blocks=rest))
        within += macro.cost(last, layer.activity).additions
    return within + float((parts + bool(rest) - 1) * work.positions * work.product.columns)


def _macro_index(accelerator: AcceleratorParts, layer: Layer) -> int:
    index = accelerator.macro_for(layer.name)
    if index is None:
        patterns = ", ".join(accelerator.patterns)
        raise ValueError(f"Site {layer.name!r} matches none of the rules {patterns}; a last rule '.*' takes the rest.")
    return index


def _stay_in_cells(indices: Sequence[int], layers: Sequence[Layer], occupancies: Sequence[float]) -> list[bool]:
    """Whether the weights of each site stay in the cells for good: all weights of its macro fit there together."""
    by_weight: dict[int, dict[tuple[str, int, int], float]] = {}
    for index, layer, part in zip(indices, layers, occupancies, strict=True):
        product = layer.work.product
        by_weight.setdefault(index, {})[layer.weights, product.rows, product.columns] = part
    # The share of the cells that a column takes need not be a binary fraction.
    return [math.fsum(by_weight[index].values()) <= 1.0 + 1e-9 for index in indices]
