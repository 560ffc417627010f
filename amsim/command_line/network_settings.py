"""Settings of a family of networks as a command line gives them, `--set NAME=VALUE`."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any


def network_settings(family: str, settings: Sequence[str]) -> list[tuple[str, Any]]:
    """Name and value of each setting of a family.

    Args:
        family: One of `amsim.networks.families.FAMILIES`.
        settings: Texts of the form name=value; numbers between commas are several, one for each block.

    Raises:
        ValueError: A text of another form, or a setting that the family does not have.
    """
    from amsim.circuits.checks import one_of
    from amsim.networks.families import FAMILIES

    allowed = [
        field.name for field in dataclasses.fields(FAMILIES[family]) if field.name not in ("classes", "input_shape")
    ]
    found = []
    for text in settings:
        name, mark, value = text.partition("=")
        if not mark:
            raise ValueError(f"Option `--set` must have the form name=value, but is {text!r}.")
        one_of("--set", name, allowed)
        found.append((name, _value(value)))
    return found


def _value(text: str) -> Any:
    """Number, numbers between commas, or a word."""
    if re.fullmatch(r"\d{1,40}", text):
        return int(text)
    if re.fullmatch(r"\d{1,40}(,\d{1,40})+", text):
        return tuple(map(int, text.split(",")))
    try:
        return float(text)
    except ValueError:
        return text
