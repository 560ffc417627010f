"""Python values in words and parts: what each is by itself, and the values that it holds."""

import abc
import dataclasses
import enum
import functools
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol

import jax
import numpy as np

from amsim.files.array_content import array_content
from amsim.files.python_code import code_digest, is_installed, names_read

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range)
"""Types whose values are known by how they print."""

MISSING: Any = type("Missing", (), {})()
"""Stands for a name that has no value."""


class Described(NamedTuple):
    """A value in words and parts.

    Attributes:
        words: What it is by itself, as plain values.
        parts: Values that it holds.
        read: Gives what it holds as it is then, object by object; None where that cannot change.
        known: Whether words and parts say all that it is.
        by_name: Whether its fields, which are no parts then, are read by code that names them, and by no other.
    """

    words: tuple[Any, ...]
    parts: tuple[Any, ...] = ()
    read: Callable[[], tuple[Any, ...]] | None = None
    known: bool = True
    by_name: bool = False


class NamedParts(NamedTuple):
    """Some attributes of a module of the user's own.

    Attributes:
        module: The module.
        names: Names of the attributes.
    """

    module: types.ModuleType
    names: tuple[str, ...]


def described(value: Any) -> Described:
    """What a value is by itself, and the values that it holds."""
    kind = type(value)
    if kind in PLAIN:
        return Described((kind.__name__, repr(value)))
    for kinds, describe in _DESCRIPTIONS:
        if isinstance(value, kinds):
            return describe(value)
    return _object(value)


def held_fields(value: Any) -> dict[str, Any]:
    """Fields of an object by name: those of its dictionary and its slots."""
    kind: type = type(value)
    in_slots = {name: getattr(value, name) for name in _slots(kind) if hasattr(value, name)}
    return in_slots | getattr(value, "__dict__", {})


@functools.lru_cache(maxsize=4096)
def _slots(kind: type) -> tuple[str, ...]:
    given = [one.__dict__.get("__slots__", ()) for one in kind.__mro__]
    names = [name for names in given for name in ((names,) if isinstance(names, str) else names)]
    return tuple(name for name in names if not name.startswith("__"))


def _array(value: Any) -> Described:
    if isinstance(value, jax.Array) and (value.is_deleted() or not value.is_fully_addressable):
        return Described(("array out of reach", str(value.dtype), value.shape), known=False)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return Described(("objects", value.shape), tuple(value.flat), lambda: tuple(value.flat))
    return Described(array_content(value))


def _dictionary(value: dict[Any, Any]) -> Described:
    def read() -> tuple[Any, ...]:
        return (*value.keys(), *value.values())

    return _with_own_class(value, Described(("dict", len(value)), read(), read))


def _list(value: Any) -> Described:
    found = Described((type(value).__name__, len(value)), tuple(value), lambda: tuple(value))
    return _with_own_class(value, found)


def _tuple(value: tuple[Any, ...]) -> Described:
    return Described((type(value).__name__, len(value)), tuple(value) + _own_class(value))


def _set(value: Any) -> Described:
    # The order of a set differs between processes; objects in it are known by their types alone.
    items = sorted(repr(one) if type(one) in PLAIN else type(one).__qualname__ for one in value)
    return Described(("set", items), (), lambda: tuple(value))


def _function(value: types.FunctionType) -> Described:
    variables, module = value.__globals__, str(value.__globals__.get("__name__"))
    cells, installed = value.__closure__ or (), is_installed(module)
    names = names_read(value.__code__)

    def read() -> tuple[Any, ...]:
        own = (value.__code__, value.__defaults__, *(value.__kwdefaults__ or {}).values(), *map(_in_cell, cells))
        return own if installed else (*own, *[variables.get(name, MISSING) for name in names.variables])

    if installed:
        # Messages, and traces with lines and addresses (`equinox.error_if`), are not what it computes.
        held = tuple(one for one in read()[1:] if not _is_text(one))
        return Described(("installed function", module, value.__qualname__), held)
    modules = tuple(NamedParts(sys.modules[name], names.attributes) for name in names.modules if name in sys.modules)
    parts = [NamedParts(one, names.attributes) if isinstance(one, types.ModuleType) else one for one in read()]
    return Described(("function", len(cells), names.variables), (*parts, *modules), read)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes) or (isinstance(value, tuple | list) and all(map(_is_text, value)))


def _in_cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _module(value: NamedParts) -> Described:
    module, names = value
    if is_installed(module.__name__):
        return Described(("module", module.__name__))

    def read() -> tuple[Any, ...]:
        return tuple([vars(module).get(name, MISSING) for name in names])

    parts = tuple(NamedParts(one, names) if isinstance(one, types.ModuleType) else one for one in read())
    return Described(("named parts", names), parts, read)


def _class(value: type) -> Described:
    if is_installed(value.__module__):
        return Described(("installed class", value.__module__, value.__qualname__))
    members = {
        name: one
        for name, one in vars(value).items()
        if isinstance(one, types.FunctionType) or not (name.startswith("__") or name == "_abc_impl")
    }
    bases = tuple(one for one in value.__bases__ if one is not object)
    return Described(
        ("class", value.__qualname__, tuple(members)), (*members.values(), *bases), lambda: tuple(vars(value).values())
    )


def _builtin(value: Any) -> Described:
    holder = getattr(value, "__self__", None)
    parts = () if isinstance(holder, types.ModuleType | None) else (holder,)
    return Described(("builtin", str(value.__module__), value.__qualname__), parts)


def _object(value: Any) -> Described:
    kind = type(value)
    name, top = f"{kind.__module__}.{kind.__qualname__}", kind.__module__.partition(".")[0]
    if top in ("jax", "jaxlib"):
        return _of_jax(value, name)
    if top in sys.stdlib_module_names and kind is not types.SimpleNamespace:
        return _by_reduction(value, name)
    if _is_read_by_name(value):
        return Described(("object", name), _own_class(value), by_name=True)
    fields = held_fields(value)
    if not fields and is_installed(kind.__module__):
        return _by_reduction(value, name)
    frozen = dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return Described(
        ("object", name, tuple(fields)),
        (*fields.values(), *_own_class(value)),
        None if frozen else lambda: tuple(held_fields(value).values()),
    )


def _is_read_by_name(value: Any) -> bool:
    """Whether no installed code knows the fields of an object: its class is the user's, no dataclass and no pytree."""
    kind = type(value)
    installed = {one for one in kind.__mro__ if is_installed(one.__module__)} - {object, abc.ABC, Generic, Protocol}
    return not (installed or dataclasses.is_dataclass(kind)) and jax.tree_util.all_leaves([value])


def _of_jax(value: Any, name: str) -> Described:
    """Functions that JAX made hold the user's; of all else it keeps caches, and prints what matters."""
    if not callable(value):
        return Described((name, re.sub(r"0x[0-9a-f]+", "", repr(value))))
    held = {field: one for field, one in held_fields(value).items() if field == "__wrapped__" or field[0] != "_"}
    return Described((name, tuple(held)), tuple(held.values()))


def _by_reduction(value: Any, name: str) -> Described:
    """A value by what a pickle of it would hold, without anything being pickled."""
    wrapped = getattr(value, "__wrapped__", None)
    if wrapped is not None:
        return Described((name,), (wrapped,))
    try:
        found = value.__reduce_ex__(4)
        parts = found[1:3] + tuple(list(items) for items in found[3:5] if items is not None)
    except Exception:  # whatever a class raises that has no such form
        return Described((name,), known=False)
    return Described((name, found), ()) if isinstance(found, str) else Described((name,), parts)


def _own_class(value: Any) -> tuple[Any, ...]:
    return () if is_installed(type(value).__module__) else (type(value),)


def _with_own_class(value: Any, found: Described) -> Described:
    """Description of a container of the user's own class: its fields and methods too."""
    if type(value).__module__ == "builtins" or is_installed(type(value).__module__):
        return found
    own = _object(value)
    return Described(found.words + own.words, found.parts + own.parts, lambda: found.read() + own.read())  # type: ignore[misc]


_DESCRIPTIONS: tuple[tuple[Any, Callable[[Any], Described]], ...] = (
    (jax.core.Tracer, lambda value: Described(("traced",), known=False)),
    (jax.Array | np.ndarray | np.generic, _array),
    (NamedParts, _module),
    (enum.Enum, lambda value: Described((type(value).__qualname__, value.name))),
    (tuple, _tuple),
    (dict | types.MappingProxyType, _dictionary),
    (Mapping, lambda value: _object(value)),
    (list | deque | bytearray, _list),
    (set | frozenset, _set),
    (types.FunctionType, _function),
    (types.MethodType, lambda value: Described(("method",), (value.__func__, value.__self__))),
    (types.BuiltinFunctionType, _builtin),
    (functools.partial, lambda value: Described(("partial",), (value.func, value.args, value.keywords))),
    (types.CodeType, lambda value: Described(("code", code_digest(value)))),
    (types.CellType, lambda value: Described(("cell",), (_in_cell(value),), lambda: (_in_cell(value),))),
    (types.ModuleType, lambda value: Described(("module", value.__name__))),
    (type, _class),
    (property, lambda value: Described(("property",), (value.fget,))),
    (staticmethod | classmethod, lambda value: Described(("method of a class",), (value.__func__,))),
    (functools.cached_property, lambda value: Described(("property",), (value.func,))),
    (np.dtype, lambda value: Described(("dtype", str(value)))),
)
"""Types in the order in which they are tried, and the description of their values."""
