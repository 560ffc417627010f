"""Options as they are typed: their names in errors, and numbers between commas."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def with_options(message: str, options: Mapping[str, str]) -> str:
    """The message, which names options in place of the arguments that they are given for."""
    for argument, option in options.items():
        message = message.replace(f"Argument `{argument}`", f"Argument `{option}`")
    return message


@contextmanager
def named_as_typed(options: Mapping[str, str]) -> Iterator[None]:
    """Let errors name options whose names differ from those of the arguments."""
    try:
        yield
    except ValueError as error:
        raise ValueError(with_options(str(error), options)) from None


def numbers_between_commas(name: str, text: str, kind: Any = float) -> list[Any]:
    """Numbers between commas.

    Raises:
        ValueError: Something else.
    """
    try:
        return [kind(one) for one in text.split(",")]
    except ValueError:
        what = "numbers" if kind is float else "whole numbers"
        raise ValueError(f"Argument `{name}` must be {what}, separated by commas, but is {text!r}.") from None
