"""Hardware of a study file: a design, a published chip, a macro with its parts, or macros by site."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator

from amsim import circuits
from amsim.chips.designs import FAMILIES, WORD_LENGTHS, design
from amsim.chips.presets import PRESETS
from amsim.circuits import (
    BiasDac,
    Comparator,
    Converter,
    Drivers,
    Faults,
    Layout,
    Leakage,
    ResetSwitch,
    SramCell,
    Technology,
)
from amsim.circuits.contract.macro import Macro
from amsim.circuits.fields import Quantity, field_label
from amsim.studies.axes import NONE as NONE_LABEL
from amsim.studies.study_file.kinds import (
    NUMBER,
    TEXT,
    TRUTH,
    by_form,
    by_key,
    chosen,
    integer,
    list_of,
    scalar,
    table,
    words,
)
from amsim.studies.study_file.reading import Key, Kind
from amsim.studies.study_file.refusals import RefusedValuesError, all_refusals
from amsim.system.accelerator import Accelerator
from amsim.system.settings import with_settings

NamedHardware = tuple[str, Accelerator]
"""Label on an axis, and hardware."""

NONE: Kind = Annotated[words(NONE_LABEL), AfterValidator(lambda word: None)]
"""A part or an effect that is left out: ideal, at no cost."""

OWN_CLASSES = ", or a class that is registered (`amsim sweep --family my_module:MyMacro`, `amsim.circuits.register`)"
"""How a file may name further macros."""

DESIGNS = tuple(f"{family}-{bits}b" for family in FAMILIES for bits in WORD_LENGTHS)


def named_hardware(name: str) -> Accelerator | None:
    """Accelerator of the design or chip with this name, or None."""
    if name in DESIGNS:
        return design(name).accelerator()
    return PRESETS[name]() if name in PRESETS else None


def _concrete(base: type) -> dict[str, type]:
    """Concrete classes of a kind of part, by name."""
    public = [one for _, one in inspect.getmembers(circuits, inspect.isclass) if issubclass(one, base)]
    return {one.__name__: one for one in dict.fromkeys([base, *public]) if not inspect.isabstract(one)}


@functools.cache
def _part(base: type) -> Kind:
    """A part of a macro, its class under `kind`."""
    classes = _concrete(base)
    default = base.__name__ if base.__name__ in classes else None
    return chosen(
        "kind", {name: functools.partial(table, _fields(one), one, name=name) for name, one in classes.items()}, default
    )


@functools.cache
def _fields(cls: type) -> Mapping[str, Key]:
    """Fields of a class that a file can set."""
    hints = typing.get_type_hints(cls)
    kinds = {field.name: _kind(hints[field.name]) for field in dataclasses.fields(cls) if field.init}
    return {
        name: Key(kind, _meaning(cls, name), required=name in _needed(cls))
        for name, kind in kinds.items()
        if kind is not None
    }


def _meaning(cls: type, name: str) -> str:
    """Names and unit of a field, as it declares them."""
    label = field_label(cls, name)
    if label is None:
        return ""
    unit = "" if label.unit == "1" else f"in {label.unit}"
    return ", ".join(text for text in (label.long_name, label.symbol, unit) if text)


def _needed(cls: type) -> set[str]:
    """Fields without a default."""
    missing = dataclasses.MISSING
    fields = [field for field in dataclasses.fields(cls) if field.init]
    return {field.name for field in fields if field.default is missing and field.default_factory is missing}


def _kind(hint: Any) -> Kind:
    """Kind of value that a file may give for a field; None where a file cannot set it."""
    if hint is Quantity:
        return NUMBER
    for plain, kind in ((bool, TRUTH), (int, integer()), (float, NUMBER), (str, TEXT)):
        if hint is plain:
            return kind
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return words(*inside)
    if origin in (Union, UnionType):
        hints = [one for one in inside if one is not NoneType]
        kinds = list(map(_kind, hints))
        if None in kinds or NoneType not in inside:
            return None
        return by_form(table=kinds[0], one=NONE) if dataclasses.is_dataclass(hints[0]) else scalar(kinds[0], NONE)
    if origin is tuple and len(inside) == 2 and inside[1] is Ellipsis and dataclasses.is_dataclass(inside[0]):
        return list_of(_kind(inside[0]), build=tuple)
    return _part(hint) if inspect.isclass(hint) and dataclasses.is_dataclass(hint) else None


@dataclasses.dataclass(frozen=True, eq=False)
class NamedPart:
    """A part as a value on an axis, with its label."""

    name: str
    part: Any


def _named_part(cls: type, *, name: str | None = None, **given: Any) -> NamedPart:
    return NamedPart(name or cls.__name__, cls(**given))


def any_part(registered: tuple[type, ...]) -> Kind:
    """Any part of a macro as a value on an axis, its class under `kind`; of registered classes those of no macro."""
    bases = (BiasDac, Comparator, Converter, Drivers, Faults, Layout, Leakage, ResetSwitch, SramCell, Technology)
    classes = {name: one for base in bases for name, one in _concrete(base).items()}
    classes |= {one.__name__: one for one in _whole(registered) if not issubclass(one, Macro)}
    label = {"name": Key(TEXT, "label on the axis; the name of the class by default")}
    tables = {
        name: functools.partial(
            table, {**label, **_fields(one)}, functools.partial(_named_part, one), name=f"{name} of an axis"
        )
        for name, one in classes.items()
    }
    return chosen("kind", tables)


def _arguments(function: Any) -> dict[str, Key]:
    """Arguments of a preset that a file can set."""
    kinds = {
        name: NUMBER if one.annotation is Any else _kind(one.annotation)
        for name, one in inspect.signature(function).parameters.items()
    }
    return {name: Key(kind) for name, kind in kinds.items() if kind is not None}


def _labelled(
    make: Callable[..., Any],
    word: str,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    **given: Any,
) -> NamedHardware:
    """Hardware from the keys of its table."""
    accelerator = Accelerator.of(make(**given))
    if settings:
        try:
            accelerator = all_refusals(functools.partial(with_settings, accelerator), settings)
        except RefusedValuesError as error:
            raise RefusedValuesError({("settings", *path): text for path, text in error.refused.items()}) from None
    return name or word, accelerator


def _table(make: Callable[..., Any], word: str, keys: Mapping[str, Key]) -> Callable[..., Kind]:
    return functools.partial(table, {**keys, **COMMON}, functools.partial(_labelled, make, word), name=word)


LABEL = scalar(NUMBER, TEXT, TRUTH)
SCALAR = scalar(NONE, LABEL)
"""Value of a setting."""

COMMON = {
    "name": Key(TEXT, "label on the axis `hardware`"),
    "settings": Key(table({}, others=SCALAR, path_ends=(), name="settings"), "other settings by their paths"),
}

_MACROS = {name: one for name, one in _concrete(Macro).items() if _needed(one) <= set(_fields(one))}

_DESIGN_TABLES = {name: _table(design(name).accelerator, name, {}) for name in DESIGNS}
_CHIP_TABLES = {name: _table(one, name, _arguments(one)) for name, one in PRESETS.items()}


def hardware_table(registered: tuple[type, ...]) -> Kind:
    """A table of hardware, from which name and accelerator are built.

    Args:
        registered: Classes of users, of which a file may name the macros like those of amsim.
    """
    macros = _MACROS | {one.__name__: one for one in _whole(registered) if issubclass(one, Macro)}
    tables = {name: _table(one, name, _fields(one)) for name, one in macros.items()}
    plain = {
        name: functools.partial(table, _fields(one), one, name=f"{name} of a site") for name, one in macros.items()
    }
    sites = Key(
        table({}, others=chosen("macro", plain, hint=OWN_CLASSES), name="macros"),
        "macro per pattern of site names",
        True,
    )
    return by_key(
        {
            "design": chosen("design", _DESIGN_TABLES),
            "chip": chosen("chip", _CHIP_TABLES),
            "macro": chosen("macro", tables, hint=OWN_CLASSES),
            "sites": _table(lambda sites: Accelerator(sites), "sites", {"sites": sites})(),
        }
    )


def _whole(registered: tuple[type, ...]) -> list[type]:
    """Classes that a file can describe in full."""
    return [one for one in registered if not inspect.isabstract(one) and _needed(one) <= set(_fields(one))]
