"""Steps of a search by gradient: less energy along the limit of accuracy, with slopes corrected by measured values."""

import dataclasses

import numpy as np

MEMORY = 12
"""Points whose measured accuracies correct the slope."""

NEIGHBOURHOOD = 1.0
"""Largest distance, in logarithms, of the points that correct the slope."""

SCALES = (0.2, 20.0)
"""Smallest and largest factor between the surrogate's slope and the measured one."""

STEP = 0.5
"""Length of a step for a slope of one, in logarithms; the trust radius limits it."""


@dataclasses.dataclass
class Points:
    """Points of a search with the accuracies measured there.

    Attributes:
        answers: Number of answers that an accuracy is the mean of.
        logs: Logarithms of the variables at each point.
        smooth: Smooth accuracy at each point.
        surrogate: Derivative of `smooth` from the physical rule.
    """

    answers: int
    logs: list[np.ndarray] = dataclasses.field(default_factory=list)
    smooth: list[float] = dataclasses.field(default_factory=list)
    surrogate: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, logs: np.ndarray, smooth: float, surrogate: np.ndarray) -> None:
        """Store a point."""
        self.logs.append(logs)
        self.smooth.append(smooth)
        self.surrogate.append(surrogate)

    def slope(self) -> np.ndarray:
        """Derivative of the smooth accuracy at the last point, `k G + c`.

        G is the surrogate's derivative. With the differences `y = S' - S` to earlier points at distances `D` and the
        surrogate's prediction `p = D (G' + G) / 2`, k is the least-squares factor `sum y p / sum p^2` and c the ridge
        regression of the remainder, `(D^T D + r)^-1 D^T (y - k p)`, `r = 1 / (4 answers |k G|^2)`.
        """
        here, surrogate = self.logs[-1], self.surrogate[-1]
        near = [
            number
            for number in range(max(len(self.logs) - 1 - MEMORY, 0), len(self.logs) - 1)
            if 0 < np.linalg.norm(self.logs[number] - here) <= NEIGHBOURHOOD
        ]
        if not near:
            return surrogate
        distances = np.stack([self.logs[number] - here for number in near])
        rises = np.array([self.smooth[number] - self.smooth[-1] for number in near])
        means = np.stack([(self.surrogate[number] + surrogate) / 2 for number in near])
        predicted = np.sum(distances * means, axis=1)
        square = float(predicted @ predicted)
        scale = float(np.clip(rises @ predicted / square, *SCALES)) if square > 0 else 1.0
        length = float(np.sum((scale * surrogate) ** 2))
        ridge = 1 / (4 * self.answers * length) if length > 0 else np.inf
        if not np.isfinite(ridge):
            return surrogate
        normal = distances.T @ distances + ridge * np.eye(len(here))
        return scale * surrogate + np.linalg.solve(normal, distances.T @ (rises - scale * predicted))


def multiplier(energy_slope: np.ndarray, accuracy_slope: np.ndarray, missing: float) -> float:
    """Lagrange multiplier of the accuracy.

    Of `min g_E d + |d|^2 / 2 STEP` subject to `g_A d >= missing`: `max(0, (missing / STEP + g_A g_E) / |g_A|^2)`.

    Args:
        energy_slope: Derivative g_E of the logarithm of the energy, shape (variables,).
        accuracy_slope: Derivative g_A of the accuracy, shape (variables,).
        missing: Accuracy still missing to the limit; negative above it.
    """
    square = float(accuracy_slope @ accuracy_slope)
    if square == 0:
        return 0.0
    return max(0.0, (missing / STEP + float(accuracy_slope @ energy_slope)) / square)


def step(
    logs: np.ndarray,
    energy_slope: np.ndarray,
    accuracy_slope: np.ndarray,
    missing: float,
    bounds: tuple[np.ndarray, np.ndarray],
    radius: float,
) -> tuple[np.ndarray, float]:
    """Next point, inside the bounds and at most `radius` away, and the multiplier."""
    low, high = bounds
    free = np.ones(len(logs), bool)
    for _ in range(len(logs)):
        weight = multiplier(energy_slope[free], accuracy_slope[free], missing)
        move = np.where(free, -STEP * (energy_slope - weight * accuracy_slope), 0.0)
        stuck = free & (((logs <= low) & (move < 0)) | ((logs >= high) & (move > 0)))
        if not stuck.any():
            break
        free &= ~stuck
    move = np.where(free, move, 0.0)
    length = float(np.linalg.norm(move))
    if length > radius:
        move *= radius / length
    return np.clip(logs + move, low, high), weight
