"""A workload on an accelerator as the input files of ZigZag (PyPI `zigzag-dse`), to compare with another cost model.

ZigZag describes one array of multipliers with a hierarchy of memories, and searches or accepts loop orders. The files
hold amsim's complete dataflow: spatial unrolling, loop order, memories with amsim's energies. They are YAML; neither
ZigZag nor a YAML package is needed to write them. Energies are in pJ per word, areas in mm^2.
"""

from pathlib import Path
from typing import Any, NamedTuple

from amsim.circuits.checks import part_of
from amsim.circuits.contract.dataflow import Unrolling
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import write_whole_text
from amsim.system.accelerator import Accelerator
from amsim.system.cost import chosen_unrollings, system_cost
from amsim.workloads import Workload
from amsim.zigzag.accelerator_file import accelerator_document, layers_by_macro
from amsim.zigzag.mapping_file import dataflow_of, mapping_document
from amsim.zigzag.workload_file import workload_document
from amsim.zigzag.yaml_text import yaml_lines

Document = list[dict[str, Any]] | dict[str, Any]


class Export(NamedTuple):
    """Files of the layers that run on one macro.

    Attributes:
        macro: Index of the macro in the accelerator.
        layers: Names of its layers.
        workload: Layers as loops with word lengths.
        accelerator: Array and memories.
        mapping: Spatial unrolling and loop order of each layer.
    """

    macro: int
    layers: tuple[str, ...]
    workload: Path
    accelerator: Path
    mapping: Path


def write(workload: Workload, hardware: Any, folder: str | Path, *, dataflow: str | None = None) -> tuple[Export, ...]:
    """Write three files for each macro that has layers, in a folder of its own.

    ZigZag knows one array and one precision per layer, hence one set of files per macro, for one copy of it; memories
    that macros share appear in full in each set. Cells, input buffers and accumulators cost nothing there, since the
    energy of a MAC includes them: `unit_energy` is the macro's energy divided by its MACs, so that ZigZag's total
    equals amsim's.

    Counted by amsim but not in these files: control, leakage, cycles of loading, readout and bit-serial inputs, and the
    global memory. Counted differently by ZigZag: partial sums of more than one tile pass through the activation memory;
    inputs at the border of a map without padding are fetched for fewer window rows; and the input buffer, sized for the
    most demanding layer, may hold more of smaller layers. Weights have a DRAM where those of the network do not fit in
    the weight memory, and then all of them pass through it (amsim: only the missing part); activations have one where
    those of a layer do not fit.

    Args:
        workload: The network.
        hardware: A macro, an `Accelerator`, or rules `{layer name pattern: macro}`; its numbers must be concrete.
        folder: Folder to write to; created if missing.
        dataflow: One of `amsim.circuits.contract.dataflow.DATAFLOWS`; None is that of the family (`Macro.dataflow`):
            output-stationary for `MultiPrecision`, weight-stationary for arrays of cells.

    Returns:
        Paths, one set per macro.

    Raises:
        ValueError: A layer that matches no rule, a convolution that is dilated, not two-dimensional or without the size
            of its maps, an unknown dataflow, or a network that needs a DRAM where there is none.
    """
    part_of("workload", workload, Workload)
    target = checked_path("folder", folder)
    accelerator = Accelerator.of(hardware)
    by_macro = layers_by_macro(workload, accelerator)
    ways = _ways(workload, accelerator)
    exports = []
    for index, layers in by_macro.items():
        macro = accelerator.macros[index]
        flow = dataflow_of(macro, dataflow).kind
        own = {layer.name: ways[layer.name] for layer in layers if layer.name in ways}
        documents: dict[str, Document] = {
            "workload": workload_document(layers, macro),
            "accelerator": accelerator_document(workload, accelerator, index, dataflow=flow, ways=own),
            "mapping": mapping_document(layers, macro, dataflow=flow, ways=own),
        }
        place = target / f"{index}-{type(macro).__name__}"
        place.mkdir(parents=True, exist_ok=True)
        paths = {name: place / f"{name}.yaml" for name in documents}
        for name, document in documents.items():
            write_whole_text(paths[name], "\n".join(yaml_lines(document)) + "\n")
        exports.append(Export(index, tuple(layer.name for layer in layers), **paths))
    return tuple(exports)


def _ways(workload: Workload, accelerator: Accelerator) -> dict[str, Unrolling]:
    """Way in which the units of each layer are filled, by its name, where the accelerator chooses."""
    if not any(accelerator.organisation.unrollings(macro)[1:] for macro in accelerator.macros):
        return {}
    numbers = system_cost(accelerator, workload.layers).unrolling[: len(workload.layers)]
    chosen = chosen_unrollings(accelerator, workload.layers, numbers)
    return {layer.name: way for layer, way in zip(workload.layers, chosen, strict=True) if way is not None}
