"""Hardware on which no two sites of a network share a macro, but for the uses of one layer."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from jaxtyping import PyTree

from amsim.deployment.front_door import deploy
from amsim.system.accelerator import Accelerator
from amsim.workloads.use_names import layer_of


def one_macro_per_site(fn: Callable[..., Any], params: PyTree, hardware: Any, *inputs: Any) -> Accelerator:
    """The accelerator with a macro of its own for each site that lands on one, in place of shared ones.

    Uses of one layer have one weight and stay together on a macro, unless the hardware has them on several.

    Args:
        fn: The network.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        *inputs: Inputs of the network, which tell its sites.
    """
    accelerator = Accelerator.of(hardware)
    uses: dict[tuple[str, int], list[str]] = {}
    for row in deploy(fn, params, accelerator).sites(*inputs):
        index = accelerator.macro_for(row.name)
        if row.on_macro and index is not None:
            uses.setdefault((layer_of(row.name), index), []).append(row.name)
    patterns: dict[str, int] = {}
    for (layer, index), names in uses.items():
        together = "|".join(map(re.escape, names))
        patterns[together if re.escape(layer) in patterns else re.escape(layer)] = index
    return dataclasses.replace(
        accelerator,
        patterns=tuple(patterns),
        macros=tuple(accelerator.macros[index] for index in patterns.values()),
        spreads=tuple(accelerator.spreads[index] for index in patterns.values()),
    )
