"""Classes that files and commands may name: amsim's own parts, and those of users, who register them by hand.

A file never says where a class is to be imported from. It holds a bare name, which stands for a class of amsim, for one
that `register` was given, or for an entry point of an installed package.
"""

import contextlib
import importlib.metadata
import inspect
import sys
from typing import Any, TypeVar

import equinox as eqx

ROOMS = ("amsim.circuits.", "amsim.system.", "amsim.deployment.site_ranges")
"""Modules of amsim's own classes that a file may name."""

ENTRY_POINTS = "amsim.families"
"""Group of entry points of installed packages; each has the name of its class."""

AnyPart = TypeVar("AnyPart", bound=type)

_REGISTERED: dict[str, type] = {}


def register(part: AnyPart) -> AnyPart:
    """Class decorator that makes a circuit family of one's own, or a part of one, known to amsim by its name.

    Chip files (`Chip.save`, `amsim.load_chip`), study files (`macro = "MyMacro"`) and comparisons
    (`amsim.compare(["MyMacro-1b"])`, `amsim.circuit_table(families=["MyMacro"])`) then find the class; whatever takes
    the macro itself needs no registration. Dies that are a class of their own are registered like a part.

    An installed package registers without an import: its entry point in the group `amsim.families`, of the class's
    own name, such as `MyMacro = "my_package.my_module:MyMacro"`, is loaded when something names it. The commands take
    `--family my_module:MyMacro`. No file can make amsim import anything.

    Args:
        part: A macro, or an `equinox.Module` that a macro or a die has as a field.

    Returns:
        The class as it is.

    Raises:
        ValueError: It is not such a class, or another one, of amsim or registered before, has its name. A class that is
            defined again, as in a notebook, takes the place of the former.
    """
    if not (inspect.isclass(part) and issubclass(part, eqx.Module) and part is not eqx.Module):
        raise ValueError(f"Argument `part` must be a class of `equinox.Module`, such as a macro, but is {part!r}.")
    name = part.__name__
    former = own_classes().get(name) or _REGISTERED.get(name)
    if former is not None and former is not part and _origin(former) != _origin(part):
        raise ValueError(
            f"Argument `part` must have a name of its own, but {_origin(former)} is registered as {name!r} already."
        )
    _REGISTERED[name] = part
    return part


def named_class(name: str) -> type | None:
    """Class of a bare name: amsim's own, a registered one, or an entry point; None where there is none.

    Raises:
        ValueError: An entry point has another name than its class, or cannot be loaded.
    """
    return own_classes().get(name) or registered_class(name)


def registered_class(name: str) -> type | None:
    """Class that is registered under a name, or an entry point, loaded; None where there is none.

    Raises:
        ValueError: As `named_class`.
    """
    return _REGISTERED.get(name) or _of_package(name)


def registered_classes() -> dict[str, type]:
    """Registered classes by name, and those of installed packages that can be loaded."""
    for name in _entry_points():
        with contextlib.suppress(ValueError):  # of another package; whoever names it gets the error
            registered_class(name)
    return dict(_REGISTERED)


def registered_names() -> str:
    """Names that are registered, of packages that are not loaded too, for an error."""
    return ", ".join(sorted({*_REGISTERED, *_entry_points()})) or "none"


def own_classes() -> dict[str, type]:
    """Classes of amsim that a file may name, by their unique names: its hardware and its calibration."""
    found: dict[str, type] = {}
    waiting: list[type] = [eqx.Module]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        module = one.__module__
        if module.startswith(ROOMS) and getattr(sys.modules.get(module), one.__name__, None) is one:
            found[one.__name__] = one
    return found


def _entry_points() -> dict[str, Any]:
    return {one.name: one for one in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def _of_package(name: str) -> type | None:
    point = _entry_points().get(name)
    if point is None:
        return None
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Entry point {point.value!r} of group {ENTRY_POINTS} cannot be loaded: {error}.") from error
    if getattr(loaded, "__name__", None) != name:
        raise ValueError(f"Entry point {name!r} of group {ENTRY_POINTS} must have the name of its class {loaded!r}.")
    return register(loaded)


def _origin(part: type) -> str:
    return f"{part.__module__}.{part.__qualname__}"
