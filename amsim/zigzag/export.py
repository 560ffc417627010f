"""A workload on an accelerator as the input files of ZigZag (PyPI `zigzag-dse`), to compare with another cost model.

ZigZag describes one array of multipliers with a hierarchy of memories and searches or takes loop orders. What is
written is amsim's own dataflow, complete: spatial unrolling, loop order, memories with amsim's energies. Files are
YAML; neither ZigZag nor a YAML package is needed to write them. Energies are in pJ a word, areas in mm^2.
"""

from pathlib import Path
from typing import Any, NamedTuple

from amsim.system.accelerator import Accelerator
from amsim.workloads import Workload
from amsim.zigzag.accelerator_file import accelerator_document, layers_by_macro
from amsim.zigzag.mapping_file import dataflow_of, mapping_document
from amsim.zigzag.workload_file import workload_document
from amsim.zigzag.yaml_text import yaml_lines

Document = list[dict[str, Any]] | dict[str, Any]


class Export(NamedTuple):
    """Files of the layers that one macro does.

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
    """Write the three files of each macro that has layers, in a folder of its own.

    ZigZag knows one array and one precision a layer, hence files by macro, for one copy of it; memories that macros
    share stand whole in each set. Cells, input buffers and accumulators cost nothing there, since the energy of a MAC
    holds them: `unit_energy` is the macro's energy over its MACs, so that ZigZag's sum of them is amsim's.

    What amsim counts and these files do not: control, leakage, cycles of loading, readout and bit-serial inputs, a
    global memory. What ZigZag counts otherwise: partial sums of more than one tile pass through the activation memory;
    inputs at the border of a map without padding are fetched for fewer window rows, and an input buffer, which is
    as large as the layer that needs most, may keep more of smaller layers. DRAM is there for weights when the network's
    do not fit the weight memory, all of them then passing through it (amsim: the missing part), and for activations
    when those of a layer do not fit.

    Args:
        workload: The network.
        hardware: A macro, an `Accelerator`, or rules `{layer name pattern: macro}`; its numbers must be concrete.
        folder: Where to write; made if missing.
        dataflow: One of `amsim.circuits.contract.dataflow.DATAFLOWS`; None is that of the family (`Macro.dataflow`):
            output-stationary for `MultiPrecision`, weight-stationary for arrays of cells.

    Returns:
        Paths, by macro.

    Raises:
        ValueError: A layer that no rule matches, a convolution that is not two-dimensional, dilated or without the
            size of its maps, an unknown dataflow, or a network that needs a DRAM where there is none.
    """
    accelerator = Accelerator.of(hardware)
    by_macro = layers_by_macro(workload, accelerator)
    exports = []
    for index, layers in by_macro.items():
        macro = accelerator.macros[index]
        flow = dataflow_of(macro, dataflow).kind
        documents: dict[str, Document] = {
            "workload": workload_document(layers, macro),
            "accelerator": accelerator_document(workload, accelerator, index, dataflow=flow),
            "mapping": mapping_document(layers, macro, dataflow=flow),
        }
        place = Path(folder) / f"{index}-{type(macro).__name__}"
        place.mkdir(parents=True, exist_ok=True)
        paths = {name: place / f"{name}.yaml" for name in documents}
        for name, document in documents.items():
            paths[name].write_text("\n".join(yaml_lines(document)) + "\n", encoding="utf-8")
        exports.append(Export(index, tuple(layer.name for layer in layers), **paths))
    return tuple(exports)
