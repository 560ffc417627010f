"""Kinds of values in a study file: one table states what is allowed, checks it, builds it and gives a JSON schema."""

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from amsim.studies.study_file.refusals import Refused, RefusedValuesError, all_refusals, refused_alone

Place = tuple[str, ...]
"""Tables and key that lead to a value."""


@dataclasses.dataclass(frozen=True)
class Scalar:
    """A number, a word or a truth value.

    Attributes:
        allowed: Allowed values, in words.
        fits: Whether a value is allowed.
        schema: JSON schema of the allowed values.
        build: Builds the value.
    """

    allowed: str
    fits: Callable[[Any], bool]
    schema: Mapping[str, Any]
    build: Callable[[Any], Any] = lambda value: value


@dataclasses.dataclass(frozen=True)
class ListOf:
    """List of at least one value of a kind.

    Attributes:
        item: The kind.
        build: Builds the value from the list.
    """

    item: Any
    build: Callable[[list[Any]], Any] = list


@dataclasses.dataclass(frozen=True)
class Key:
    """Kind of value under a key of a table, and its meaning."""

    kind: Any
    meaning: str = ""
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with known keys.

    Attributes:
        keys: Keys that it may have.
        others: Kind of values under names that the user chooses; None where no such names are allowed.
        build: Builds the value from the given keys, by name.
        path_ends: Where names are paths, which TOML makes tables of unless they are quoted: the keys by which a table
            is known to be a value rather than part of a path. None where names are not paths.
    """

    keys: Mapping[str, Key] = dataclasses.field(default_factory=dict)
    others: Any = None
    build: Callable[..., Any] = dict
    path_ends: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A table whose keys depend on a word in it.

    Attributes:
        key: Key of the word.
        tables: Table of each word, without that key.
        default: Word where none is given; None where one must be.
    """

    key: str
    tables: Mapping[str, Table]
    default: str | None = None


@dataclasses.dataclass(frozen=True)
class ByKey:
    """A table whose kind follows from which of some keys it has."""

    kinds: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Either:
    """One of several kinds of different form: a scalar, a list or a table."""

    kinds: tuple[Any, ...]


def words(*allowed: str) -> Scalar:
    """One of some words."""
    text = f"one of {', '.join(map(repr, allowed))}" if len(allowed) > 1 else repr(allowed[0])
    return Scalar(text, lambda value: isinstance(value, str) and value in allowed, {"enum": list(allowed)})


def names_or_files(names: Iterable[str], endings: tuple[str, ...]) -> Scalar:
    """A known name, or the path of a file with a known ending."""
    known = tuple(names)
    text = f"one of {', '.join(map(repr, known))}, or a file that ends in {' or '.join(endings)}"
    pattern = f"^({'|'.join(known)}|.*({'|'.join(map(re.escape, endings))}))$"
    return Scalar(
        text,
        lambda value: isinstance(value, str) and (value in known or value.endswith(endings)),
        {"type": "string", "pattern": pattern, "examples": list(known)},
    )


def integer(low: int | None = None, high: int | None = None) -> Scalar:
    """A whole number."""
    bounds = {name: bound for name, bound in (("minimum", low), ("maximum", high)) if bound is not None}

    def fits(value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and (low is None or value >= low) and (high is None or value <= high)

    words = {"minimum": "of at least", "maximum": "at most"}
    text = " and ".join(f"{words[name]} {bound}" for name, bound in bounds.items())
    return Scalar(f"a whole number {text}".rstrip(), fits, {"type": "integer", **bounds})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


NUMBER = Scalar("a finite number in SI units", _is_number, {"type": "number"})
TEXT = Scalar("a text", _is_text, {"type": "string", "minLength": 1})
TRUTH = Scalar("true or false", _is_truth, {"type": "boolean"})


def read(kind: Any, value: Any, place: Place, mistakes: list[str]) -> Any:
    """Check a value of a file and build the object that it describes.

    Args:
        kind: Kind of value that is allowed.
        value: From the file.
        place: Tables and key that lead to it.
        mistakes: List to which a line per mistake is added; after a mistake the returned object is meaningless.
    """
    before = len(mistakes)
    if isinstance(kind, Either):
        return read(_of_same_form(kind, value), value, place, mistakes)
    if isinstance(kind, Scalar):
        if not kind.fits(value):
            mistakes.append(f"{place_text(place)} must be {kind.allowed}, but is {value!r}.{_near(kind, value)}")
            return None
        return kind.build(value)
    if isinstance(kind, ListOf):
        if not isinstance(value, list) or not value:
            mistakes.append(f"{place_text(place)} must be a list with at least one value, but is {value!r}.")
            return None
        places = [(*place[:-1], f"{place[-1]}#{number}") for number in range(1, len(value) + 1)]
        items = [read(kind.item, one, at, mistakes) for one, at in zip(value, places, strict=True)]
        return _build_unless_wrong(lambda: kind.build(items), place, mistakes, before)
    if not isinstance(value, Mapping):
        mistakes.append(f"{place_text(place)} must be {_allowed_values(kind)}, but is {value!r}.")
        return None
    table, given = _table(kind, value, place, mistakes)
    if table is None:
        return None
    made = _entries(table, _by_path(given, table.path_ends), place, mistakes)
    if table.others is not None:
        return _build_unless_wrong(lambda: table.build(made), place, mistakes, before)
    required = [name for name, key in table.keys.items() if key.required]
    if not set(required) <= set(made):
        return None

    def build(values: Mapping[str, Any]) -> Any:
        return table.build(**values)

    if len(mistakes) > before:
        mistakes += _refusal_lines(refused_alone(build, made, required), place)
        return None
    return _build_unless_wrong(lambda: all_refusals(build, made, required), place, mistakes, before)


def _build_unless_wrong(build: Callable[[], Any], place: Place, mistakes: list[str], before: int) -> Any:
    """Object that a value describes, or None where there are mistakes inside it."""
    if len(mistakes) > before:
        return None
    try:
        return build()
    except RefusedValuesError as several:
        mistakes += _refusal_lines(several.refused, place)
    except ValueError as error:
        mistakes.append(f"{place_text(place)}: {error}")
    return None


def _refusal_lines(refused: Refused, place: Place) -> list[str]:
    return [f"{place_text((*place, *names))}: {text}" for names, text in refused.items()]


def schema(kind: Any) -> dict[str, Any]:
    """JSON schema of a kind."""
    if isinstance(kind, Scalar):
        return dict(kind.schema)
    if isinstance(kind, ListOf):
        return {"type": "array", "items": schema(kind.item), "minItems": 1}
    if isinstance(kind, Either):
        return {"anyOf": [schema(one) for one in kind.kinds]}
    if isinstance(kind, ByKey):
        return {"anyOf": [schema(one) | {"required": [key]} for key, one in kind.kinds.items()]}
    if isinstance(kind, Chosen):
        found = []
        for word, table in kind.tables.items():
            one = schema(table)
            one["properties"] = {kind.key: {"const": word}} | one["properties"]
            if word != kind.default:
                one["required"] = [kind.key, *one.get("required", [])]
            found.append(one)
        return {"anyOf": found}
    properties = {
        name: schema(key.kind) | ({"description": key.meaning} if key.meaning else {})
        for name, key in kind.keys.items()
    }
    required = [name for name, key in kind.keys.items() if key.required]
    others = False if kind.others is None else schema(kind.others)
    others = others if kind.path_ends is None else {"anyOf": [others, {"type": "object"}]}
    return {"type": "object", "properties": properties, "additionalProperties": others} | (
        {"required": required} if required else {}
    )


def place_text(place: Place) -> str:
    """Place as a user finds it in the file: the table in brackets, then the key."""
    if not place:
        return "the file"
    tables, key = place[:-1], place[-1]
    return f"[{'.'.join(tables)}] {key}" if tables else f"[{key}]"


def _by_path(table: Mapping[str, Any], ends: tuple[str, ...] | None) -> dict[str, Any]:
    """Values by path; TOML makes tables of a path without quotes."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if ends is not None and isinstance(value, Mapping) and value and not set(value) & set(ends):
            found |= {f"{name}.{inner}": one for inner, one in _by_path(value, ends).items()}
        else:
            found[name] = value
    return found


def _entries(table: Table, given: Mapping[str, Any], place: Place, mistakes: list[str]) -> dict[str, Any]:
    """Objects under the keys of a table, without those that have a mistake."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        before = len(mistakes)
        kind = table.keys[name].kind if name in table.keys else table.others
        if kind is None:
            mistakes.append(f"{place_text((*place, name))} is unknown. {_unknown_key_hint(name, list(table.keys))}")
            continue
        one = read(kind, value, (*place, name), mistakes)
        if len(mistakes) == before:
            made[name] = one
    for name, key in table.keys.items():
        if key.required and name not in given:
            mistakes.append(f"{place_text((*place, name))} is missing; it must be {_allowed_values(key.kind)}.")
    return made


def _table(
    kind: Any, value: Mapping[str, Any], place: Place, mistakes: list[str]
) -> tuple[Table | None, Mapping[str, Any]]:
    """Table that a value must match, and the value without the word that selects it."""
    if isinstance(kind, ByKey):
        keys = [key for key in kind.kinds if key in value]
        if len(keys) != 1:
            has = " and ".join(keys) if keys else ", ".join(value) or "nothing"
            mistakes.append(f"{place_text(place)} must have exactly one of {', '.join(kind.kinds)}, but has {has}.")
            return None, value
        return _table(kind.kinds[keys[0]], value, place, mistakes)
    if isinstance(kind, Chosen):
        word = value.get(kind.key, kind.default)
        if not isinstance(word, str) or word not in kind.tables:
            read(Table({kind.key: Key(words(*kind.tables), required=True)}), _only(value, kind.key), place, mistakes)
            return None, value
        return kind.tables[word], {name: one for name, one in value.items() if name != kind.key}
    return kind, value


def _only(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: value[key]} if key in value else {}


def _of_same_form(kind: Either, value: Any) -> Any:
    """Kind of the same form as a value; where there is none, one that lists what is allowed."""
    kinds = _kinds(kind)
    for one in kinds:
        fits = one.fits(value) if isinstance(one, Scalar) else isinstance(value, _form(one))
        if fits:
            return one
    scalars = [one for one in kinds if isinstance(one, Scalar)]
    nearest = [one for one in scalars if isinstance(value, str) == _is_of_text(one)]
    found = nearest[0] if len(nearest) == 1 and len(scalars) == len(kinds) else None
    return found or Scalar(_allowed_values(kind), lambda value: False, {})


def _is_of_text(kind: Scalar) -> bool:
    return "enum" in kind.schema or kind.schema.get("type") == "string"


def _kinds(kind: Any) -> list[Any]:
    return [inner for one in kind.kinds for inner in _kinds(one)] if isinstance(kind, Either) else [kind]


def _form(kind: Any) -> type:
    return list if isinstance(kind, ListOf) else Mapping


def _allowed_values(kind: Any) -> str:
    if isinstance(kind, Scalar):
        return kind.allowed
    if isinstance(kind, Either):
        return " or ".join(_allowed_values(one) for one in kind.kinds)
    if isinstance(kind, ListOf):
        return f"a list, each {_allowed_values(kind.item)}"
    if isinstance(kind, Chosen):
        return f"a table with `{kind.key}`"
    if isinstance(kind, ByKey):
        return f"a table with {' or '.join(f'`{key}`' for key in kind.kinds)}"
    return "a table"


def _near(kind: Scalar, value: Any) -> str:
    near = difflib.get_close_matches(
        str(value), kind.schema.get("enum", kind.schema.get("examples", [])), n=1, cutoff=0.5
    )
    return f" Did you mean {near[0]!r}?" if near else ""


def _unknown_key_hint(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Allowed are {', '.join(names)}."
