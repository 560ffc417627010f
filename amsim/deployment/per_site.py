"""Hardware on which no two sites of a network share a macro."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from jaxtyping import PyTree

from amsim.deployment.front_door import deploy
from amsim.system.accelerator import Accelerator


def one_macro_per_site(fn: Callable[..., Any], params: PyTree, hardware: Any, *inputs: Any) -> Accelerator:
    """The accelerator with a macro of its own for each site that lands on one, in place of shared ones.

    Args:
        fn: The network.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        *inputs: Inputs of the network, which tell its sites.
    """
    accelerator = Accelerator.of(hardware)
    names = [row.name for row in deploy(fn, params, accelerator).sites(*inputs) if row.on_macro]
    indices = [index for index in map(accelerator.macro_for, names) if index is not None]
    return dataclasses.replace(
        accelerator,
        patterns=tuple(map(re.escape, names)),
        macros=tuple(accelerator.macros[index] for index in indices),
        spreads=tuple(accelerator.spreads[index] for index in indices),
    )
