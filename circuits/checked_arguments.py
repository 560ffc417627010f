"""The check of what a public method takes: each argument is of the kind that its annotation says."""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import AbstractArray, PRNGKeyArray

from amsim.circuits.checks import finite_number, integer_between, one_key, part_of
from amsim.noise.checks import real

Method = TypeVar("Method", bound=Callable[..., Any])
Check = Callable[[str, Any], object]


def checked_arguments(method: Method) -> Method:
    """The method, which first refuses an argument of another kind than its annotation says.

    Checked are numbers (arrays of floating-point or real ones; NaN and infinity pass, and truth values, which stand for
    0 and 1), counts (`int`, from 1), single finite numbers (`float`), keys and parts. Values are handed on as they are;
    traced numbers are not looked at, so that nothing is added to a compiled program.

    Args:
        method: A function or method, all of whose annotations are types.

    Raises:
        ValueError: When it is called: an argument is of another kind.
    """
    parameters = inspect.signature(method).parameters
    found = {name: _check_of(one.annotation) for name, one in parameters.items()}
    checks = {name: check for name, check in found.items() if check is not None}
    absent = {name for name, one in parameters.items() if type(None) in _kinds(one.annotation)}

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        # Arguments that do not fit the signature are refused by the method itself.
        given = dict(zip(parameters, args, strict=False)) | kwargs
        for name, check in checks.items():
            value = given.get(name)
            if name in given and not (value is None and name in absent):
                check(name, value)
        return method(*args, **kwargs)

    return typing.cast(Method, checked)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def _check_of(annotation: Any) -> Check | None:
    """Check of the values of an annotation; None for words and whatever the method checks itself."""
    if annotation == PRNGKeyArray or set(_kinds(PRNGKeyArray)) <= set(_kinds(annotation)):
        return one_key
    kinds = [one for one in _kinds(annotation) if isinstance(one, type) and one is not type(None)]
    arrays = [one for one in kinds if issubclass(one, AbstractArray)]
    if arrays:
        return _numbers if any("float32" in one.dtypes for one in arrays if isinstance(one.dtypes, tuple)) else None
    if kinds in ([int], [float]):
        return _count if kinds == [int] else _number
    if len(kinds) == 1 and issubclass(kinds[0], eqx.Module):
        return functools.partial(part_of, kind=kinds[0])
    return None


def _numbers(name: str, value: Any) -> None:
    truths = isinstance(value, jax.Array | np.ndarray) and jnp.issubdtype(value.dtype, bool)
    if not (truths or isinstance(value, jax.core.Tracer)):
        real(name, value)


def _number(name: str, value: Any) -> None:
    if not isinstance(value, jax.core.Tracer):
        finite_number(name, value)


def _count(name: str, value: Any) -> None:
    if not isinstance(value, jax.core.Tracer):
        integer_between(name, value, 1)
