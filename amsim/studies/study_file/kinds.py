"""Kinds of values in a study file, as types for pydantic: what is allowed, and what is built of it."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NotRequired, Required, Union

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, PlainValidator, Tag, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, SkipJsonSchema
from typing_extensions import TypedDict

from amsim.circuits.checks import LARGEST_COUNT
from amsim.studies.study_file.reading import Allowed, Key, Kind, TableReader, Words, in_words, mistake, shown_as_toml

_typed_dict: Any = TypedDict  # its keys are known to no type checker


def words(*allowed: str, hint: str = "") -> Kind:
    """One of some words; a hint says how to have more."""
    text = f"one of {', '.join(map(repr, allowed))}{hint}" if len(allowed) > 1 else repr(allowed[0])
    return Annotated[Literal[allowed], Allowed(text, allowed)]


def names_or_files(names: Iterable[str], endings: tuple[str, ...]) -> Kind:
    """A known name, or the path of a file with a known ending."""
    known = tuple(names)
    text = f"one of {', '.join(map(repr, known))}, or a file that ends in {' or '.join(endings)}"
    pattern = f"^({'|'.join(known)}|.*({'|'.join(map(re.escape, endings))}))$"
    return Annotated[str, Field(strict=True, pattern=pattern, examples=list(known)), Allowed(text, known)]


def integer(low: int | None = None, high: int | None = None) -> Kind:
    """A whole number; without `high` it is a count, of which the largest goes without saying."""
    ends = [f"of at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
    text = f"a whole number {' and '.join(ends)}".rstrip()
    whole: Kind = Annotated[int, Field(strict=True, ge=low, le=high), Allowed(text)]
    return whole if high is not None else Annotated[whole, AfterValidator(_counted)]


def _counted(value: int) -> int:
    if value > LARGEST_COUNT:
        raise mistake(f" must be at most {LARGEST_COUNT}, but is {shown_as_toml(value)}.")
    return value


def scalar(*kinds: Kind) -> Kind:
    """A value of one of some kinds that are no tables and no lists."""
    text = " or ".join(map(in_words, kinds))
    return Annotated[Union[kinds], Field(union_mode="left_to_right"), Allowed(text)]  # noqa: UP007


_WHOLE: Kind = Annotated[int, Field(strict=True, ge=-(10**308), le=10**308), WithJsonSchema({"type": "integer"})]
NUMBER: Kind = Annotated[
    _WHOLE | Annotated[float, Field(strict=True, allow_inf_nan=False)], Allowed("a finite number in SI units")
]
TEXT = Annotated[str, Field(strict=True, min_length=1), Allowed("a text")]
TRUTH = Annotated[bool, Field(strict=True), Allowed("true or false")]


def list_of(item: Kind, build: Callable[[list[Any]], Any] = list) -> Kind:
    """List of at least one value of a kind."""
    return Annotated[list[item], Field(min_length=1), AfterValidator(build), Words(f"a list, each {in_words(item)}")]


def table(
    keys: Mapping[str, Key],
    build: Callable[..., Any] | None = None,
    *,
    name: str = "table",
    others: Kind = None,
    path_ends: tuple[str, ...] | None = None,
    words: str = "a table",
    word: Mapping[str, Kind] | None = None,
    extra: Literal["forbid", "ignore"] = "forbid",
) -> Kind:
    """A table with known keys.

    Args:
        keys: Keys that it may have.
        build: Builds the value from the given keys, by name; without it the table stays one.
        name: Name in the JSON schema.
        others: Kind of values under names that the user chooses; None where no such names are allowed.
        path_ends: Where names are paths, which TOML makes tables of unless they are quoted: the keys by which a table
            is known to be a value rather than part of a path. None where names are not paths.
        words: The table in words.
        word: The key by whose word the table was chosen, and its kind.
        extra: What becomes of other keys.
    """
    fields: dict[str, Any] = dict(word or {})
    for key, one in keys.items():
        kind: Kind = Annotated[one.kind, Field(description=one.meaning or None)]
        fields[key] = Required[kind] if one.required else NotRequired[kind]
    if others is None:
        made = _typed_dict(name, fields)
        made.__pydantic_config__ = ConfigDict(extra=extra)
    else:
        made = _typed_dict(name, fields, extra_items=others)
        made.__pydantic_config__ = ConfigDict(json_schema_extra=None if path_ends is None else _allow_paths)
    return Annotated[made, TableReader(words, keys, build, path_ends, tuple(word or ()))]


def _allow_paths(schema: dict[str, Any]) -> None:
    schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "object"}]}


def chosen(key: str, tables: Mapping[str, Callable[..., Kind]], default: str | None = None, *, hint: str = "") -> Kind:
    """One of some tables, each made by `table` once it gets `words` and `word`, by the word under a key."""
    text = f"a table with `{key}`"
    choices = {
        word: one(words=text, word={key: NotRequired[Literal[word]] if word == default else Literal[word]})
        for word, one in tables.items()
    }
    wrong = table({key: Key(words(*tables, hint=hint), required=True)}, words=text, extra="ignore")

    def choice(value: Any) -> Any:
        return value.get(key, default) if isinstance(value, Mapping) else None

    return _one_of(choices, choice, wrong, text)


def by_key(kinds: Mapping[str, Kind]) -> Kind:
    """A table whose kind follows from which of some keys it has."""
    text = f"a table with {' or '.join(f'`{key}`' for key in kinds)}"

    def refuse(value: Any) -> None:
        if not isinstance(value, Mapping):
            raise mistake(f" must be {text}, but is {shown_as_toml(value)}.")
        has = " and ".join(key for key in kinds if key in value) or ", ".join(value) or "nothing"
        raise mistake(f" must have exactly one of {', '.join(kinds)}, but has {has}.")

    def choice(value: Any) -> str | None:
        keys = [key for key in kinds if isinstance(value, Mapping) and key in value]
        return keys[0] if len(keys) == 1 else None

    return _one_of(kinds, choice, Annotated[Any, PlainValidator(refuse)], text)


def by_form(**kinds: Kind) -> Kind:
    """A value whose kind follows from its form: `one` for a scalar, `many` for a list, `table`."""
    text = " or ".join(map(in_words, kinds.values()))
    wrong: Kind = Annotated[kinds.get("one", Literal["\0"]), Allowed(text)]

    def choice(value: Any) -> str | None:
        return "many" if isinstance(value, list) else "table" if isinstance(value, Mapping) else None

    return _one_of(kinds, choice, wrong, text)


def _one_of(choices: Mapping[str, Kind], choice: Callable[[Any], Any], wrong: Kind, text: str) -> Kind:
    """What is chosen by a function of the value; a value without a choice is told by a kind that refuses it."""
    kinds = [Annotated[one, Tag(name)] for name, one in choices.items()]
    kinds.append(Annotated[wrong, SkipJsonSchema(), Tag("")])

    def tag(value: Any) -> str:
        name = choice(value)
        return name if isinstance(name, str) and name in choices else ""

    return Annotated[Union[tuple(kinds)], Discriminator(tag), Words(text)]  # noqa: UP007


class PlainSchema(GenerateJsonSchema):
    """JSON schema without titles that repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a title would be the key in capitals."""
        return False
