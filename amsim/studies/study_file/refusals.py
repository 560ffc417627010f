"""Refusals of several values, tried one by one so that every wrong one is named."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Build = Callable[[Mapping[str, Any]], Any]
"""Builds something from values by name, or raises ValueError."""

Refused = dict[tuple[str, ...], str]
"""Reason by the names that lead to a value; no name where the values are refused in combination."""


class RefusedValuesError(ValueError):
    """Values are refused; `refused` has the reason of each."""

    def __init__(self, refused: Refused) -> None:
        """Keep the reason of each value."""
        super().__init__(" ".join(refused.values()))
        self.refused = refused


def all_refusals(build: Build, values: Mapping[str, Any], required: Iterable[str] = ()) -> Any:
    """Object built from values, which are tried one by one where they are refused in combination.

    Args:
        build: Builds it from values by name, some of which may be left out.
        values: All of them.
        required: Names that may not be left out.

    Raises:
        RefusedValuesError: Every value that is not allowed; if each is allowed alone, the reason of the combination.
    """
    try:
        return build(values)
    except ValueError:
        raise RefusedValuesError(refused_alone(build, values, required) or refusals(build, values)) from None


def refused_alone(build: Build, values: Mapping[str, Any], required: Iterable[str] = ()) -> Refused:
    """Reasons of values that are refused on their own and beside those that are not."""
    always = {name: values[name] for name in required}
    if common := refusals(build, always):
        return common
    alone = {name: refusals(build, always | {name: value}) for name, value in values.items()}
    good = {name: value for name, value in values.items() if not alone[name]}
    found: Refused = {}
    for name, refused in alone.items():
        if refused == refusals(build, always | good | {name: values[name]}):
            found |= {(name, *place) if place[:1] != (name,) else place: text for place, text in refused.items()}
    return found


def refusals(build: Build, values: Mapping[str, Any]) -> Refused:
    """Reasons for which building from values fails."""
    try:
        build(values)
    except RefusedValuesError as error:
        return error.refused
    except ValueError as error:
        return {(): str(error)}
    return {}
