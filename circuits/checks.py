"""Checks of arguments: static mistakes raise at once, run-time values are checked under `jit` too."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def quantity(name: str, *, positive: bool = False, below: float | None = None, default: Any = None) -> Any:
    """Field of a physical quantity: a float array that must be finite and at least 0.

    Args:
        name: Name used in the error.
        positive: Demand a value above 0.
        below: Demand a value below this one.
        default: Default of the field; none when None.

    Returns:
        An equinox field whose converter raises ValueError for concrete values and a run-time error under `jit`.
    """
    converter = _quantity_converter(name, positive, below)
    if default is None:
        return eqx.field(converter=converter)
    return eqx.field(converter=converter, default=default)


def _quantity_converter(name: str, positive: bool, below: float | None) -> Callable[[Any], Any]:
    allowed = "above 0" if positive else "at least 0"
    if below is not None:
        allowed += f" and below {below:g}"

    def wrong(value: Any) -> Any:
        low = value <= 0 if positive else value < 0
        high = False if below is None else value >= below
        # A comparison with NaN is False, hence the test for finiteness.
        return low | high | ~(abs(value) < np.inf)

    def convert(value: Any) -> Any:
        if isinstance(value, jax.core.Tracer):
            return eqx.error_if(value, wrong(value), f"Argument `{name}` must be finite and {allowed}.")
        try:
            array = jnp.asarray(value, float)
        except (TypeError, ValueError):
            raise ValueError(f"Argument `{name}` must be a number, but is {value!r}.") from None
        if np.any(wrong(np.asarray(value, float))):
            raise ValueError(f"Argument `{name}` must be finite and {allowed}, but is {value}.")
        return array

    return convert


def integer_between(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise ValueError unless value is an integer in `low..high`."""
    ok = isinstance(value, int) and not isinstance(value, bool) and value >= low and (high is None or value <= high)
    if not ok:
        allowed = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
        raise ValueError(f"Argument `{name}` must be {allowed}, but is {value!r}.")


def one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ValueError, with the nearest allowed word, unless value is one of them."""
    words = sorted(allowed)
    if value in words:
        return
    near = difflib.get_close_matches(str(value), words, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"Argument `{name}` must be one of {', '.join(words)}, but is {value!r}.{hint}")


def finite(name: str, values: Array) -> Array:
    """Return values; NaN or infinity raises at once when concrete, at run time under `jit`."""
    if isinstance(values, jax.core.Tracer):
        bad = ~jnp.all(jnp.isfinite(values))
        return eqx.error_if(values, bad, f"Argument `{name}` must be finite, but has NaN or infinite values.")
    count = int(np.sum(~np.isfinite(np.asarray(values))))
    if count:
        raise ValueError(f"Argument `{name}` must be finite, but has {count} NaN or infinite values.")
    return values
