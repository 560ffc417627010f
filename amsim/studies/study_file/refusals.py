"""Values that are refused together, tried one by one so that each that is wrong is named."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Build = Callable[[Mapping[str, Any]], Any]
"""Makes something of values by name, or raises ValueError."""

Refused = dict[tuple[str, ...], str]
"""Why, by the names that lead to a value; no name where it is one of several values together."""


class RefusedValuesError(ValueError):
    """Values are refused; `refused` says which and why."""

    def __init__(self, refused: Refused) -> None:
        """Keep what is said of each value."""
        super().__init__(" ".join(refused.values()))
        self.refused = refused


def all_refusals(build: Build, values: Mapping[str, Any], needed: Iterable[str] = ()) -> Any:
    """What is built from values, which are tried one by one where they are refused together.

    Args:
        build: Makes something of values by name, some of which may be left out.
        values: All of them.
        needed: Names that may not be left out.

    Raises:
        RefusedValuesError: Each value that is not allowed; if all are alone, why they are not together.
    """
    try:
        return build(values)
    except ValueError:
        raise RefusedValuesError(refused_alone(build, values, needed) or refusals(build, values)) from None


def refused_alone(build: Build, values: Mapping[str, Any], needed: Iterable[str] = ()) -> Refused:
    """Why values are refused, of those that are so on their own and beside the ones that are not."""
    always = {name: values[name] for name in needed}
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
    """What building from values refuses."""
    try:
        build(values)
    except RefusedValuesError as error:
        return error.refused
    except ValueError as error:
        return {(): str(error)}
    return {}
