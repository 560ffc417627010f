"""Search for one circuit: steps by gradient, a bisection to the limit, and the history of both."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.progress import COMPILING, Progress
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.results.units import with_prefix
from amsim.search.estimate import Estimate, Slopes, at_logs
from amsim.search.parts import WeightTraining
from amsim.search.quantities import LABELS
from amsim.search.steps import Points, step
from amsim.system.accelerator import Accelerator
from amsim.system.settings import continuous_setting
from amsim.training.optimiser import initial_state, update
from amsim.training.parameters import Trainable, trained_leaves

LONGEST_STEP, SHORTEST_STEP = 0.5, 0.03
"""Trust radius of the first and last step, in natural logarithms: a factor of 1.6 and 3 %."""

MARGIN_SHARE = 0.5
"""Width of the smooth accuracy over the median margin of the given network."""

FIRST_SEARCH_STEP, SEARCH_STEPS = 0.1, 5
"""Search along a line at the end: its first step in logarithms, and its number of doublings and of bisections."""


class SearchDivergedError(FloatingPointError):
    """A search met a value that is not finite.

    Attributes:
        accelerator: The last hardware with finite values.
        params: The parameters at that point.
    """

    def __init__(self, message: str, accelerator: Accelerator, params: PyTree) -> None:
        super().__init__(message)
        self.accelerator = accelerator
        self.params = params


@dataclasses.dataclass(frozen=True)
class SearchPoint:
    """Evaluated point of a search: logarithms of its variables, energy (J) and accuracy."""

    logs: np.ndarray
    energy: float
    accuracy: float


class GradientSearch:
    r"""One search: steps along the limit of accuracy, then a bisection to it.

    The accuracy A has no derivative. Its smooth stand-in is `S = mean sigmoid((logit of the label - largest other
    logit) / w)`, differentiated through the chip with the physical rule. Two corrections by measured values keep the
    search on the real limit: the limit of S moves with the gap, `S >= accuracy + (S - A)`, and the slope of S is scaled
    and shifted so that it explains the values of S at the points before (`amsim.search.steps.Points.slope`). Each step
    minimises `g_E d + |d|^2 / (2 STEP)` subject to the limit with these slopes, inside a trust radius that shrinks; its
    Lagrange multiplier is known in closed form.

    Validity: the surrogate's slope is exact behind the last decision only, and an approximation before; settings with
    rounding behind them (ADC range, trim) have the slopes of their straight-through rules.
    """

    def __init__(
        self,
        estimate: Estimate,
        params: PyTree,
        bounds: tuple[np.ndarray, np.ndarray],
        limit: float,
        weights: WeightTraining,
    ) -> None:
        self.estimate, self.params, self.bounds, self.limit = estimate, params, bounds, limit
        start = [float(continuous_setting(estimate.accelerator, "variables", path)) for path in estimate.paths]
        self.logs = np.clip(np.log(np.maximum(start, np.finfo(float).tiny)), *bounds)
        estimate.set_softness(self.logs, params, MARGIN_SHARE)
        self.points = Points(estimate.reads.answers)
        self.seen: list[SearchPoint] = []
        self.rows: list[tuple[np.ndarray, float, float, float, float]] = []
        kinds = {"trained": optax.adam(weights.learning_rate), "kept": optax.set_to_zero()}
        self.optimiser = optax.multi_transform(kinds, self._kinds(params, weights.trainable))
        self.state = initial_state(self.optimiser, _floating(params)) if estimate.trained else None

    def run(self, steps: int, report: Progress) -> None:
        """Take so many steps."""
        report(COMPILING, 0, steps)
        shrink = (SHORTEST_STEP / LONGEST_STEP) ** (1 / max(steps - 1, 1))
        for number in range(steps):
            energy, energy_slope = self.estimate.energy(self.logs, self.params)
            found = self.estimate.slopes(self.logs, self.params)
            self._check_finite(number, energy, energy_slope, found)
            assert found.by_log is not None
            self.points.add(self.logs, found.smooth, found.by_log)
            self.seen.append(SearchPoint(self.logs, energy, found.accuracy))
            missing, radius = self.limit - found.accuracy, LONGEST_STEP * shrink**number
            following, weight = step(self.logs, energy_slope, self.points.slope(), missing, self.bounds, radius)
            self.rows.append((np.exp(self.logs), energy, found.accuracy, found.smooth, weight))
            self._train(found)
            self.logs = following
            report("search", number + 1, steps)

    def finish(self) -> SearchPoint:
        """Bisection to the limit, and the best point of all."""
        if self.estimate.trained:
            # The accuracies seen so far were of other parameters.
            self.seen = []
        self.probe(self.logs)
        return self.reach(self.limit)

    def reach(self, limit: float) -> SearchPoint:
        """Best point for a limit of its own, by a bisection from the best of those seen."""
        best = self._best(limit)
        cheaper = -self.estimate.energy(best.logs, self.params)[1]
        self._bisect(best, cheaper if best.accuracy >= limit else self.points.slope(), limit)
        return self._best(limit)

    @property
    def most_accurate(self) -> SearchPoint:
        """Point of the highest accuracy seen with the parameters as they are now."""
        return max(self.seen, key=lambda point: (point.accuracy, -point.energy))

    @property
    def safest(self) -> SearchPoint:
        """Point of the most energy among those that one standard error of the items does not tell from the best."""
        best = self.most_accurate.accuracy
        error = np.sqrt(best * (1 - best) / self.estimate.reads.items)
        return max((point for point in self.seen if point.accuracy >= best - error), key=lambda point: point.energy)

    def _bisect(self, start: SearchPoint, direction: np.ndarray, limit: float) -> None:
        low, high = self.bounds
        blocked = ((start.logs <= low) & (direction < 0)) | ((start.logs >= high) & (direction > 0))
        direction = np.where(blocked, 0.0, direction)
        length = float(np.linalg.norm(direction))
        if length == 0:
            return
        direction, was = direction / length, start.accuracy >= limit
        inside, outside = 0.0, FIRST_SEARCH_STEP
        for _ in range(SEARCH_STEPS):
            found = self.probe(np.clip(start.logs + outside * direction, low, high))
            if (found.accuracy >= limit) != was:
                break
            inside, outside = outside, 2 * outside
        else:
            return
        for _ in range(SEARCH_STEPS):
            middle = (inside + outside) / 2
            same = (self.probe(np.clip(start.logs + middle * direction, low, high)).accuracy >= limit) == was
            inside, outside = (middle, outside) if same else (inside, middle)

    def probe(self, logs: np.ndarray) -> SearchPoint:
        """Point with these logarithms of its variables, which then counts as seen."""
        found = self.estimate.accuracy(logs, self.params)
        self.seen.append(SearchPoint(logs, self.estimate.energy(logs, self.params)[0], found.accuracy))
        return self.seen[-1]

    def _best(self, limit: float) -> SearchPoint:
        feasible = [point for point in self.seen if point.accuracy >= limit]
        return min(feasible, key=lambda point: point.energy) if feasible else self.most_accurate

    def _train(self, found: Slopes) -> None:
        if not self.estimate.trained:
            return
        floating, fixed = eqx.partition(self.params, eqx.is_inexact_array)
        after, self.state = update(self.optimiser, found.by_params, self.state, floating)
        self.params = getattr(self.estimate.fn, "constrained", lambda params: params)(eqx.combine(after, fixed))

    def _kinds(self, params: PyTree, trainable: Trainable) -> PyTree:
        """Tree of "trained" and "kept" over the floating-point leaves."""
        named = getattr(self.estimate.fn, "trainable", None) if trainable is None else trainable
        mask = eqx.filter(trained_leaves(params, named)[0], jax.tree.map(eqx.is_inexact_array, params))
        return jax.tree.map(lambda chosen: "trained" if chosen else "kept", mask)

    def _check_finite(self, number: int, energy: float, energy_slope: np.ndarray, found: Slopes) -> None:
        values = np.concatenate([[energy, found.smooth], energy_slope, np.asarray(found.by_log)])
        if np.all(np.isfinite(values)):
            self.good = (self.logs, self.params)
            return
        logs, params = getattr(self, "good", (self.logs, self.params))
        accelerator = at_logs(self.estimate.accelerator, self.estimate.paths, jnp.asarray(logs, float))
        raise SearchDivergedError(
            f"A value is not finite at step {number + 1} (energy {with_prefix(float(energy), 'J')}, smooth accuracy "
            f"{found.smooth:g}); the last finite circuit is in this error.",
            accelerator,
            params,
        )

    def history(self, key: PRNGKeyArray) -> xr.Dataset:
        """Dataset over `step` of the settings, energy, accuracies and multiplier."""
        values, energy, accuracy, smooth, weight = (np.array(column) for column in zip(*self.rows, strict=True))
        return labelled(
            {
                "setting_value": (("step", "setting"), values),
                "energy": (("step",), energy),
                "accuracy": (("step",), accuracy),
                "smooth_accuracy": (("step",), smooth),
                "multiplier": (("step",), weight),
            },
            {"step": np.arange(len(self.rows)), "setting": list(self.estimate.paths)},
            {
                "limit": self.limit,
                "items": self.estimate.reads.items,
                "dies": len(self.estimate.reads.keys),
                "components": list(self.estimate.components),
                "softness": self.estimate.softness,
                "evaluations": self.estimate.evaluations,
                **provenance(key=key, accelerator=self.estimate.accelerator),
            },
            labels=LABELS,
        )


def _floating(params: PyTree) -> PyTree:
    return eqx.filter(params, eqx.is_inexact_array)
