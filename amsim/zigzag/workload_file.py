"""Layers of a network as ZigZag's loops with word lengths: the content of `workload.yaml`."""

from collections.abc import Sequence
from typing import Any

from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.products import ConvolutionProduct
from amsim.workloads import Layer


def workload_document(layers: Sequence[Layer], macro: Macro) -> list[dict[str, Any]]:
    """Layers as ZigZag's loops B, K, C, G, OY, OX, FY, FX, with the word lengths of the macro.

    Args:
        layers: Layers that run on the macro, in order.
        macro: The macro.

    Returns:
        One entry per layer, as in `workload.yaml`.
    """
    return [_layer_entry(number, layer, macro) for number, layer in enumerate(layers)]


def loop_sizes(layer: Layer) -> dict[str, int]:
    """Loop sizes of a layer by ZigZag's names; B counts its runs and the input vectors of a dense layer."""
    product = layer.work.product
    if not isinstance(product, ConvolutionProduct):
        return {"B": layer.work.positions * layer.repeats, "K": product.columns, "C": product.rows}
    if len(layer.input_size) != 2 or len(product.kernel) != 2 or any(step != 1 for step in product.dilation):
        raise ValueError(
            f"Argument `workload` must have convolutions of two dimensions without dilation and with the size of "
            f"their maps, but layer {layer.name!r} has kernel {product.kernel}, dilation {product.dilation} and maps "
            f"of {layer.input_size}."
        )
    height, width = layer.output_size
    return {
        "B": layer.repeats,
        "K": product.columns // product.groups,
        "G": product.groups,
        "OX": width,
        "OY": height,
        "C": product.channels,
        "FX": product.kernel[1],
        "FY": product.kernel[0],
    }


def _layer_entry(number: int, layer: Layer, macro: Macro) -> dict[str, Any]:
    loops, product = loop_sizes(layer), layer.work.product
    entry: dict[str, Any] = {"id": number, "name": layer.name}
    if isinstance(product, ConvolutionProduct):
        (down, across), (height, width) = product.strides, layer.input_size
        entry |= {
            "operator_type": "Conv",
            # ZigZag pads the last dimensions of the input, so rows and columns come last.
            "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
            "dimension_relations": [f"ix={across}*ox+1*fx", f"iy={down}*oy+1*fy"],
            "pr_loop_dims": ["IX", "IY"],
            "pr_loop_sizes": [width, height],
            "padding": [list(layer.padding[1]), list(layer.padding[0])],
        }
    else:
        entry |= {"operator_type": "Gemm", "equation": "O[b][k]+=W[k][c]*I[b][c]", "dimension_relations": []}
    return entry | {
        "loop_dims": list(loops),
        "loop_sizes": list(loops.values()),
        "operand_precision": {
            "W": macro.weight_bits,
            "I": macro.input_bits,
            "O": macro.sum_bits(product.rows),
            "O_final": macro.input_bits,
        },
        # An operand whose source is the layer itself is a constant: weights, and the input of the network.
        "operand_source": {"W": number, "I": max(number - 1, 0)},
    }
