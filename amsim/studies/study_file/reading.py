"""How a study file is read: pydantic finds the mistakes, each is told in words at its place, and objects are built."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from amsim.circuits.checks import shown
from amsim.studies.study_file.refusals import Refused, RefusedValuesError, all_refusals, refused_alone

Kind = Any
"""A type as pydantic reads it, with `Words` among its annotations."""

Place = tuple[str | int, ...]
"""Tables and key that lead to a value, and numbers of items in lists."""


@dataclass(frozen=True)
class Words:
    """Allowed values in words."""

    words: str


@dataclass(frozen=True)
class Allowed(Words):
    """Allowed values in words, in place of pydantic's errors; a wrong one may be meant for one that is `known`."""

    known: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Schema of the values, with one error for all that can be wrong."""
        context = {"words": self.words, "known": list(self.known)}
        return core_schema.custom_error_schema(
            handler(source), "allowed", custom_error_message="not allowed", custom_error_context=context
        )


def in_words(kind: Kind) -> str:
    """Allowed values of a kind, in words."""
    return [one.words for one in kind.__metadata__ if isinstance(one, Words)][-1]


@dataclass(frozen=True)
class Key:
    """Kind of value under a key of a table, and its meaning."""

    kind: Kind
    meaning: str = ""
    required: bool = False


@dataclass(frozen=True, eq=False)
class TableReader(Words):
    """Reads a table: joins paths, tells mistakes in words, builds the object, or tries to with what is right."""

    words: str
    keys: Mapping[str, Key]
    make: Callable[..., Any] | None
    path_ends: tuple[str, ...] | None
    chosen_by: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Schema of the table around which this reads."""
        return core_schema.no_info_wrap_validator_function(self.read, handler(source))

    def read(self, value: Any, handler: Callable[[Any], dict[str, Any]]) -> Any:
        """What a table describes, of which pydantic's `handler` makes a dictionary."""
        given = _by_path(value, self.path_ends) if isinstance(value, Mapping) else value
        required = {name for name, key in self.keys.items() if key.required}
        try:
            made = _in_order(given, handler)
            return made if self.make is None else all_refusals(self.build, made, required)
        except RefusedValuesError as error:
            found = _refusals(error.refused)
        except ValidationError as error:
            lines = error.errors(include_url=False)
            wrong = {line["loc"][0] for line in lines if line["loc"]}
            order = {name: number for number, name in enumerate(given if wrong else ())}
            found = [(_place(line), self.text(line)) for line in lines]
            found.sort(key=lambda one: order.get(one[0][0], len(order)) if one[0] else 0)
            if wrong and self.make is not None and not wrong & {*required, *self.chosen_by}:
                right = _in_order({name: one for name, one in given.items() if name not in wrong}, handler)
                found += _refusals(refused_alone(self.build, right, required))
        errors = [InitErrorDetails(type=mistake(text, place), input=None) for place, text in found]
        raise ValidationError.from_exception_data("study file", errors)

    def build(self, values: Mapping[str, Any]) -> Any:
        """The object that some values describe."""
        assert self.make is not None
        return self.make(**{name: one for name, one in values.items() if name not in self.chosen_by})

    def text(self, line: Any) -> str:
        """A mistake, as it stands behind its place."""
        kind, place, context, value = line["type"], line["loc"], line.get("ctx", {}), line["input"]
        if kind == "mistake":
            return context["text"]
        if kind == "value_error":
            return f": {context['error']}"
        if kind == "missing":
            return f" is missing; it must be {in_words(self.keys[place[0]].kind)}."
        if kind == "extra_forbidden":
            near = _near(place[0], self.keys, 0.6)
            return f" is unknown.{near} Allowed are {', '.join(self.keys)}."
        several = "a list with at least one value"
        must = {"allowed": context.get("words"), "list_type": several, "too_short": several}.get(kind, self.words)
        return f" must be {must}, but is {shown_as_toml(value)}.{_near(value, context.get('known', ()), 0.5)}"


def _in_order(given: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """What pydantic makes of a table, in the order of the file."""
    made = handler(given)
    return {name: made[name] for name in given if name in made}


def _place(line: Any) -> Place:
    """Place of a mistake in a table: a key, items of lists, and the place in an inner table; no choices on the way."""
    first, rest = line["loc"][:1], line["loc"][1:]
    return (*first, *(step for step in rest if isinstance(step, int)), *line.get("ctx", {}).get("place", ()))


def _refusals(refused: Refused) -> list[tuple[Place, str]]:
    return [(place, f": {text}") for place, text in refused.items()]


def mistake(text: str, place: Place = ()) -> PydanticCustomError:
    """Error of pydantic with a text that stands behind its place in a table."""
    return PydanticCustomError("mistake", "{text}", {"text": text, "place": place})


def shown_as_toml(value: Any) -> str:
    """A wrong value in words of TOML."""
    if isinstance(value, list | Mapping):
        return f"{'a' if value else 'an empty'} {'list' if isinstance(value, list) else 'table'}"
    return str(value).lower() if isinstance(value, bool) else shown(value)


def _near(value: Any, names: Iterable[str], cutoff: float) -> str:
    near = difflib.get_close_matches(value, names, n=1, cutoff=cutoff) if isinstance(value, str) else []
    return f" Did you mean {near[0]!r}?" if near else ""


def _by_path(table: Mapping[str, Any], ends: tuple[str, ...] | None) -> dict[str, Any]:
    """Values by path; TOML makes tables of a path without quotes."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if ends is not None and isinstance(value, Mapping) and value and not set(value) & set(ends):
            found |= {f"{name}.{inner}": one for inner, one in _by_path(value, ends).items()}
        else:
            found[name] = value
    return found


def read(kind: TypeAdapter, value: Any, mistakes: list[str]) -> Any:
    """Check a file and build the objects that it describes.

    Args:
        kind: What the file may contain.
        value: The file.
        mistakes: List to which a line per mistake is added; after a mistake the returned object is meaningless.
    """
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        for line in error.errors(include_url=False):
            mistakes.append(f"{place_text(line['ctx']['place'])}{line['ctx']['text']}")
    return None


def raise_mistakes(path: Path, mistakes: Sequence[str]) -> None:
    """Raise ValueError with all mistakes of a file, if there are any."""
    if mistakes:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ValueError("\n  ".join([f"{path} has {count}:", *mistakes]))


def place_text(place: Place) -> str:
    """Place as a user finds it in the file: the table in brackets, then the key."""
    found: list[str] = []
    for step in place:
        if isinstance(step, int):
            found[-1] += f"#{step + 1}"
        else:
            found.append(step)
    if not found:
        return "the file"
    *tables, key = found
    return f"[{'.'.join(tables)}] {key}" if tables else f"[{key}]"
