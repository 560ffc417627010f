"""Published chips by name."""

import inspect
from collections.abc import Callable
from typing import Any

from amsim.chips import asilomar, audio, binary, charge_domain, envision
from amsim.system.accelerator import Accelerator


def _presets() -> dict[str, Callable[..., Accelerator]]:
    """Functions that give an accelerator and need no argument, by name."""
    modules = (asilomar, audio, binary, charge_domain, envision)
    found = {
        name: one
        for module in modules
        for name, one in inspect.getmembers(module, inspect.isfunction)
        if one.__module__ == module.__name__ and not name.startswith("_")
    }
    return {
        name: one
        for name, one in sorted(found.items())
        if inspect.signature(one).return_annotation is Accelerator
        and all(p.default is not inspect.Parameter.empty for p in inspect.signature(one).parameters.values())
    }


PRESETS: dict[str, Callable[..., Any]] = _presets()
"""Functions of the published chips by name."""
