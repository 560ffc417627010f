"""YAML of mappings, lists, strings and numbers, without a YAML package."""

import json
from collections.abc import Mapping
from typing import Any


def yaml_lines(value: Any, indent: str = "") -> list[str]:
    """Lines of a document of mappings, lists, strings and numbers; a list of plain values takes one line."""
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            if _is_block(item):
                lines += [f"{indent}{key}:", *yaml_lines(item, indent + "  ")]
            else:
                lines.append(f"{indent}{key}: {_flow(item)}")
        return lines
    for item in value:
        first, *rest = yaml_lines(item, indent + "  ")
        lines += [f"{indent}- {first.lstrip()}", *rest]
    return lines


def _is_block(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value))


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, float):
        # YAML 1.1 reads a float only with a point in its mantissa.
        return f"{value:.9e}"
    return json.dumps(value)
