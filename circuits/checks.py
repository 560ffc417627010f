"""Checks of arguments: static mistakes raise at once, run-time values are checked under `jit` too."""

import difflib
import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.noise.arguments import LARGEST_COUNT as LARGEST_COUNT
from amsim.noise.arguments import integer_between as integer_between
from amsim.noise.arguments import one_key as one_key
from amsim.noise.arguments import shown as shown
from amsim.noise.checks import Allowed, checked, is_real_dtype, real


def enforced(
    array: Array, given: Any, allowed: Allowed, refusal: Callable[[np.ndarray], str], refusal_at_run_time: str
) -> Array:
    """Return array; elements that are not allowed raise at once when given is concrete, at run time under `jit`."""
    # No function in here: a type checker that decorates each one where it is defined would do so for every quantity.
    return checked(array, given, allowed, refusal, functools.partial(_or_error, refusal_at_run_time))


def _or_error(refusal: str, traced: Array, allowed: Allowed) -> Array:
    return eqx.error_if(traced, ~allowed(traced), refusal)


def integers_from_one(name: str, values: Any) -> None:
    """Raise ValueError unless values are a tuple or list of integers of at least 1."""
    if not isinstance(values, tuple | list):
        raise ValueError(f"Argument `{name}` must be a tuple of integers, but is {shown(values)}.")
    for value in values:
        integer_between(name, value, 1)


def real_numbers(name: str, values: Any, axes: tuple[int, ...]) -> np.ndarray:
    """Concrete real numbers on the host, as float64; another number of axes than one of those raises ValueError."""
    found = np.asarray(real(name, values), float)
    if found.ndim not in axes:
        allowed = " or ".join(map(str, axes))
        raise ValueError(f"Argument `{name}` must be numbers along {allowed} axes, but has shape {found.shape}.")
    return found


def one_number(name: str, value: Any) -> None:
    """Raise ValueError unless value is one real number, concrete or traced."""
    if np.shape(real(name, value)) != ():
        raise ValueError(f"Argument `{name}` must be a single number, but has shape {np.shape(value)}.")


def number_between(name: str, value: Any, low: float, high: float) -> None:
    """Raise ValueError unless value is a real number in `low..high`, without infinity."""
    if not is_real_number(value) or not low <= _plain(value) <= min(high, sys.float_info.max):
        allowed = f"a number from {low:g} to {high:g}" if high < float("inf") else f"finite and at least {low:g}"
        raise ValueError(f"Argument `{name}` must be {allowed}, but is {shown(value)}.")


def is_real_number(value: Any) -> bool:
    """Whether value is one real number, also as an array without axes; truth values are none."""
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return value.ndim == 0 and is_real_dtype(value.dtype) and not isinstance(value, np.ma.MaskedArray)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> float | int:
    """Number of Python, which compares with the largest one without becoming a narrower one's infinity."""
    return value.item() if isinstance(value, np.generic | np.ndarray | jax.Array) else value


def truth_values(**given: Any) -> None:
    """Raise ValueError unless every named value is True or False."""
    for name, value in given.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"Argument `{name}` must be True or False, but is {shown(value)}.")


def text(**given: Any) -> None:
    """Raise ValueError unless every named value is a text."""
    for name, value in given.items():
        if not isinstance(value, str):
            raise ValueError(f"Argument `{name}` must be a text, but is {shown(value)}.")


def finite_number(name: str, value: Any) -> None:
    """Raise ValueError unless value is a real number that is neither NaN nor infinite, of either sign."""
    if not is_real_number(value) or not abs(_plain(value)) <= sys.float_info.max:
        raise ValueError(f"Argument `{name}` must be finite, but is {shown(value)}.")


def function(name: str, value: Any, called_with: str, *, optional: bool = False) -> None:
    """Raise ValueError unless value can be called, or is None where that is optional."""
    if not (callable(value) or (optional and value is None)):
        also = " or None" if optional else ""
        raise ValueError(f"Argument `{name}` must be a function {called_with}{also}, but is {shown(value)}.")


def words(name: str, value: Any) -> list[str]:
    """Words of a sequence of words; anything else, one word alone too, raises ValueError."""
    one = isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable)
    found = [] if one else list(value)
    if one or not all(isinstance(word, str) for word in found):
        wrong = value if one else next(word for word in found if not isinstance(word, str))
        raise ValueError(
            f"Argument `{name}` must be a list of texts, but {'is' if one else 'has an item that is'} {shown(wrong)}."
        )
    return found


def at_least_one(**counts: Any) -> None:
    """Raise ValueError unless every named count is an integer of at least 1."""
    for name, value in counts.items():
        integer_between(name, value, 1)


def some_items(**parts: Sized) -> None:
    """Raise ValueError unless every named collection has an item."""
    for name, part in parts.items():
        if len(part) == 0:
            raise ValueError(f"Argument `{name}` must have at least one item, but is empty.")


def one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ValueError, with the nearest allowed word, unless value is one of them."""
    known = sorted(allowed)
    if isinstance(value, str) and value in known:
        return
    near = difflib.get_close_matches(value, known, n=1) if isinstance(value, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"Argument `{name}` must be one of {', '.join(known)}, but is {shown(value)}.{hint}")


def part_of(name: str, value: Any, kind: type, *, optional: bool = False) -> None:
    """Raise ValueError unless value is of a kind of part, or None where that is optional."""
    if not (isinstance(value, kind) or (optional and value is None)):
        allowed = f"of type {kind.__name__}" + (" or None" if optional else "")
        raise ValueError(f"Argument `{name}` must be {allowed}, but is {shown(value)}.")


def regular_expression(name: str, pattern: Any, *, used_as: str = "") -> None:
    """Raise ValueError unless the pattern is a regular expression; `used_as` ends what the error says it must be."""
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(
            f"Argument `{name}` must have regular expressions{used_as}, but {pattern!r} is none: {error}."
        ) from None


def signs(name: str, values: Array) -> Array:
    """Return values; one that is not -1, 0 or +1 raises at once when concrete, at run time under `jit`."""
    rule = f"Argument `{name}` must be -1, 0 or +1 everywhere"
    return enforced(
        values,
        values,
        lambda x: (x == 0) | (abs(x) == 1),
        lambda others: f"{rule}, but has values such as {np.sort(others)[0]:g}.",
        f"{rule}, but has other values.",
    )


def finite(name: str, values: Array) -> Array:
    """Return values; NaN or infinity raises at once when concrete, at run time under `jit`."""
    rule = f"Argument `{name}` must be finite"
    return enforced(
        values,
        values,
        lambda x: (jnp if isinstance(x, jax.Array) else np).isfinite(x),
        lambda others: f"{rule}, but has {others.size} NaN or infinite values.",
        f"{rule}, but has NaN or infinite values.",
    )


def every(name: str, values: Array, *, positive: bool = False) -> None:
    """Raise ValueError unless all elements are finite and at least 0, or above 0; traced ones are not looked at."""
    rule = f"Argument `{name}` must be finite and {'above 0' if positive else 'at least 0'} everywhere"
    checked(
        values,
        values,
        lambda x: np.isfinite(x) & ((x > 0) if positive else (x >= 0)),
        lambda others: f"{rule}, but has values such as {others[0]:g}.",
        lambda traced, _: traced,
    )
