"""What one site reports of its runs, and how the reports of several runs become one."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class SiteObservation(eqx.Module):
    """Values observed at one site, by name; the field a value stands in says how it is reduced over runs.

    Attributes:
        means: Averages over one run; added up here, to be divided by `runs`.
        counts: Whole numbers of values seen, added up.
        lowest: Smallest values.
        highest: Largest values.
        runs: Products that these are of, shape ().
    """

    means: dict[str, Array] = eqx.field(default_factory=dict)
    counts: dict[str, Array] = eqx.field(default_factory=dict)
    lowest: dict[str, Array] = eqx.field(default_factory=dict)
    highest: dict[str, Array] = eqx.field(default_factory=dict)
    runs: Array = eqx.field(kw_only=True)

    def merge(self, other: "SiteObservation") -> "SiteObservation":
        """Observation of the runs of both; the values are those of the same names."""
        return _reduced(lambda kind, one, more: kind.of_two(one, more), self, other)

    def over_turns(self) -> "SiteObservation":
        """One observation of all turns of a loop, which lie along a leading axis."""
        return _reduced(lambda kind, each: kind.over_turns(each), self)

    def of_no_run(self) -> "SiteObservation":
        """An observation that changes none that it is merged with; only shapes and types of this one are used."""
        return _reduced(lambda kind, one: jnp.full(one.shape, kind.start, one.dtype), self)

    def of_active(self, share: Callable[[Any], Array]) -> "SiteObservation":
        """Observation of a run that only a share of the members of a batch still takes, as the share in a type.

        Counts are of values seen, whoever still runs, and stay as they are.
        """
        return _reduced(lambda kind, one: one * share(one.dtype) if kind.averaged else one, self)

    def of_part(self, share: float) -> "SiteObservation":
        """The same as observation of one part of a sample, in NumPy's 64 bits, which hold any number of parts.

        Args:
            share: Items of this part over all items, 1.
        """

        def weighted(kind: _Kind, one: Any) -> Any:
            if kind.averaged:
                return np.asarray(one, np.float64) * share
            return np.asarray(one, np.int64) if kind is _COUNTS else one

        return _reduced(weighted, self)

    def averages(self) -> dict[str, Array]:
        """The means of one run; 0 at a site that did not run."""
        return {name: total / jnp.maximum(self.runs, 1.0) for name, total in self.means.items()}


class _Kind(NamedTuple):
    """How values of one kind are reduced.

    Attributes:
        of_two: Those of two runs become one.
        over_turns: Those of turns along a leading axis become one.
        start: What changes nothing that it is reduced with.
        averaged: Whether they weigh as much as the runs that they are of.
    """

    of_two: Callable[[Any, Any], Any]
    over_turns: Callable[[Any], Any]
    start: float
    averaged: bool = False


def _total(each: Any) -> Any:
    return jnp.sum(each, axis=0)


_MEANS = _Kind(operator.add, _total, 0, averaged=True)
_COUNTS = _Kind(operator.add, _total, 0)
_LOWEST = _Kind(jnp.minimum, lambda each: jnp.min(each, axis=0, initial=jnp.inf), jnp.inf)
_HIGHEST = _Kind(jnp.maximum, lambda each: jnp.max(each, axis=0, initial=-jnp.inf), -jnp.inf)
_KINDS = {"means": _MEANS, "counts": _COUNTS, "lowest": _LOWEST, "highest": _HIGHEST, "runs": _MEANS}


def _reduced(function: Callable[..., Any], *observations: SiteObservation) -> SiteObservation:
    """Observation of a function of the kind of each value and of the values of that name."""

    def reduce(path: Any, *values: Any) -> Any:
        return function(_KINDS[path[0].name], *values)

    return jax.tree_util.tree_map_with_path(reduce, *observations)
