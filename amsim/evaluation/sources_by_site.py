"""Which site of a network suffers from which error of its circuit."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.checks import at_least_one, one_of, some_items
from amsim.datasets.load import Split
from amsim.deployment.chip import check_key
from amsim.deployment.front_door import deploy
from amsim.evaluation.fixed_reads import FixedReads, Reading
from amsim.results.labelled import described, key_words, labelled, versions
from amsim.search.circuit import one_macro_a_site
from amsim.system.accelerator import Accelerator
from amsim.system.cost import evaluate as system_cost

SOURCES = ("mismatch", "sampled", "comparator", "offset", "supply", "quantisation")
"""Capacitor mismatch, thermal noise of the line, comparator noise and offset, supply noise, steps of the ADC."""

SCALED = SOURCES[:-1]
"""Those with a size that can be scaled; the ADC has its steps or the finest ones."""

WIDTH = 0.5
"""Relative change of a variance on either side for a slope."""


def sensitivity(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    *,
    key: PRNGKeyArray,
    sources: Sequence[str] = SOURCES,
    dies: int = 4,
    batch: int = 250,
) -> xr.Dataset:
    r"""Measure what each source of error at each site does to the loss, and how the loss moves with its variance.

    Each site gets a macro of its own (`one_macro_a_site`) whose errors are multiplied by scales `s`, one for each site
    and source, traced, so that one compiled function `L(s)` serves all: the mean cross-entropy over fixed dies, reads
    and data (common random numbers). With v the variance of a source, in units of its own,

    - `loss_increase = L(one scale 1, others 0) - L(0)`: the source alone, on circuits that are ideal otherwise;
    - `loss_slope_alone = v dL/dv` there: to second order in the error, where `L = L(0) + v tr(H) / 2`, it equals the
      increase; for decisions, whose flips grow like the standard deviation, it is about half of it, and less where the
      noise is smaller than the distance to the threshold forgives;
    - `loss_slope = v dL/dv` with all sources on: what a relative change of this variance does to this hardware.

    Slopes are central differences over `WIDTH` of the variance, not derivatives through the chip: where the other
    noise is off, the physical rule has none, and through several layers of decisions its sign cannot be relied on.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules. Switched-capacitor arrays have the sources; others have none.
        data: Labelled inputs.
        key: Draws dies and reads.
        sources: Some of `SOURCES`.
        dies: Dies, each with one read.
        batch: Items computed at once.

    Returns:
        Dataset over (site, source): `loss_increase` and its standard error over dies `loss_increase_error`,
        `loss_slope_alone`, `loss_slope`, `accuracy_loss`; over site `energy` (J an inference) and over both
        `loss_slope_by_energy`, the slope over the site's share of the energy. NaN where a source has no slope
        (quantisation), 0 where a site does not have it.

    Raises:
        ValueError: No data, an unknown source, a count below 1, or no site on a switched-capacitor array.

    Validity: effects that are the same on every die (settling, droop, gradients) are in all of `L`, and temperature,
    by which thermal noise is scaled, moves leakage too where the array has it.
    """
    given = _checked(fn, params, hardware, data, key, sources, dies, batch)
    sites = [row.name for row in deploy(fn, params, given).sites(data.inputs[:1]) if row.on_macro]
    study = _Study(fn, params, given, FixedReads.of(data, batch, key, dies), len(sites))
    ideal, on = study.ideal, study.losses(given, study.all_on)
    found = {name: np.full((len(sites), len(sources)), np.nan) for name in _MEASURES}
    for site, column in np.ndindex(len(sites), len(sources)):
        for name, value in study.of_source(site, sources[column]).items():
            found[name][site, column] = value
    energy = _site_energy(fn, params, given, data.inputs[:16])
    share = energy / energy.sum()
    return labelled(
        {name: (("site", "source"), values) for name, values in found.items()}
        | {
            "energy": (("site",), energy),
            "loss_slope_by_energy": (("site", "source"), found["loss_slope"] / share[:, None]),
        },
        {"site": sites, "source": list(sources)},
        {
            "loss_ideal": float(ideal.loss.mean()),
            "loss": float(on.loss.mean()),
            "accuracy_ideal": float(ideal.accuracy.mean()),
            "accuracy": float(on.accuracy.mean()),
            "items": len(data),
            "dies": dies,
            "key": key_words(key),
            "accelerator": described(given),
            **versions(),
        },
    )


_MEASURES = ("loss_increase", "loss_increase_error", "loss_slope_alone", "loss_slope", "accuracy_loss")


def _checked(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    key: PRNGKeyArray,
    sources: Sequence[str],
    dies: int,
    batch: int,
) -> Accelerator:
    """The hardware with a macro for each site, once the arguments of `sensitivity` are checked."""
    some_items(data=data)
    at_least_one(dies=dies, batch=batch)
    for source in sources:
        one_of("sources", source, SOURCES)
    check_key("key", key)
    given = one_macro_a_site(fn, params, hardware, data.inputs[:1])
    if not any(isinstance(macro, CapacitorArray) for macro in given.macros):
        raise ValueError("Argument `hardware` must have a switched-capacitor array at a site, but has none.")
    return given


@dataclasses.dataclass(frozen=True)
class _Losses:
    """Loss and accuracy of each die."""

    loss: np.ndarray
    accuracy: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Study:
    """Losses of one network on hardware whose sources of error have sizes of their own.

    Attributes:
        fn: The network.
        params: Its parameters.
        given: The hardware, one macro for each site.
        reads: Dies, reads and data, the same for all sizes.
        sites: Number of sites.
    """

    fn: Callable[..., Any]
    params: PyTree
    given: Accelerator
    reads: FixedReads
    sites: int

    @functools.cached_property
    def fine(self) -> Accelerator:
        """The hardware with converters that resolve every count."""
        return _with_finest_steps(self.given, range(self.sites))

    @functools.cached_property
    def ideal(self) -> _Losses:
        """Without any source."""
        return self.losses(self.fine, self.all_off)

    @property
    def all_off(self) -> np.ndarray:
        """Scales, shape (sites, sources), at 0."""
        return np.zeros((self.sites, len(SCALED)))

    @property
    def all_on(self) -> np.ndarray:
        """Scales, shape (sites, sources), at 1."""
        return np.ones((self.sites, len(SCALED)))

    def of_source(self, site: int, source: str) -> dict[str, Any]:
        """The measures of one source at one site, but for slopes that it does not have."""
        slopes = {}
        if source in SCALED:
            place = (site, SCALED.index(source))
            alone = self.losses(self.fine, _at(self.all_off, place, 1.0))
            slopes = {
                "loss_slope_alone": self.slope(self.fine, self.all_off, place),
                "loss_slope": self.slope(self.given, self.all_on, place),
            }
        else:
            others = [other for other in range(self.sites) if other != site]
            alone = self.losses(_with_finest_steps(self.given, others), self.all_off)
        increase = alone.loss - self.ideal.loss
        return slopes | {
            "loss_increase": increase.mean(),
            "loss_increase_error": _standard_error(increase),
            "accuracy_loss": (self.ideal.accuracy - alone.accuracy).mean(),
        }

    def losses(self, accelerator: Accelerator, scales: np.ndarray) -> _Losses:
        """Loss and accuracy on this hardware with errors scaled."""
        sizes, dies = jnp.asarray(scales, float), len(self.reads.keys)
        loss, right = np.zeros(dies), np.zeros(dies)
        for die in range(dies):
            for reading in self.reads.of_die(die):
                found = _loss(self.fn, self.params, accelerator, sizes, reading)
                loss[die] += float(found[0]) / self.reads.items
                right[die] += float(found[1]) / self.reads.items
        return _Losses(loss, right)

    def slope(self, accelerator: Accelerator, scales: np.ndarray, place: tuple[int, int]) -> float:
        """`v dL/dv` of one source's variance at its own size, by a central difference."""
        more, less = (
            self.losses(accelerator, _at(scales, place, np.sqrt(1 + sign * WIDTH))).loss.mean() for sign in (1, -1)
        )
        return float(more - less) / (2 * WIDTH)


def _at(scales: np.ndarray, place: tuple[int, int], scale: float) -> np.ndarray:
    changed = scales.copy()
    changed[place] = scale
    return changed


def _with_finest_steps(accelerator: Accelerator, sites: Sequence[int]) -> Accelerator:
    """Converters of these sites that resolve every count."""
    macros: list[Any] = list(accelerator.macros)
    for site in sites:
        if isinstance(macros[site], CapacitorArray):
            macros[site] = dataclasses.replace(macros[site], adc=macros[site].ideal().adc)
    return dataclasses.replace(accelerator, macros=tuple(macros))


def _scaled(macro: Any, scales: Float[Array, " sources"]) -> Any:
    """The macro with the standard deviation of each source multiplied."""
    if not isinstance(macro, CapacitorArray):
        return macro
    mismatch, sampled, noise, offset, supply = jnp.unstack(scales)
    comparator = macro.comparator
    assert comparator is not None
    comparator = eqx.tree_at(
        lambda one: (one.noise, one.offset_sigma),
        comparator,
        (comparator.noise * noise, comparator.offset_sigma * offset),
    )
    changed = eqx.tree_at(
        lambda one: (one.mismatch_coefficient, one.temperature, one.comparator),
        macro,
        (macro.mismatch_coefficient * mismatch, macro.temperature * sampled**2, comparator),
    )
    if macro.supply_noise is None:
        return changed
    return eqx.tree_at(lambda one: one.supply_noise, changed, macro.supply_noise * supply)


@eqx.filter_jit
def _loss(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    scales: Float[Array, "sites sources"],
    reading: Reading,
) -> tuple[Array, Array]:
    macros = tuple(_scaled(macro, scales[site]) for site, macro in enumerate(accelerator.macros))
    logits = reading.logits(fn, params, eqx.tree_at(lambda one: one.macros, accelerator, macros))
    return reading.cross_entropy(logits), jnp.sum(reading.right(logits))


def _site_energy(fn: Callable[..., Any], params: PyTree, accelerator: Accelerator, inputs: Any) -> np.ndarray:
    chip = deploy(fn, params, accelerator)
    energy = np.asarray(system_cost(accelerator, chip.workload(inputs).layers).energy, float).sum(axis=1)
    # With a rate, the last row is the time between inferences.
    return energy[: len(accelerator.macros)]


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
