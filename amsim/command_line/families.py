"""Circuit families of users that a command line names: imported because the user said so, never because a file did."""

import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from amsim.files.part_classes import register

_NAMED = re.compile(r"(?P<module>[\w.]+):(?P<name>\w+)(?P<rest>(-\d+b)?)")


def import_family(option: str, text: str) -> str:
    """Import the class that a text `my_module:MyMacro` names, from the current folder too, and register it.

    Args:
        option: Option that an error names.
        text: As typed; a word length may follow, as in `my_module:MyMacro-4b`.

    Returns:
        Name by which amsim knows the class now, with the word length that followed.

    Raises:
        ValueError: It is not of this form, there is no such module or class, or the class cannot be registered.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        raise ValueError(f"Argument `{option}` must have classes as my_module:MyMacro, but has {text!r}.")
    if str(Path.cwd()) not in sys.path:
        # As `python -m` does: a module beside the study is found.
        sys.path.insert(0, str(Path.cwd()))
    try:
        part = getattr(importlib.import_module(found["module"]), found["name"])
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Argument `{option}` names {text!r}, which cannot be imported: {error}.") from error
    try:
        register(part)
    except ValueError as error:
        raise ValueError(f"Argument `{option}` names {text!r}, which cannot be used: {error}") from None
    return found["name"] + found["rest"]


def import_families(option: str, texts: Iterable[str]) -> list[str]:
    """Names in which classes `my_module:MyMacro` are imported and registered; others are left as they are."""
    return [import_family(option, text) if ":" in text else text for text in texts]
