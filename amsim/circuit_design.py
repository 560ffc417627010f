"""Circuit design by gradient: settings of the hardware that need the least energy at an accuracy."""

import dataclasses
import importlib.metadata
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.design_estimate import Estimate, Slopes, at_logs, fixed_keys
from amsim.design_steps import Points, step
from amsim.accelerator import COMPONENTS, Accelerator
from amsim.circuits.checks import integer_between, one_of
from amsim.datasets import Split
from amsim.deployment.chip import check_key, deploy
from amsim.evaluation import batched, evaluate
from amsim.results import described, labelled
from amsim.settings import continuous_setting, continuous_settings

Variables = Mapping[str, tuple[float, float]]
Progress = Callable[[int, int], None]

LONGEST_STEP, SHORTEST_STEP = 0.5, 0.03
"""Trust radius of the first and last step, in natural logarithms: a factor of 1.6 and 3 %."""

MARGIN_SHARE = 0.5
"""Width of the smooth accuracy over the median margin of the given network."""

FIRST_SEARCH_STEP, SEARCH_STEPS = 0.1, 5
"""Of the search along a line at the end: its first step in logarithms, and bisections."""


class DesignDivergedError(FloatingPointError):
    """A search met a value that is not finite.

    Attributes:
        accelerator: The last hardware with finite values.
        params: The parameters then.
    """

    def __init__(self, message: str, accelerator: Accelerator, params: PyTree) -> None:
        super().__init__(message)
        self.accelerator = accelerator
        self.params = params


class InfeasibleError(ValueError):
    """No design in the bounds reaches the accuracy."""


@dataclasses.dataclass(frozen=True)
class CircuitDesign:
    """A design that was found.

    Attributes:
        accelerator: The hardware.
        params: Parameters of the network, trained or as given.
        settings: Value of each variable in the unit of its setting, and of each choice.
        energy: Energy an inference of the components that count, J.
        accuracy: On the dies, reads and data of the search.
        feasible: Whether that reaches the limit and the check does not contradict it: `check.accuracy_high` is at least
            the limit.
        history: Dataset over `step` of `setting_value` (by variable), `energy`, `accuracy`, `smooth_accuracy` and
            `multiplier`.
        check: Result of `amsim.evaluate` on dies that the search never saw; attributes `limit`, `feasible`.
        evaluations: Passes over all dies and data of the search; a backward pass counts as two.
    """

    accelerator: Accelerator
    params: PyTree
    settings: dict[str, Any]
    energy: float
    accuracy: float
    feasible: bool
    history: xr.Dataset
    check: xr.Dataset
    evaluations: int


def design_circuit(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    *,
    key: PRNGKeyArray,
    variables: Variables,
    accuracy: float,
    per_site: bool = False,
    components: Sequence[str] = COMPONENTS,
    steps: int = 25,
    dies: int = 4,
    batch: int = 250,
    weight_learning_rate: float = 0.0,
    trained: str = ".*",
    check_data: Split | None = None,
    check_dies: int = 16,
    activity_items: int = 16,
    must_reach: bool = False,
    progress: Progress | None = None,
) -> CircuitDesign:
    r"""Find the settings that need the least energy an inference at an accuracy.

    Minimises `log E(x)` over `x = ln(values)` subject to `A(x) >= accuracy`, A being the fraction of right answers on
    fixed dies, reads and data (common random numbers), which has no derivative. Its smooth stand-in is
    `S = mean sigmoid((logit of the label - largest other logit) / w)`, differentiated through the chip with the
    physical rule. Two corrections by measured values keep the search on the real limit: the limit of S moves with the
    gap, `S >= accuracy + (S - A)`, and the slope of S is scaled and shifted so that it explains the values of S at the
    points before (`amsim.design_steps.Points.slope`). Each step minimises `g_E d + |d|^2 / (2 STEP)` subject to the
    limit with these slopes, inside a trust radius that shrinks; its Lagrange multiplier is known in closed form. At the
    end a bisection along the direction of less energy puts the design on the limit of A.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules; the search starts there, inside the bounds.
        data: What the search measures the accuracy on, all of it at every step.
        key: Draws the dies and reads of the search, and those of the check.
        variables: Lowest and highest value of each setting, by its path as in `amsim.settings.setting`.
        accuracy: Least accuracy, above 0 and below 1.
        per_site: Give each site a macro of its own before the search; a variable `macro...` then is one for each site.
            Energy, leakage and area are those of all these macros.
        components: Components of energy that count, of `amsim.accelerator.COMPONENTS`.
        steps: Steps of the search.
        dies: Dies of the search.
        batch: Items computed at once; bounds the memory.
        weight_learning_rate: Of Adam on the mean cross-entropy of the parameters at every step; 0 keeps them.
        trained: Regular expression of whole parameter paths, such as `conv1.kernel`, that are trained.
        check_data: Data of the check; None takes `data`, which flatters trained parameters.
        check_dies: Dies of the check.
        activity_items: Items, the first of `data`, whose activity the energy is taken at.
        must_reach: Raise if the limit is not reached, instead of reporting it.
        progress: Called with (steps done, steps).

    Returns:
        The design; of those seen, the one of least energy that reaches the limit, or of the highest accuracy if none.

    Raises:
        ValueError: No data, no variables, a path that is no continuous setting, bounds that are not above 0 or not in
            order, an accuracy outside 0..1, or a count below 1.
        InfeasibleError: `must_reach` and no design reaches the accuracy.
        DesignDivergedError: A value is not finite; it holds the last design that was.

    Validity: the surrogate's slope is exact behind the last decision only, and an approximation before; settings of
    the capacitor array with rounding in them (ADC range, trim) have the slopes of their straight-through rules. On `n`
    answers the accuracy has a standard error of about `sqrt(A (1 - A) / n)` besides that of the dies.
    """
    _check(data, variables, accuracy, components, weight_learning_rate)
    for name, count in (("steps", steps), ("dies", dies), ("batch", batch), ("check_dies", check_dies)):
        integer_between(name, count, 1)
    integer_between("activity_items", activity_items, 1)
    check_key("key", key)
    accelerator = Accelerator.of(hardware)
    if per_site:
        accelerator = one_macro_a_site(fn, params, accelerator, data.inputs[:1])
        variables = _variables_of_sites(accelerator, variables)
    bounds = _log_bounds(accelerator, variables)
    search_key, check_key_ = jax.random.split(key)
    inputs, labels = batched(data, batch)
    estimate = Estimate(
        fn, accelerator, tuple(variables), inputs, labels, len(data), fixed_keys(search_key, dies), tuple(components),
        data.inputs[:activity_items], weight_learning_rate > 0,
    )  # fmt: skip
    search = _Search(estimate, params, bounds, accuracy, weight_learning_rate, trained)
    search.run(steps, progress)
    best = search.finish()
    found = at_logs(accelerator, estimate.paths, jnp.asarray(best.logs, float))
    check = evaluate(
        fn,
        search.params,
        found,
        data if check_data is None else check_data,
        key=check_key_,
        dies=check_dies,
        batch=batch,
    )
    reached = best.accuracy >= accuracy
    if must_reach and not reached:
        raise InfeasibleError(
            f"Argument `accuracy` of {accuracy:g} is not reached inside the bounds: the best design has "
            f"{best.accuracy:.4g} at {best.energy:.4g} J."
        )
    # One die has no interval, and then its own accuracy must do.
    high = float(check["accuracy_high"])
    confirmed = (high if np.isfinite(high) else float(check["accuracy_mean"])) >= accuracy
    feasible = bool(reached and confirmed)
    return CircuitDesign(
        found,
        search.params,
        dict(zip(estimate.paths, np.exp(best.logs).tolist(), strict=True)),
        best.energy,
        best.accuracy,
        feasible,
        search.history(key),
        check.assign_attrs(limit=accuracy, feasible=int(feasible)),
        estimate.evaluations,
    )


def one_macro_a_site(fn: Callable[..., Any], params: PyTree, hardware: Any, *inputs: Any) -> Accelerator:
    """The accelerator with a macro of its own for each site that lands on one, in place of shared ones.

    Args:
        fn: The network.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        *inputs: Inputs of the network, which tell its sites.
    """
    accelerator = Accelerator.of(hardware)
    names = [row.name for row in deploy(fn, params, accelerator).sites(*inputs) if row.readout != "-"]
    indices = [accelerator.macro_for(name) for name in names]
    return dataclasses.replace(
        accelerator,
        patterns=tuple(map(re.escape, names)),
        macros=tuple(accelerator.macros[index] for index in indices if index is not None),
        spreads=tuple(accelerator.spreads[index] for index in indices if index is not None),
    )


@dataclasses.dataclass(frozen=True)
class _Point:
    logs: np.ndarray
    energy: float
    accuracy: float


class _Search:
    """State of one search."""

    def __init__(
        self,
        estimate: Estimate,
        params: PyTree,
        bounds: tuple[np.ndarray, np.ndarray],
        limit: float,
        learning_rate: float,
        trained: str,
    ) -> None:
        self.estimate, self.params, self.bounds, self.limit = estimate, params, bounds, limit
        start = [float(continuous_setting(estimate.accelerator, "variables", path)) for path in estimate.paths]
        self.logs = np.clip(np.log(np.maximum(start, np.finfo(float).tiny)), *bounds)
        estimate.set_softness(self.logs, params, MARGIN_SHARE)
        self.points = Points(estimate.items * len(estimate.keys))
        self.seen: list[_Point] = []
        self.rows: list[tuple[np.ndarray, float, float, float, float]] = []
        self.optimiser = optax.masked(optax.adam(learning_rate), _mask(params, trained))
        self.state = self.optimiser.init(_floating(params)) if estimate.trained else None

    def run(self, steps: int, progress: Progress | None) -> None:
        shrink = (SHORTEST_STEP / LONGEST_STEP) ** (1 / max(steps - 1, 1))
        for number in range(steps):
            energy, energy_slope = self.estimate.energy(self.logs, self.params)
            found = self.estimate.slopes(self.logs, self.params)
            self._check_finite(number, energy, energy_slope, found)
            assert found.by_log is not None
            self.points.add(self.logs, found.smooth, found.by_log)
            self.seen.append(_Point(self.logs, energy, found.accuracy))
            missing, radius = self.limit - found.accuracy, LONGEST_STEP * shrink**number
            following, weight = step(self.logs, energy_slope, self.points.slope(), missing, self.bounds, radius)
            self.rows.append((np.exp(self.logs), energy, found.accuracy, found.smooth, weight))
            self._train(found)
            self.logs = following
            if progress is not None:
                progress(number + 1, steps)

    def finish(self) -> _Point:
        """Bisection to the limit, and the best point of all."""
        if self.estimate.trained:
            # Other parameters made the accuracies seen so far.
            self.seen = []
        self._look(self.logs)
        best = self._best()
        if best.accuracy >= self.limit:
            direction = -self.estimate.energy(best.logs, self.params)[1]
        else:
            direction = self.points.slope()
        self._bisect(best, direction)
        return self._best()

    def _bisect(self, start: _Point, direction: np.ndarray) -> None:
        low, high = self.bounds
        blocked = ((start.logs <= low) & (direction < 0)) | ((start.logs >= high) & (direction > 0))
        direction = np.where(blocked, 0.0, direction)
        length = float(np.linalg.norm(direction))
        if length == 0:
            return
        direction, was = direction / length, start.accuracy >= self.limit
        inside, outside = 0.0, FIRST_SEARCH_STEP
        for _ in range(SEARCH_STEPS):
            found = self._look(np.clip(start.logs + outside * direction, low, high))
            if (found.accuracy >= self.limit) != was:
                break
            inside, outside = outside, 2 * outside
        else:
            return
        for _ in range(SEARCH_STEPS):
            middle = (inside + outside) / 2
            same = (self._look(np.clip(start.logs + middle * direction, low, high)).accuracy >= self.limit) == was
            inside, outside = (middle, outside) if same else (inside, middle)

    def _look(self, logs: np.ndarray) -> _Point:
        found = self.estimate.accuracy(logs, self.params)
        self.seen.append(_Point(logs, self.estimate.energy(logs, self.params)[0], found.accuracy))
        return self.seen[-1]

    def _best(self) -> _Point:
        reached = [point for point in self.seen if point.accuracy >= self.limit]
        if reached:
            return min(reached, key=lambda point: point.energy)
        return max(self.seen, key=lambda point: (point.accuracy, -point.energy))

    def _train(self, found: Slopes) -> None:
        if not self.estimate.trained:
            return
        floating, fixed = eqx.partition(self.params, eqx.is_inexact_array)
        updates, self.state = self.optimiser.update(found.by_params, self.state, floating)
        self.params = eqx.combine(optax.apply_updates(floating, updates), fixed)

    def _check_finite(self, number: int, energy: float, energy_slope: np.ndarray, found: Slopes) -> None:
        values = np.concatenate([[energy, found.smooth], energy_slope, np.asarray(found.by_log)])
        if np.all(np.isfinite(values)):
            self.good = (self.logs, self.params)
            return
        logs, params = getattr(self, "good", (self.logs, self.params))
        accelerator = at_logs(self.estimate.accelerator, self.estimate.paths, jnp.asarray(logs, float))
        raise DesignDivergedError(
            f"A value is not finite at step {number + 1} (energy {energy:g} J, smooth accuracy {found.smooth:g}); the "
            "last good design is in this error.",
            accelerator,
            params,
        )

    def history(self, key: PRNGKeyArray) -> xr.Dataset:
        """What was found at each step."""
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
                "items": self.estimate.items,
                "dies": len(self.estimate.keys),
                "components": list(self.estimate.components),
                "softness": self.estimate.softness,
                "evaluations": self.estimate.evaluations,
                "key": [int(word) for word in np.ravel(jax.random.key_data(key))],
                "accelerator": described(self.estimate.accelerator),
                "amsim_version": importlib.metadata.version("amsim"),
                "jax_version": jax.__version__,
            },
        )


def _check(
    data: Split, variables: Variables, accuracy: float, components: Sequence[str], weight_learning_rate: float
) -> None:
    if len(data) == 0:
        raise ValueError("Argument `data` must have at least one item, but is empty.")
    if not variables:
        raise ValueError("Argument `variables` must have a setting at least, but is empty.")
    if not 0 < accuracy < 1:
        raise ValueError(f"Argument `accuracy` must be above 0 and below 1, but is {accuracy}.")
    if not 0 <= weight_learning_rate < np.inf:
        raise ValueError(
            f"Argument `weight_learning_rate` must be finite and at least 0, but is {weight_learning_rate}."
        )
    if not components:
        raise ValueError("Argument `components` must have one at least, but is empty.")
    for name in components:
        one_of("components", name, COMPONENTS)


def _log_bounds(accelerator: Accelerator, variables: Variables) -> tuple[np.ndarray, np.ndarray]:
    for path, pair in variables.items():
        continuous_setting(accelerator, "variables", path)
        if len(pair) != 2 or not 0 < pair[0] < pair[1] < np.inf:
            raise ValueError(
                f"Argument `variables` must have finite bounds (low, high) with 0 < low < high, but {path!r} has {pair}."
            )
    low, high = np.array(list(variables.values()), float).T
    return np.log(low), np.log(high)


def _variables_of_sites(accelerator: Accelerator, variables: Variables) -> dict[str, tuple[float, float]]:
    known = continuous_settings(accelerator)
    found: dict[str, tuple[float, float]] = {}
    for path, pair in variables.items():
        ending = path.removeprefix("macro")
        sites = [one for one in known if one.startswith("macros.") and one.endswith(ending)]
        several = path.startswith("macro.") and sites
        found |= dict.fromkeys(sites, pair) if several else {path: pair}
    return found


def _floating(params: PyTree) -> PyTree:
    return eqx.filter(params, eqx.is_inexact_array)


def _mask(params: PyTree, trained: str) -> PyTree:
    def named(path: Any, leaf: Any) -> bool:
        parts = [str(getattr(one, "key", getattr(one, "idx", getattr(one, "name", one)))) for one in path]
        return re.fullmatch(trained, ".".join(parts)) is not None

    return jax.tree_util.tree_map_with_path(named, _floating(params))
