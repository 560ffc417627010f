"""Settings of hardware by dotted path, such as `macro.comparator.noise`: listed, read, and changed in a copy."""

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from amsim.circuits.checks import part_of
from amsim.circuits.contract.macro import Macro
from amsim.circuits.fields import field_label
from amsim.circuits.units import NOT_GIVEN
from amsim.system.accelerator import Accelerator

Place = tuple[str | int, ...]


def setting(hardware: Any, path: str) -> Any:
    """Value of a setting.

    Args:
        hardware: A macro, an `Accelerator` or rules.
        path: Fields joined by dots. `macro.` stands for every macro that has the setting, `macros.NAME.` for the one of
            a rule, by its pattern or by the site name that the pattern spells out; anything else begins at a field of
            the accelerator. A number picks an item of a tuple, as in `macro.modes.0.supply`.

    Returns:
        The value, as its field holds it.

    Raises:
        ValueError: There is no such setting, or macros that share the path differ in it.
    """
    part_of("path", path, str)
    accelerator = Accelerator.of(hardware)
    values = [_at(accelerator, place) for place in _places(accelerator, path)]
    if any(_differ(values[0], value) for value in values[1:]):
        raise ValueError(
            f"Argument `path` must name one setting, but the macros differ in {path!r}; name the rule: "
            f"{', '.join(each_path(accelerator, path))}."
        )
    return values[0]


def each_path(hardware: Any, path: str) -> list[str]:
    """Paths of the single settings that a path stands for; paths and errors as in `setting`."""
    accelerator = Accelerator.of(hardware)
    return [_path_to(accelerator, place) for place in _places(accelerator, path)]


def macro_path(accelerator: Accelerator, number: int, place: Place) -> str:
    """Path of one setting, or part, of one macro of an accelerator.

    Args:
        accelerator: The hardware.
        number: Number of the macro.
        place: Fields, and numbers of parts in a tuple, from the macro to the setting.
    """
    return _path_to(accelerator, ("macros", number, *place))


def check_path(hardware: Any, path: str) -> None:
    """Raise ValueError, naming the nearest paths, unless a path leads to a setting of the hardware."""
    _places(Accelerator.of(hardware), path)


def with_settings(hardware: Any, values: Mapping[str, Any]) -> Any:
    """The same hardware with other values of some settings, each checked as at construction.

    Args:
        hardware: A macro, an `Accelerator` or rules.
        values: Value of each path, as in `setting`; a traced number passes through `jit`, `grad` and `vmap`, and None
            leaves a part or an effect out.

    Returns:
        A macro for a macro, else an `Accelerator`.

    Raises:
        ValueError: There is no such setting, two paths set the same one, a path leads away from a macro given alone, a
            value is not allowed, or is None where nothing can be left out.
    """
    part_of("values", values, Mapping)
    accelerator = Accelerator.of(hardware)
    changes: dict[str | int, Any] = {}
    for path, value in values.items():
        if isinstance(hardware, Macro) and not path.startswith(("macro.", "macros.")):
            raise ValueError(
                f"Argument `values` must have paths that begin with `macro.` for a macro, but has {path!r}."
            )
        for place in _places(accelerator, path):
            if value is None and not _may_be_none(accelerator, place):
                raise ValueError(f"Argument `values` must give {path!r} a value: it cannot be left out.")
            _enter(changes, place, value, path)
    changed = _replaced(accelerator, changes)
    return changed.macros[0] if isinstance(hardware, Macro) else changed


def with_numbers(accelerator: Accelerator, values: Mapping[str, Array]) -> Accelerator:
    """As `with_settings`, for continuous settings inside compiled code: without checks, at no cost."""
    pairs = [(place, value) for path, value in values.items() for place in _places(accelerator, path)]
    return eqx.tree_at(lambda one: [_at(one, place) for place, _ in pairs], accelerator, [value for _, value in pairs])


def continuous_settings(hardware: Any) -> dict[str, Array]:
    """Continuous settings by path: those that may be swept, differentiated or optimised."""
    return {path: value for path, value in _settings(hardware) if eqx.is_inexact_array(value)}


def static_settings(hardware: Any) -> dict[str, Any]:
    """All other settings that are a number or a word, by path: those that a discrete search may choose."""
    return {path: value for path, value in _settings(hardware) if isinstance(value, int | float | str)}


def continuous_setting(hardware: Any, name: str, path: str) -> Array:
    """Value of a setting that must be one continuous number; an error names the argument `name`."""
    value = setting(hardware, path)
    if value is None:
        raise ValueError(f"Argument `{name}` must name settings with a value, but {path!r} is None; give it one first.")
    if not eqx.is_inexact_array(value) or value.shape != ():
        kind = f"an array of shape {value.shape}" if eqx.is_array(value) else f"of type {type(value).__name__}"
        raise ValueError(f"Argument `{name}` must name continuous settings, but {path!r} is {kind}.")
    return value


def parts(hardware: Any) -> Iterator[tuple[str, Any]]:
    """Parts of hardware with their paths, a part before those in it; the accelerator itself has the empty path."""
    accelerator = Accelerator.of(hardware)
    if not isinstance(hardware, Macro):
        yield "", accelerator
    for index, macro in enumerate(accelerator.macros):
        yield from _parts(accelerator, macro, ("macros", index))
    if not isinstance(hardware, Macro):
        for field in dataclasses.fields(accelerator):
            if field.name != "macros":
                yield from _parts(accelerator, getattr(accelerator, field.name), (field.name,))


def _parts(accelerator: Accelerator, part: Any, place: Place) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(part):
        yield _path_to(accelerator, place), part
        for field in dataclasses.fields(part):
            yield from _parts(accelerator, getattr(part, field.name), (*place, field.name))
    elif isinstance(part, tuple):
        for index, one in enumerate(part):
            yield from _parts(accelerator, one, (*place, index))


def setting_label(hardware: Any, path: str) -> tuple[str, str]:
    """Unit and long name of a setting, as the field that holds it declares them.

    Args:
        hardware: A macro, an `Accelerator` or rules.
        path: As in `setting`.

    Returns:
        The unit: "1" for words, truth values and parts, "unit not given" for a number whose field declares none. The
        words of the path, the last of them the field's own long name where it has one: `macro.comparator.noise` is
        "comparator noise", `weight_memory.supply` "weight memory supply".

    Raises:
        ValueError: There is no such setting.
    """
    accelerator = Accelerator.of(hardware)
    declared = [_declared(accelerator, place) for place in _places(accelerator, path)]
    units = dict.fromkeys(unit for unit, _ in declared)
    *parts, last = path.removeprefix("macro.").split(".")
    return " or ".join(units), " ".join([*parts, declared[0][1] or last]).replace("_", " ")


def _declared(accelerator: Accelerator, place: Place) -> tuple[str, str | None]:
    """Unit and long name of the field at a place."""
    name = place[-1]
    label = field_label(_at(accelerator, place[:-1]), name) if isinstance(name, str) else None
    if label is None:
        return NOT_GIVEN if eqx.is_inexact_array(_at(accelerator, place)) else "1", None
    return label.unit, label.long_name


def _settings(hardware: Any) -> Iterator[tuple[str, Any]]:
    accelerator = Accelerator.of(hardware)
    whole = {} if isinstance(hardware, Macro) else {one.name: one for one in dataclasses.fields(accelerator)}
    for place, value in _leaves(accelerator.macros, ("macros",)):
        yield _path_to(accelerator, place), value
    for field in whole:
        if field not in ("macros", "patterns"):
            for place, value in _leaves(getattr(accelerator, field), (field,)):
                yield _path_to(accelerator, place), value


def _leaves(part: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from _leaves(getattr(part, field.name), (*place, field.name))
    elif isinstance(part, tuple) and any(dataclasses.is_dataclass(one) for one in part):
        for index, one in enumerate(part):
            yield from _leaves(one, (*place, index))
    else:
        yield place, part


def _places(accelerator: Accelerator, path: str) -> list[Place]:
    """Places that a path leads to, one per macro that it stands for."""
    starts: list[tuple[Place, str]] = []
    if path.startswith("macro."):
        rest = path.removeprefix("macro.")
        starts = [(("macros", index), rest) for index in range(len(accelerator.macros))]
    elif path.startswith("macros."):
        for index, pattern in enumerate(accelerator.patterns):
            for name in dict.fromkeys((pattern, literal_name(pattern))):
                if path.startswith(f"macros.{name}."):
                    starts.append((("macros", index), path.removeprefix(f"macros.{name}.")))
        starts = starts[:1] if len({start for start, _ in starts}) == 1 else starts
    elif path:
        starts = [((), path)]
    found = [place for start, rest in starts if (place := _place(accelerator, start, rest)) is not None]
    if not found:
        raise ValueError(f"There is no setting {path!r}.{_hint(accelerator, path)}")
    return found


def _place(accelerator: Accelerator, start: Place, rest: str) -> Place | None:
    place, part = start, _at(accelerator, start)
    for word in rest.split("."):
        if isinstance(part, tuple) and word.isdecimal() and int(word) < len(part):
            place, part = (*place, int(word)), part[int(word)]
        elif dataclasses.is_dataclass(part) and word in {field.name for field in dataclasses.fields(part)}:
            place, part = (*place, word), getattr(part, word)
        else:
            return None
    return place


def _hint(accelerator: Accelerator, path: str) -> str:
    known = [name for name, _ in _settings(accelerator)]
    if path.startswith("macro."):
        inside = _leaves(accelerator.macros, ("macros",))
        known = [".".join(["macro", *map(str, place[2:])]) for place, _ in inside] + known
    near = difflib.get_close_matches(path, dict.fromkeys(known), n=3, cutoff=0.5)
    parent = path
    while "." in parent:
        parent = parent.rpartition(".")[0]
        try:
            part = setting(accelerator, parent)
        except ValueError:
            continue
        if part is None:
            return f" {parent!r} is None: that part is ideal and has no settings."
        break
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def literal_name(pattern: str) -> str:
    """Site name that a pattern spells out where it is literal; otherwise the pattern itself."""
    name = re.sub(r"\\(.)", r"\1", pattern)
    return name if re.escape(name) == pattern else pattern


def _at(accelerator: Accelerator, place: Place) -> Any:
    part: Any = accelerator
    for step in place:
        part = part[step] if isinstance(step, int) else getattr(part, step)
    return part


def _may_be_none(accelerator: Accelerator, place: Place) -> bool:
    """Whether the field at a place is declared optional."""
    part, name = _at(accelerator, place[:-1]), place[-1]
    return isinstance(name, str) and NoneType in typing.get_args(typing.get_type_hints(type(part))[name])


def _path_to(accelerator: Accelerator, place: Place) -> str:
    words = [str(step) for step in place]
    if place[0] == "macros" and isinstance(place[1], int):
        several = len(accelerator.macros) > 1
        words = (["macros", literal_name(accelerator.patterns[place[1]])] if several else ["macro"]) + words[2:]
    return ".".join(words)


def _differ(first: Any, other: Any) -> bool:
    if first is other:
        return False
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((first, other))):
        return True
    return not bool(eqx.tree_equal(first, other))


def _enter(changes: dict[str | int, Any], place: Place, value: Any, path: str) -> None:
    for step in place[:-1]:
        changes = changes.setdefault(step, {})
        if not isinstance(changes, dict):
            raise ValueError(
                f"Argument `values` must set nothing twice, but {path!r} is inside a part that it sets too."
            )
    if place[-1] in changes:
        raise ValueError(f"Argument `values` must set nothing twice, but does so with {path!r}.")
    # Wrapped, so that a value is never taken for further changes.
    changes[place[-1]] = _New(value)


@dataclasses.dataclass(frozen=True)
class _New:
    value: Any


def _replaced(part: Any, changes: Mapping[str | int, Any] | _New) -> Any:
    if isinstance(changes, _New):
        return changes.value
    if isinstance(part, tuple):
        return tuple(_replaced(one, changes[n]) if n in changes else one for n, one in enumerate(part))
    fields = {str(name): _replaced(getattr(part, str(name)), inner) for name, inner in changes.items()}
    return dataclasses.replace(part, **fields)
