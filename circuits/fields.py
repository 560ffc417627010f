"""Fields of parts: the unit, symbol and name of each quantity, and the values that it may take, in one place."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amsim.circuits.checks import enforced
from amsim.circuits.units import check_unit
from amsim.noise.checks import floating, real, stored, wrong_number

if TYPE_CHECKING:
    # Fields convert numbers to arrays, which type checkers do not follow.
    Quantity = Any
else:
    Quantity = Float[Array, ""]
"""Field of a physical quantity: a scalar float array, given as any real number."""

_LABEL = "label"


@dataclasses.dataclass(frozen=True)
class FieldLabel:
    """Unit and names of a field of a part, from which settings, study files and the reference take them.

    Attributes:
        unit: SI unit without prefix, as in `amsim.circuits.units`; "1" for a dimensionless quantity.
        symbol: Symbol in equations, such as "sigma_n", or None.
        long_name: Words for axes, or None where those of the field's name say enough.
        positive: Whether a quantity has to be above 0, or may be 0.
        at_most: Largest value of a quantity; None is any.
    """

    unit: str
    symbol: str | None = None
    long_name: str | None = None
    positive: bool = False
    at_most: float | None = None

    def __post_init__(self) -> None:
        check_unit(self.unit)


def field_label(part: Any, name: str) -> FieldLabel | None:
    """Label of a field of a part or of its class; None where it was declared without one."""
    fields = {field.name: field for field in dataclasses.fields(part)}
    return fields[name].metadata.get(_LABEL)


def physical(*, unit: str, symbol: str | None = None, long_name: str | None = None, **options: Any) -> Any:
    """Field with a unit of any other form than one number, such as an array.

    Args:
        unit: As in `FieldLabel`.
        symbol: As in `FieldLabel`.
        long_name: As in `FieldLabel`.
        options: Of `equinox.field`.

    Returns:
        An equinox field.

    Raises:
        ValueError: The unit is not one of `amsim.circuits.units`.
    """
    return eqx.field(metadata={_LABEL: FieldLabel(unit, symbol, long_name)}, **options)


def optional_array(name: str) -> Callable[[Any], Any]:
    """Converter of a field that is None or an array of real numbers, which an error calls by its name."""
    return lambda values: None if values is None else floating(name, values)


def count(*, default: int | None, unit: str = "1", symbol: str | None = None, long_name: str | None = None) -> Any:
    """Field of a static count; a number of NumPy, as in a swept array, becomes a plain one.

    Args:
        default: Default of the field; None where the part then finds the count itself.
        unit: As in `FieldLabel`; "bit" for a word length.
        symbol: As in `FieldLabel`.
        long_name: As in `FieldLabel`.

    Returns:
        An equinox field.

    Raises:
        ValueError: The unit is not one of `amsim.circuits.units`.
    """
    return physical(
        unit=unit, symbol=symbol, long_name=long_name, static=True, converter=_plain_number, default=default
    )


def _plain_number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def quantity(
    name: str,
    *,
    unit: str,
    symbol: str | None = None,
    long_name: str | None = None,
    positive: bool = False,
    at_most: float | None = None,
    default: Any = None,
    optional: bool = False,
) -> Any:
    """Field of a physical quantity: a scalar float array that must be finite and at least 0.

    Args:
        name: Name used in the error.
        unit: SI unit without prefix, such as "V" or "J/bit"; "1" for a dimensionless quantity.
        symbol: Symbol in equations, such as "sigma_n".
        long_name: Words for axes, where those of the field's name do not say enough.
        positive: Demand a value above 0.
        at_most: Demand a value not above this one.
        default: Default of the field; none when None.
        optional: Whether the field may be None, which then is its default: the effect is off and costs nothing.

    Returns:
        An equinox field whose converter raises ValueError for concrete values and a run-time error under `jit`.

    Raises:
        ValueError: The unit is not one of `amsim.circuits.units`.
    """
    label = FieldLabel(unit, symbol, long_name, positive, at_most)
    field = functools.partial(eqx.field, metadata={_LABEL: label})
    converter = _quantity_converter(name, positive, at_most)
    if optional:
        return field(converter=lambda value: None if value is None else converter(value), default=None)
    if default is None:
        return field(converter=converter)
    return field(converter=converter, default=default)


def _quantity_converter(name: str, positive: bool, at_most: float | None) -> Callable[[Any], Any]:
    allowed = "above 0" if positive else "at least 0"
    if at_most is not None:
        allowed += f" and at most {at_most:g}"

    def inside(value: Any) -> Any:
        above = value > 0 if positive else value >= 0
        return above & (abs(value) < np.inf if at_most is None else value <= at_most)

    def convert(value: Any) -> Any:
        given = real(name, value)
        with np.errstate(over="ignore", under="ignore"):
            traced = isinstance(given, jax.core.Tracer) and jnp.issubdtype(given.dtype, jnp.floating)
            array = given if traced else jnp.asarray(given, float)
        if array.shape != ():
            raise ValueError(f"Argument `{name}` must be a single number, but has shape {array.shape}; use jax.vmap.")
        rule = f"Argument `{name}` must be finite and {allowed}"
        # As it is stored, but not the array itself, which `jit` traces.
        held = stored(given, array.dtype)
        return enforced(array, held, inside, lambda wrong: f"{rule}, but {wrong_number(value, wrong)}.", f"{rule}.")

    return convert
