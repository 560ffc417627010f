"""Sensitivity of each site of a network to each source of error of its circuit."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, one_key, one_of, words
from amsim.circuits.contract.error_sources import PlacedSource, with_scaled_sources, without_sources
from amsim.datasets.check import LabelledData, class_items
from amsim.datasets.inputs import first_arguments
from amsim.datasets.split import Split
from amsim.deployment.compilation import compiled
from amsim.deployment.front_door import deploy
from amsim.deployment.per_site import one_macro_per_site
from amsim.evaluation.fixed_reads import FixedReads, Reading
from amsim.evaluation.quantities import LABELS
from amsim.progress import COMPILING, Progress, check_progress, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.settings import literal_name

WIDTH = 0.5
"""Relative change of a variance on either side for a slope."""

At = tuple[int, str]
"""A source of error at a site: the site's number and the source's name."""


def sensitivity(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: LabelledData,
    *,
    key: PRNGKeyArray,
    sources: Sequence[str] | None = None,
    dies: int = 4,
    batch: int = 250,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    r"""Measure what each source of error at each site does to the loss, and how the loss moves with its variance.

    Each site, or layer with all its uses, gets a macro of its own (`one_macro_per_site`) whose sources of error, as its
    parts declare them (`amsim.circuits.ErrorSource`), are multiplied by scales `s`, one for each site and source,
    traced, so that one compiled function `L(s)` serves all: the mean cross-entropy over fixed dies, reads and data
    (common random numbers).
    With v the variance of a source, in units of its own,

    - `loss_increase = L(this one on, others off) - L(all off)`: the source alone, on circuits that are ideal otherwise.
      Without its steps a converter is an ideal one, so that its other errors are measured with the steps, against the
      steps alone;
    - `loss_slope_alone = v dL/dv` there: to second order in the error, where `L = L(0) + v tr(H) / 2`, it equals the
      increase; for decisions, whose flips grow like the standard deviation, it is about half of it, and less where the
      noise is smaller than the distance to the threshold forgives;
    - `loss_slope = v dL/dv` with all sources on: what a relative change of this variance does to this hardware.

    Slopes are central differences over `WIDTH` of the variance, not derivatives through the chip: where the other
    noise is off, the physical rule has none, and through several layers of decisions its sign cannot be relied on.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Labelled inputs: a `Split` or a tuple (inputs, labels), as in `amsim.evaluate`.
        key: Draws dies and reads.
        sources: Names of sources that the hardware at some site declares; None takes all that are on.
        dies: Dies, each with one read.
        batch: Items computed at once; bounds the memory and changes nothing else, as in `amsim.evaluate`.
        progress: True shows a bar with the time left; a function is called with (phase, pairs done, pairs), where pairs
            are of site and source.

    Returns:
        Dataset over (site, source): `loss_increase` and its standard error over dies `loss_increase_error`,
        `loss_slope_alone`, `loss_slope`, `accuracy_loss`; over site `energy` (J per inference) and over both
        `loss_slope_by_energy`, the slope over the site's share of the energy. NaN where a source has no size and so no
        slope (quantisation, kickback), 0 where a site does not have it.

    Raises:
        ValueError: No data or others than `amsim.evaluate` takes, an unknown source, a count below 1, or no site on
            hardware with a source that is on.

    Validity: a part that is off as a whole (drivers, reset switch, leakage) takes what it does on every die, such as
    settling and droop, along; slopes are those of its random error. Leakage stays as it is while thermal noise is
    scaled, as in `Macro.with_error_scale` and `amsim.switched_sources`.
    """
    check_progress(progress)
    data = class_items("data", data)
    given, names = _checked(fn, params, hardware, data, key, sources, dies, batch)
    sites = [literal_name(pattern) for pattern in given.patterns]
    study = _Study(fn, params, given, FixedReads.of(data, batch, key, dies))
    found = {name: np.full((len(sites), len(names)), np.nan) for name in _MEASURES}
    pairs = list(np.ndindex(len(sites), len(names)))
    with reporting(progress) as report:
        report(COMPILING, 0, len(pairs))
        ideal, on = study.losses(frozenset()), study.losses(study.all_on)
        for number, (site, column) in enumerate(pairs):
            report(f"{names[column]} at {sites[site]}", number, len(pairs))
            for name, value in study.of_source(site, names[column]).items():
                found[name][site, column] = value
        report("sources", len(pairs), len(pairs))
    energy = _site_energy(fn, params, given, first_arguments(data.inputs, 16))
    share = energy / energy.sum()
    return labelled(
        {name: (("site", "source"), values) for name, values in found.items()}
        | {
            "energy": (("site",), energy),
            "loss_slope_by_energy": (("site", "source"), found["loss_slope"] / share[:, None]),
        },
        {"site": sites, "source": names},
        {
            "loss_ideal": float(ideal.loss.mean()),
            "loss": float(on.loss.mean()),
            "accuracy_ideal": float(ideal.accuracy.mean()),
            "accuracy": float(on.accuracy.mean()),
            "items": len(data),
            "dies": dies,
            "remarks": "\n".join(given.remarks),
            **provenance(key=key, accelerator=given),
        },
        labels=LABELS,
    )


_MEASURES = ("loss_increase", "loss_increase_error", "loss_slope_alone", "loss_slope", "accuracy_loss")


def _checked(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    key: PRNGKeyArray,
    sources: Sequence[str] | None,
    dies: int,
    batch: int,
) -> tuple[Accelerator, list[str]]:
    """The hardware with a macro for each site, and the sources, once the arguments of `sensitivity` are checked."""
    at_least_one(dies=dies, batch=batch)
    one_key("key", key)
    chosen = None if sources is None else words("sources", sources)
    given = one_macro_per_site(fn, params, hardware, *first_arguments(data.inputs, 1))
    placed = [one for macro in given.macros for one in macro.all_error_sources()]
    declared = list(dict.fromkeys(one.source.name for one in placed))
    on = {one.source.name for one in placed if one.switches}
    if not on:
        raise ValueError("Argument `hardware` must have a source of error that is on at a site, but has none.")
    for source in chosen or ():
        one_of("sources", source, declared)
    return given, [name for name in declared if name in on] if chosen is None else chosen


@dataclasses.dataclass(frozen=True)
class _Losses:
    """Loss and accuracy of each die."""

    loss: np.ndarray
    accuracy: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Study:
    """Losses of one network on hardware whose sources of error are on or off, and have sizes of their own.

    Attributes:
        fn: The network.
        params: Its parameters.
        given: The hardware, one macro for each site.
        reads: Dies, reads and data, the same for all sizes.
    """

    fn: Callable[..., Any]
    params: PyTree
    given: Accelerator
    reads: FixedReads

    @functools.cached_property
    def sources(self) -> list[dict[str, list[PlacedSource]]]:
        """Sources that are on at each site, by name."""
        found: list[dict[str, list[PlacedSource]]] = []
        for macro in self.given.macros:
            of_site: dict[str, list[PlacedSource]] = {}
            for one in macro.all_error_sources():
                if one.switches:
                    of_site.setdefault(one.source.name, []).append(one)
            found.append(of_site)
        return found

    @functools.cached_property
    def scalable(self) -> tuple[str, ...]:
        """Names of the sources that have a size."""
        placed = [one for macro in self.given.macros for one in macro.all_error_sources()]
        return tuple(dict.fromkeys(one.source.name for one in placed if one.source.scalable))

    @property
    def all_on(self) -> frozenset[At]:
        """Every source at every site."""
        return frozenset((site, name) for site, names in enumerate(self.sources) for name in names)

    def of_source(self, site: int, name: str) -> dict[str, Any]:
        """The measures of one source at one site, but for slopes that it does not have."""
        slopes = {} if name not in self.scalable else {"loss_slope_alone": 0.0, "loss_slope": 0.0}
        base = alone = frozenset((site, other) for other in self._around(site, name))
        if name in self.sources[site]:
            alone = base | {(site, name)}
            if name in self.scalable:
                slopes = {
                    "loss_slope_alone": self._slope(alone, (site, name)),
                    "loss_slope": self._slope(self.all_on, (site, name)),
                }
        without, found = self.losses(base), self.losses(alone)
        increase = found.loss - without.loss
        return slopes | {
            "loss_increase": increase.mean(),
            "loss_increase_error": _standard_error(increase),
            "accuracy_loss": (without.accuracy - found.accuracy).mean(),
        }

    def losses(self, on: frozenset[At], sizes: Mapping[At, float] | None = None) -> _Losses:
        """Loss and accuracy with these sources on, at their own size where no other is given."""
        if sizes is None and on in self._known:
            return self._known[on]
        accelerator, scales, dies = self._with(on), self._scales(on, sizes or {}), len(self.reads.keys)
        loss, right = np.zeros(dies), np.zeros(dies)
        for die in range(dies):
            for reading in self.reads.of_die(die):
                found = _loss(self.fn, self.params, accelerator, self.scalable, scales, reading)
                loss[die] += float(found[0]) / self.reads.items
                right[die] += float(found[1]) / self.reads.items
        losses = _Losses(loss, right)
        if sizes is None:
            self._known[on] = losses
        return losses

    @functools.cached_property
    def _known(self) -> dict[frozenset[At], _Losses]:
        """Losses at own sizes that were computed before."""
        return {}

    def _slope(self, on: frozenset[At], at: At) -> float:
        """`v dL/dv` of one source's variance at its own size, by a central difference."""
        more, less = (self.losses(on, {at: np.sqrt(1 + sign * WIDTH)}).loss.mean() for sign in (1, -1))
        return float(more - less) / (2 * WIDTH)

    def _around(self, site: int, name: str) -> list[str]:
        """Sources without which this one could not be: those that are off with the part in which it is."""
        inside = self.sources[site].get(name, [])
        return [
            other
            for other, placed in self.sources[site].items()
            if other != name and any(self._removes(one, part) for one in placed for part in inside)
        ]

    @staticmethod
    def _removes(outer: PlacedSource, inner: PlacedSource) -> bool:
        """Whether a source is off by another part, or none, in place of that in which the other source is."""
        return not outer.source.vanishes and any(inner.is_inside(place) for place in outer.switches)

    def _with(self, on: frozenset[At]) -> Accelerator:
        """The hardware without the parts whose sources are off; what a scale of 0 takes away stays."""
        macros = []
        for site, macro in enumerate(self.given.macros):
            off = {
                name
                for name, placed in self.sources[site].items()
                if (site, name) not in on and not all(one.source.vanishes for one in placed)
            }
            macros.append(without_sources(macro, off))
        return dataclasses.replace(self.given, macros=tuple(macros))

    def _scales(self, on: frozenset[At], sizes: Mapping[At, float]) -> Float[Array, "sites sources"]:
        """Scale of each source at each site."""
        table = [
            [sizes.get((site, name), float((site, name) in on)) for name in self.scalable]
            for site in range(len(self.given.macros))
        ]
        return jnp.asarray(table, float)


@compiled(lambda fn, *_: fn)
def _loss(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    names: tuple[str, ...],
    scales: Float[Array, "sites sources"],
    reading: Reading,
) -> tuple[Array, Array]:
    macros = tuple(
        with_scaled_sources(macro, dict(zip(names, jnp.unstack(of_site), strict=True)))
        for macro, of_site in zip(accelerator.macros, scales, strict=True)
    )
    logits = reading.logits(fn, params, eqx.tree_at(lambda one: one.macros, accelerator, macros))
    return reading.cross_entropy(logits), jnp.sum(reading.right(logits))


def _site_energy(fn: Callable[..., Any], params: PyTree, accelerator: Accelerator, inputs: Any) -> np.ndarray:
    layers = deploy(fn, params, accelerator).workload(*inputs).layers
    of_layers = np.asarray(system_cost(accelerator, layers).energy, float).sum(axis=1)
    energy = np.zeros(len(accelerator.macros))
    # With a rate, a last row is the time between inferences.
    for layer, joules in zip(layers, of_layers, strict=False):
        index = accelerator.macro_for(layer.name)
        assert index is not None
        energy[index] += joules
    return energy


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
