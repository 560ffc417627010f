r"""Noise of a read from means and variances of quantised reads, whatever the values before the converter are.

A converter of step 1 reads `Q = round(mu + sigma z)`. Of R reads of one value, mean m and variance s^2 (R - 1 in its
denominator), `E s^2 = V(mu, sigma)` holds for any R, but V depends on where mu lies between two levels, which m shows
only in part: of noise below the step a mean taken for the value puts sigma several standard errors off. With
`phi(t) = E exp(i t Q)`, functions of the mean have the exact expectation `E cos(2 pi n m) = Re phi(2 pi n / R)^R`. So
coefficients a_n(sigma) for which `sum_n a_n E cos(2 pi n m) = V` at every mu make

`d_j = s_j^2 - sum_n a_n(sigma) cos(2 pi n m_j)`, `sum_j d_j = 0`

an equation for sigma without bias from R or from the values: no likelihood of the values has to be assumed. Its
standard error is that of the sum, `sqrt(sum d_j^2) / |sum d d_j / d sigma|`, since reads of different values are
independent (Huber, Proc. 5th Berkeley Symp. 1, 1967; Godambe, Ann. Math. Statist. 31, 1960).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, stats

SMALLEST_NOISE = 0.25
"""Noise in ADC steps below which nearly all reads of a value are equal, or on two levels, and hide noise and value."""

_SMOOTH = 2.0
"""Noise in steps above which the variance does not depend on the place between two levels (by 1e-33)."""

_HARMONICS = 8

_RIDGE = 0.01
"""Mean square of a left-over bias, over that of the sampling error, at which the fit of V stops."""

_PLACES = np.linspace(0.0, 0.5, 33)
"""Places of a value in half a step; the other half is its mirror image."""

_PLACE_WEIGHTS = np.where((_PLACES == 0) | (_PLACES == 0.5), 0.5, 1.0) / 32


class Noise(NamedTuple):
    """Analog noise of a read and its standard error, counts, and the mean square of `d_j` over its expectation."""

    sigma: float
    error: float
    dispersion: float


def fit_noise(mean: Any, variance: Any, reads: int, step: float) -> Noise:
    """Standard deviation of the analog noise of a read from the reads of many values.

    Args:
        mean: Means of the reads of each value, from a level of the converter on, shape (...), counts.
        variance: Their variances, R - 1 in the denominator, same shape, counts^2.
        reads: Reads R of each value.
        step: Step of the converter, counts.

    Returns:
        The noise.

    Raises:
        ValueError: Noise below `SMALLEST_NOISE` steps, which such reads do not identify.

    Validity: independent Gaussian noise at every read and a uniform converter that does not clip; many values (about
    100 or more), since the standard error is that of a sum.
    """
    places, spread = np.ravel(mean) / step, np.ravel(variance) / step**2
    harmonics = min(_HARMONICS, reads // 2)
    waves = np.cos(2 * np.pi * np.arange(harmonics + 1)[:, None] * places)
    average, pooled, count = waves.mean(axis=1), float(spread.mean()), len(places)

    def missing(sigma: float) -> float:
        return float(_Reads.of(sigma, reads).coefficients(harmonics, count) @ average) - pooled

    most = 2 * np.sqrt(pooled) + SMALLEST_NOISE
    if missing(SMALLEST_NOISE) > 0 or missing(most) < 0:
        raise ValueError(
            f"This table cannot identify noise or errors: its reads scatter by {step * np.sqrt(pooled):.3g} counts "
            f"rms, too little against the ADC's step of {step:.3g} counts to resolve values between two levels; noise "
            f"must be at least {SMALLEST_NOISE:g} of a step."
        )
    sigma = optimize.brentq(missing, SMALLEST_NOISE, most, xtol=1e-9)
    coefficients, near = _Reads.of(sigma, reads).coefficients(harmonics, count), 1e-4 * sigma
    left = spread - coefficients @ waves
    slope = (missing(sigma + near) - missing(sigma - near)) / (2 * near)
    error = float(np.sqrt(np.mean(left**2) / count)) / abs(slope) if slope else np.inf
    expected = _Reads.of(sigma, reads).squared_residual(coefficients)
    return Noise(step * sigma, step * error, float(np.mean(left**2)) / expected)


class _Reads(NamedTuple):
    """Reads of values at `_PLACES` through a converter of step 1.

    Attributes:
        levels: Levels within reach of the noise, shape (levels,).
        chance: Probability of each, shape (places, levels).
        reads: Reads of a value.
        beyond: Variance of the noise above `_SMOOTH`, which adds to that of the reads.
    """

    levels: np.ndarray
    chance: np.ndarray
    reads: int
    beyond: float

    @staticmethod
    def of(sigma: float, reads: int) -> "_Reads":
        kept = min(sigma, _SMOOTH)
        reach = int(np.ceil(8 * kept)) + 1
        levels = np.arange(-reach, reach + 1)
        below = stats.norm.cdf((np.arange(-reach, reach + 2) - 0.5 - _PLACES[:, None]) / kept)
        return _Reads(levels, np.diff(below, axis=1), reads, sigma**2 - kept**2)

    @property
    def variance(self) -> np.ndarray:
        """Variance of a read at each place."""
        return self.chance @ self.levels**2 - (self.chance @ self.levels) ** 2 + self.beyond

    def moments(self, order: np.ndarray) -> list[np.ndarray]:
        """`E Q^k exp(2 pi i n Q / R)` for k = 0, 1, 2 at each order n, shape (orders, places) each."""
        turned = np.exp(2j * np.pi * order[:, None] * self.levels / self.reads)
        return [(turned * self.levels**power) @ self.chance.T for power in range(3)]

    def coefficients(self, harmonics: int, count: int) -> np.ndarray:
        """Coefficients a_n of the function of the mean that is the variance on average, shape (harmonics + 1,)."""
        waves = (self.moments(np.arange(harmonics + 1))[0] ** self.reads).real
        ridge = np.diag(np.where(np.arange(harmonics + 1) == 0, 0.0, _RIDGE / count))
        return np.linalg.solve((waves * _PLACE_WEIGHTS) @ waves.T + ridge, waves @ (_PLACE_WEIGHTS * self.variance))

    def squared_residual(self, coefficients: np.ndarray) -> float:
        """Mean of d_j^2 over all places.

        `E s^2 exp(i t S) = E[Q^2 e] E[e]^(R-1) - E[Q e]^2 E[e]^(R-2)` with `e = exp(i t Q)` and S the sum of the reads.
        """
        order, number = np.arange(len(coefficients)), self.reads
        plain, first, second = self.moments(order)
        joint = (second * plain ** (number - 1) - first**2 * plain ** (number - 2)).real
        products = (self.moments(np.arange(1 - len(order), 2 * len(order)))[0] ** number).real
        pairs = (
            products[order[:, None] + order + len(order) - 1] + products[order[:, None] - order + len(order) - 1]
        ) / 2
        middle = self.levels - (self.chance @ self.levels)[:, None]
        fourth = np.sum(self.chance * middle**4, axis=1)
        inner = self.variance - self.beyond
        square = fourth / number + inner**2 * (1 - (number - 3) / (number - 1) / number)
        # Above `_SMOOTH` residuals are those of a Gaussian of a larger variance.
        larger = (1 + self.beyond / inner) ** 2
        own = coefficients - np.where(order == 0, self.beyond, 0.0)
        mixed = square - 2 * own @ joint + np.einsum("n,m,nmp->p", own, own, pairs)
        return float(np.sum(_PLACE_WEIGHTS * mixed * larger))
