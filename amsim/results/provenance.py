"""How a result was made: hardware, keys and versions as attributes of a Dataset."""

import dataclasses
import importlib.metadata
import json
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

LEFT_OUT: Any = object()
"""Stands for an argument of `provenance` that is not given, since None is a value."""


def provenance(
    *,
    key: PRNGKeyArray | None = LEFT_OUT,
    macro: Any = LEFT_OUT,
    accelerator: Any = LEFT_OUT,
    hardware: Any = LEFT_OUT,
    calibration: Any = LEFT_OUT,
) -> dict[str, Any]:
    """Attributes that say how a result was made, so that it can be made again.

    Args:
        key: Key of the random draws; see `key_words`.
        macro: The macro; see `described`.
        accelerator: The accelerator.
        hardware: Hardware of several kinds.
        calibration: Codes and readout ranges by site, or None.

    Returns:
        An attribute for each argument that is given, under its name, and those of `versions`.
    """
    parts = {"macro": macro, "accelerator": accelerator, "hardware": hardware, "calibration": calibration}
    return {
        **({} if key is LEFT_OUT else {"key": key_words(key)}),
        **{name: described(part) for name, part in parts.items() if part is not LEFT_OUT},
        **versions(),
    }


def described(hardware: Any) -> str:
    """Every setting of a macro or accelerator as JSON, for the attributes of a result.

    Args:
        hardware: Nested frozen dataclasses; each becomes its type and its fields, an array its numbers.

    Returns:
        JSON text; a traced value is given as null, since it has no number.
    """
    return json.dumps(_plain(hardware))


def key_words(key: PRNGKeyArray | None) -> list[int]:
    """A key as plain numbers, for the attributes of a result; an empty list for None."""
    return [] if key is None else [int(word) for word in np.ravel(jax.random.key_data(key))]


def versions() -> dict[str, str]:
    """Versions that a result was computed with, for its attributes."""
    return {"amsim_version": importlib.metadata.version("amsim"), "jax_version": jax.__version__}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__} | fields
    if isinstance(value, jax.core.Tracer):
        return None
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return np.asarray(value).tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # the address of an object differs between processes
