"""Array of one macro with the memories of its accelerator: the content of ZigZag's `accelerator.yaml`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from amsim.circuits.contract.dataflow import Dataflow, Unrolling
from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.products import ConvolutionProduct
from amsim.system.accelerator import Accelerator
from amsim.workloads import Layer, Workload
from amsim.workloads.weight_parts import first_stored
from amsim.zigzag.mapping_file import dataflow_of, unrolling
from amsim.zigzag.memory_entries import dram_entry, register_entry, sram_entry
from amsim.zigzag.workload_file import loop_sizes


def accelerator_document(
    workload: Workload,
    accelerator: Accelerator,
    index: int,
    *,
    dataflow: str | None = None,
    ways: Mapping[str, Unrolling] | None = None,
) -> dict[str, Any]:
    """Array of one macro with the accelerator's memories, innermost first.

    Args:
        workload: The whole network: the weights of all its layers share the weight memory.
        accelerator: The accelerator.
        index: Index of the macro.
        dataflow: None is that of the family.
        ways: Way in which the units of a layer are filled, by its name; the macro's own where it is not in there. Where
            one has more than pixels on its rows, every unit has a weight of its own.

    Returns:
        Content of `accelerator.yaml`.
    """
    macro, layers = accelerator.macros[index], layers_by_macro(workload, accelerator)[index]
    flow = dataflow_of(macro, dataflow)
    off_chip = _off_chip(workload, accelerator, layers, macro, flow)
    memories = _registers(layers, macro, flow, float(accelerator.activation_memory.capacity), ways or {})
    memories["weight_memory"] = sram_entry(accelerator.weight_memory, ("I2",), off_chip)
    memories["activation_memory"] = sram_entry(accelerator.activation_memory, ("I1", "O"), off_chip)
    if off_chip:
        memories["dram"] = dram_entry(accelerator.dram, off_chip)
    return {
        "name": f"{workload.name}-{type(macro).__name__}",
        "memories": memories,
        "operational_array": {
            "input_precision": [macro.input_bits, macro.weight_bits],
            "unit_energy": _energy_per_mac(layers, macro) * 1e12,
            "unit_area": float(macro.area) * 1e6 / (flow.columns * flow.rows),
            "dimensions": ["D1", "D2"],
            "sizes": [flow.columns, flow.rows],
        },
    }


def layers_by_macro(workload: Workload, accelerator: Accelerator) -> dict[int, list[Layer]]:
    """Layers by the index of their macro."""
    found: dict[int, list[Layer]] = {}
    for layer in workload.layers:
        index = accelerator.macro_for(layer.name)
        if index is None:
            raise ValueError(
                f"Argument `hardware` must have a rule for layer {layer.name!r}; its patterns are "
                f"{', '.join(accelerator.patterns)}."
            )
        found.setdefault(index, []).append(layer)
    return found


def _registers(
    layers: Sequence[Layer],
    macro: Macro,
    flow: Dataflow,
    activation_capacity: float,
    ways: Mapping[str, Unrolling],
) -> dict[str, Any]:
    """Cells, input buffer and accumulators; free, since the energy of a MAC includes them."""
    weights, inputs = macro.weight_bits, macro.input_bits
    sums = macro.sum_bits(max(layer.work.product.rows for layer in layers))
    buffer = max(_buffered_words(layer, flow, ways.get(layer.name), macro.rows) for layer in layers) * inputs
    shared = all({way.rows, way.subwords} == {"pixels"} for way in ways.values())
    # ZigZag requires each memory to hold what the ones below it hold; outputs need room as well.
    buffer = min(buffer, int(activation_capacity) // 2)
    stationary = flow.kind == "weight-stationary"
    return {
        "cells": register_entry(weights, weights, ("I2",), ("D2",) if shared and not stationary else ()),
        "input_buffer": register_entry(buffer, max(buffer, flow.rows * inputs), ("I1",), ("D1", "D2")),
        "accumulators": register_entry(sums, sums, ("O",), ("D2",) if stationary else ()),
    }


def _buffered_words(layer: Layer, flow: Dataflow, way: Unrolling | None, unit_rows: int) -> int:
    """Inputs kept while the window slides along the last axis once."""
    product, loops = layer.work.product, loop_sizes(layer)
    if flow.kind == "output-stationary":
        at_once = unrolling(layer, flow, way, unit_rows)["D2"]
        channels = at_once.get("C", 1)
        if not isinstance(product, ConvolutionProduct):
            return channels * at_once["B"]
        return channels * at_once["OY"] * ((at_once["OX"] - 1) * product.strides[1] + loops["FX"])
    if not isinstance(product, ConvolutionProduct):
        return product.rows
    return product.channels * loops["FY"] * (layer.input_size[1] + sum(layer.padding[1]))


def _off_chip(
    workload: Workload, accelerator: Accelerator, layers: Sequence[Layer], macro: Macro, flow: Dataflow
) -> list[str]:
    """Operands that do not fit on the chip."""
    by_macro = layers_by_macro(workload, accelerator)
    lengths = {layer.name: accelerator.macros[index].weight_bits for index, own in by_macro.items() for layer in own}
    word_lengths = [lengths[layer.name] for layer in workload.layers]
    new = first_stored([layer.stored_parts for layer in workload.layers], word_lengths)
    stored = sum(length * sum(parts.values()) for length, parts in zip(word_lengths, new, strict=True))
    found, moved = [], []
    for layer in layers:
        split = flow.kind == "weight-stationary" and layer.work.product.tiles(flow.rows) > 1
        output_bits = macro.sum_bits(layer.work.product.rows) if split else macro.input_bits
        moved.append(layer.work.input_words * macro.input_bits + layer.output_words * output_bits)
    if max(moved) > float(accelerator.activation_memory.capacity):
        found += ["I1", "O"]
    if stored > float(accelerator.weight_memory.capacity):
        found.append("I2")
    return found


def _energy_per_mac(layers: Sequence[Layer], macro: Macro) -> float:
    """Mean energy per MAC of the macro over all its layers, J."""
    energy = math.fsum(float(macro.cost(layer.work, layer.activity).energy) * layer.repeats for layer in layers)
    return energy / sum(layer.macs for layer in layers)
