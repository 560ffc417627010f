"""Energy and accuracy of a candidate with their derivatives, compiled once for a whole search."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from amsim.datasets.inputs import Inputs, network_arguments
from amsim.deployment.compilation import compiled
from amsim.deployment.front_door import deploy
from amsim.evaluation.fixed_reads import FixedReads, Reading
from amsim.statistics.precision import summing_dtype
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.hardware import COMPONENTS
from amsim.system.settings import with_numbers

BACKWARD = 2
"""Cost of a backward pass in forward passes: one product each for the gradients of inputs and weights."""


class Slopes(NamedTuple):
    """Accuracy over the fixed dies, reads and data.

    Attributes:
        accuracy: Fraction of right answers, 1.
        smooth: Mean of `sigmoid(margin / softness)`, 1.
        by_log: Derivative of `smooth` with respect to the logarithm of each variable, shape (variables,); None after a
            forward pass alone.
        by_params: Derivative of the mean cross-entropy with respect to the parameters; None where they are not trained.
    """

    accuracy: float
    smooth: float
    by_log: np.ndarray | None = None
    by_params: PyTree = None


class Candidates(NamedTuple):
    """Candidates of a search: a network on hardware that differs in continuous settings.

    Attributes:
        fn: The network.
        accelerator: The hardware, whose variables are replaced.
        paths: Settings that vary.
    """

    fn: Callable[..., Any]
    accelerator: Accelerator
    paths: tuple[str, ...]

    def at(self, logs: Float[Array, " variables"]) -> Accelerator:
        """Hardware of the candidate with these logarithms of its variables."""
        return at_logs(self.accelerator, self.paths, logs)


@dataclasses.dataclass
class Estimate:
    """Accuracy and energy of one network on hardware that differs in continuous settings.

    Attributes:
        fn: The network.
        accelerator: The hardware, whose variables are replaced.
        paths: Settings that vary.
        reads: Dies, reads and data, the same for all candidates.
        components: Components of energy that count.
        activity_inputs: Items whose activity determines the energy.
        trained: Whether derivatives with respect to the parameters are computed.
        softness: Width of the smooth accuracy in units of the margin.
        evaluations: Forward passes over all dies and data so far; a backward pass counts as `BACKWARD` of them.
    """

    fn: Callable[..., Any]
    accelerator: Accelerator
    paths: tuple[str, ...]
    reads: FixedReads
    components: tuple[str, ...]
    activity_inputs: Inputs
    trained: bool = False
    softness: float = 1.0
    evaluations: int = 0

    @property
    def candidates(self) -> Candidates:
        """Candidates whose energy and accuracy are estimated."""
        return Candidates(self.fn, self.accelerator, self.paths)

    def energy(self, logs: np.ndarray, params: PyTree) -> tuple[float, np.ndarray]:
        """Energy per inference, J, and the derivative of its logarithm with respect to that of each variable."""
        point = jnp.asarray(logs, float)
        value, slope = _log_energy(self.candidates, params, point, self.activity_inputs, self.components)
        return float(jnp.exp(value)), np.asarray(slope, float)

    def accuracy(self, logs: np.ndarray, params: PyTree) -> Slopes:
        """Accuracy alone: a forward pass."""
        self.evaluations += 1
        found = [self._answer(logs, params, reading) for reading in self.reads.all()]
        smooth = sum(float(np.sum(_smooth(margins, self.softness))) for _, margins in found)
        answers = self.reads.answers
        return Slopes(sum(int(np.sum(right)) for right, _ in found) / answers, smooth / answers)

    def slopes(self, logs: np.ndarray, params: PyTree) -> Slopes:
        """Accuracy with its derivatives: a forward and a backward pass."""
        self.evaluations += 1 + BACKWARD
        point, softness = jnp.asarray(logs, float), jnp.asarray(self.softness, float)
        found = [
            _answer_slopes(self.candidates, params, point, reading, softness, self.trained)
            for reading in self.reads.all()
        ]
        answers = self.reads.answers
        right, smooth = (sum(float(one[n]) for one in found) / answers for n in (0, 1))
        by_log = np.sum([np.asarray(one[2], float) for one in found], axis=0) / answers
        by_params = None
        if self.trained:
            by_params = jax.tree.map(lambda *parts: _total(parts) / answers, *(one[3] for one in found))
        return Slopes(right, smooth, by_log, by_params)

    def set_softness(self, logs: np.ndarray, params: PyTree, share: float) -> None:
        """Make the smooth accuracy as wide as `share` of the median margin of a die."""
        _, margins = self._answer(logs, params, self.reads.one(0, 0))
        median = float(np.median(np.abs(margins)))
        self.softness = share * median if np.isfinite(median) and median > 0 else 1.0

    def _answer(self, logs: np.ndarray, params: PyTree, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        """Which answers of a read are right, and the margins of those that are not padding."""
        right, margins = _answers(self.candidates, params, jnp.asarray(logs, float), reading)
        return np.asarray(right), np.asarray(margins)[np.asarray(reading.labels) >= 0]


def at_logs(accelerator: Accelerator, paths: Sequence[str], logs: Float[Array, " variables"]) -> Accelerator:
    """Hardware with each variable at the exponential of its logarithm; bounds have been checked before."""
    return with_numbers(accelerator, dict(zip(paths, jnp.exp(logs), strict=True)))


def _total(parts: Sequence[Array]) -> Array:
    """Sum in float32 at least."""
    return functools.reduce(jnp.add, [part.astype(summing_dtype(part.dtype)) for part in parts])


def _signed_margins(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """Logit of the label minus the largest other logit."""
    own = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    return jnp.sum(jnp.where(own, logits, 0.0), axis=-1) - jnp.max(jnp.where(own, -jnp.inf, logits), axis=-1)


def _smooth(margins: Any, softness: Any) -> Any:
    """Smooth accuracy of each answer."""
    return jax.nn.sigmoid(margins / softness)


@compiled(lambda candidates, *_: candidates.fn)
def _answers(
    candidates: Candidates, params: PyTree, logs: Float[Array, " variables"], reading: Reading
) -> tuple[Array, Array]:
    """Which answers are right, and the margin of each."""
    logits = reading.logits(candidates.fn, params, candidates.at(logs))
    return reading.right(logits), _signed_margins(logits, jnp.asarray(reading.labels))


@compiled(lambda candidates, *_: candidates.fn)
def _answer_slopes(
    candidates: Candidates,
    params: PyTree,
    logs: Float[Array, " variables"],
    reading: Reading,
    softness: Float[Array, ""],
    trained: bool,
) -> tuple[Array, Array, Array, PyTree]:
    """Number of right answers, its smooth stand-in with slopes by log variable, and slopes of the loss by parameter."""
    floating, fixed = eqx.partition(params, eqx.is_inexact_array)

    def outputs(logs: Array, floating: PyTree) -> tuple[tuple[Array, Array], Array]:
        own = eqx.combine(floating, fixed)
        logits = reading.logits(candidates.fn, own, candidates.at(logs), decision_rule="physical")
        smooth = reading.total(_smooth(_signed_margins(logits, jnp.asarray(reading.labels)), softness))
        return (smooth, reading.cross_entropy(logits)), jnp.sum(reading.right(logits))

    if not trained:
        (smooth, loss), pull, right = jax.vjp(lambda logs: outputs(logs, floating), logs, has_aux=True)
        return right, smooth, pull((jnp.ones_like(smooth), jnp.zeros_like(loss)))[0], None
    (smooth, loss), pull, right = jax.vjp(outputs, logs, floating, has_aux=True)
    by_log = pull((jnp.ones_like(smooth), jnp.zeros_like(loss)))[0]
    return right, smooth, by_log, pull((jnp.zeros_like(smooth), jnp.ones_like(loss)))[1]


@compiled(lambda candidates, *_: candidates.fn)
def _log_energy(
    candidates: Candidates,
    params: PyTree,
    logs: Float[Array, " variables"],
    inputs: Inputs,
    components: tuple[str, ...],
) -> tuple[Array, Array]:
    chosen = np.array([COMPONENTS.index(name) for name in components])

    def log_energy(logs: Array) -> Array:
        hardware = candidates.at(logs)
        layers = deploy(candidates.fn, params, hardware).workload(*network_arguments(inputs)).layers
        return jnp.log(jnp.sum(system_cost(hardware, layers).energy[:, chosen]))

    return jax.value_and_grad(log_energy)(logs)
