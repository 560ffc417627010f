r"""Likelihood of the means of a table of reads of a switched-capacitor array, and its maximum.

The sweep behind a table flips rows one after another: weights +1, the first k inputs +1 and the others -1, so that the
ideal count is `2 k - rows`. With cell errors `e_i` of relative variance s^2, lines of T nominal unit capacitors and N
cells and bias capacitors of U units, the value of a line is, to first order in s (facts 5.2),
`2 k - rows + 2 (e_1 + ... + e_k) - 2 (k / T) (sum of all errors) + offset`, since the line is normalised by its own
total capacitance. So the errors of two sums k <= l of one column have the covariance
`4 s^2 w(k, l) + offset^2`, `w(k, l) = k - 2 k l / T + k l (N + U) / T^2`, and those of two columns none. Of a
differential pair half the difference of both lines is read, on the second of which the other `rows - k` go high:
`s^2 (w(k, l) + w(rows - l, rows - k)) + offset^2`. Beside a replica, whose rows stand half way, its own errors are the
same at all sums: `4 s^2 (w(k, l) + rows / 4 - 2 q^2 / T + q^2 (N + U) / T^2) + offset^2`, `q = rows / 2`.

An ADC of step q reads `Q(x) = x + e(x)`, e a sawtooth. With Gaussian noise of sigma around a value mu, mean and
variance of the reads are Fourier series in `phi = 2 pi mu / q`, with `g_h = exp(-2 (pi h sigma / q)^2)` (after Widrow
and Kollar, Quantization Noise, Cambridge 2008):
`mean - mu = b = (q / pi) sum_h (-1)^h g_h sin(h phi) / h` and
`variance = sigma^2 + q^2 / 12 + sum_h (-1)^h g_h cos(h phi) (4 sigma^2 + q^2 / (pi h)^2) - b^2`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from scipy import optimize

from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.noise.loops import fori_loop
from amsim.noise.mismatch import capacitor_mismatch_sigma

SMALLEST_SLOPE = 0.5
"""Slope of means against counts below which a line does not follow its inputs: mismatch and droop leave nearly 1."""

_HARMONICS = np.arange(1.0, 5.0)


class Sweep(NamedTuple):
    """Reads of all lines (columns of all dies) at the counts that the ADC does not clip, and the ADC's grid."""

    ups: Array
    counts: Array
    mean: Array
    variance: Array
    reads: Any
    step: Any
    origin: Any

    @staticmethod
    def of(table: xr.Dataset, macro: SwitchedCapacitor, reads: int) -> "Sweep":
        """Sweep of a checked table."""
        rows, counts = table.attrs["rows"], table["count"].values
        if rows > macro.rows:
            raise ValueError(f"Argument `table` must have sums of at most {macro.rows} products, but has {rows}.")
        adc = macro.adc
        assert adc is not None
        lsb, zero = (float(part) for part in adc.scale(float(rows)))
        step, origin = 2 * lsb, 2 * zero - rows
        mean = table["count_read"].values.reshape(-1, len(counts))
        sigma = table["count_sigma"].values.reshape(-1, len(counts))
        margin = 4 * np.sqrt(np.mean(sigma**2)) + step
        low, high = (origin + step * code for code in (adc.lowest_code, adc.highest_code))
        kept = np.all((mean - margin >= low) & (mean + margin <= high), axis=0)
        if np.sum(kept) < 3:
            raise ValueError(f"Argument `table` must have 3 counts inside the ADC's range, but has {np.sum(kept)}.")
        _check_signal(table, counts[kept], mean[:, kept], np.sqrt(np.mean(sigma**2) / reads))
        parts = ((counts[kept] + rows) / 2, counts[kept] * 1.0, mean[:, kept], sigma[:, kept] ** 2)
        ups, ideal, read, variance = map(jnp.asarray, parts)
        return Sweep(ups, ideal, read, variance, reads, step, origin)


def _check_signal(table: xr.Dataset, counts: np.ndarray, mean: np.ndarray, error: float) -> None:
    """Raise ValueError where a line is stuck: its errors would pass for a mismatch of whole cells.

    Args:
        table: Whose dies and columns the lines are.
        counts: Ideal counts.
        mean: Means of each line at these.
        error: Standard error of a mean.
    """
    centred = counts - np.mean(counts)
    square = np.sum(centred**2)
    slopes = mean @ centred / square
    line = int(np.argmin(slopes))
    if slopes[line] + 4 * error / np.sqrt(square) < SMALLEST_SLOPE:
        die, column = divmod(line, table.sizes["column"])
        raise ValueError(
            f"Argument `table` must have means that follow the count, but those of die {table['die'].values[die]}, "
            f"column {table['column'].values[column]} rise by {slopes[line]:.2g} per count: a line or converter that "
            "is stuck must be left out."
        )


def read_moments(
    value: Float[Array, "..."],
    sigma: Float[Array, ""],
    step: Float[Array, ""] | float,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Shift of the mean and variance of reads through a uniform quantiser with a level at 0.

    Args:
        value: Value before noise, shape (...), counts.
        sigma: Standard deviation of the noise, at least a quarter of the step, counts.
        step: Step of the quantiser, counts.

    Returns:
        Mean of the reads less `value`, and their variance, shape (...).
    """
    harmonics = jnp.asarray(_HARMONICS).reshape((-1,) + (1,) * value.ndim)
    signs = jnp.where(harmonics % 2 == 0, 1.0, -1.0)
    weight = signs * jnp.exp(-2 * (jnp.pi * harmonics / step) ** 2 * sigma**2)
    angle = harmonics * (2 * jnp.pi / step) * value[None]
    shift = step / jnp.pi * jnp.sum(weight * jnp.sin(angle) / harmonics, axis=0)
    ripple = jnp.sum(weight * jnp.cos(angle) * (4 * sigma**2 + (step / (jnp.pi * harmonics)) ** 2), axis=0)
    return shift, sigma**2 + step**2 / 12 + ripple - shift**2


@jax.jit
def _value_before(sweep: Sweep, sigma: Array) -> Array:
    """Values before noise whose reads have the measured means."""
    read = sweep.mean - sweep.origin

    def closer(_: Any, value: Array) -> Array:
        return read - read_moments(value, sigma, sweep.step)[0]

    # The shift's slope is below 0.6 for noise of a quarter step, so that 16 rounds leave 1e-5 of a step at worst.
    return fori_loop(0, 16, closer, read)


def fit_static(
    start: dict[str, float], macro: SwitchedCapacitor, sweep: Sweep, sigma: float
) -> tuple[dict[str, tuple[float, float]], float]:
    """Values and standard errors of the static parameters, and the mean square of the whitened errors.

    Args:
        start: Start value of each parameter to fit.
        macro: Macro with all other parameters.
        sweep: The reads.
        sigma: Analog noise of a read, counts.
    """
    names = tuple(start)
    errors = _value_before(sweep, jnp.asarray(sigma)) + sweep.origin - sweep.counts[None]
    # Contrasts do not see what all counts of a line share: an offset that is trimmed, or not fitted, stays unknown.
    size = len(sweep.counts)
    offset = "comparator.offset_sigma" in names
    basis = jnp.asarray(np.eye(size) if offset else np.linalg.svd(np.ones((1, size)))[2][1:])
    read = (sigma**2 + sweep.step**2 / 12) / sweep.reads
    seen = _Seen(jnp.matmul(errors, basis.T), basis, jnp.asarray(read), macro, sweep)
    best, covariance = _minimum(_static_loss, names, np.log(list(start.values())), seen)
    values, spread = np.exp(best), np.sqrt(np.diag(covariance))
    found = {name: (float(v), float(v * s)) for name, v, s in zip(names, values, spread, strict=True)}
    return found, float(jnp.mean(_whitened(names, jnp.asarray(best), seen)[0] ** 2))


class _Seen(NamedTuple):
    """Errors of all lines in a basis over the counts, and the inputs of their covariance."""

    errors: Array
    basis: Array
    read: Array
    macro: SwitchedCapacitor
    sweep: Sweep


def _whitened(names: tuple[str, ...], logs: Array, seen: _Seen) -> tuple[Array, Array]:
    covariance = _covariance(dict(zip(names, jnp.exp(logs), strict=True)), seen.macro, seen.sweep)
    covariance = covariance + seen.read * jnp.eye(len(covariance))
    root = jnp.linalg.cholesky(seen.basis @ covariance @ seen.basis.T)
    return jax.scipy.linalg.solve_triangular(root, seen.errors.T, lower=True), root


def _static_loss(names: tuple[str, ...], logs: Array, seen: _Seen) -> Array:
    white, root = _whitened(names, logs, seen)
    return len(seen.errors) * jnp.sum(jnp.log(jnp.diagonal(root))) + jnp.sum(white**2) / 2


def _covariance(values: dict[str, Array], macro: SwitchedCapacitor, sweep: Sweep) -> Array:
    """Covariance of the static errors of one line at two counts; the module docstring has the equation."""
    fitted = "mismatch_coefficient" in values
    coefficient = values["mismatch_coefficient"] if fitted else macro.mismatch_coefficient
    unit_sigma = capacitor_mismatch_sigma(macro.unit_capacitance, coefficient)
    k, total = sweep.ups, macro.read_units
    shared = 2 / total - (macro.line_rows + jnp.sum(macro.bias_dac.section_units())) / total**2

    def line(high: Array) -> Array:
        return jnp.minimum(high[:, None], high[None, :]) - high[:, None] * high[None, :] * shared

    walk, others = line(k), k - sweep.counts
    if macro.second_line == "differential":
        walk = (walk + line(others)) / 4
    elif macro.second_line == "replica":
        half = (k[0] + others[0]) / 2
        walk = walk + half / 2 - half**2 * shared
    offset = values.get("comparator.offset_sigma", jnp.zeros(())) * macro.counts_per_volt
    return 4 * unit_sigma**2 * walk + offset**2


# A loss is a function of its module, so that fits of equal shapes share one compilation.
@partial(jax.jit, static_argnums=(0, 1))
def _value_and_slope(
    loss: Callable[..., Array], names: tuple[str, ...], point: Array, data: Any
) -> tuple[Array, Array]:
    return jax.value_and_grad(loss, 1)(names, point, data)


@partial(jax.jit, static_argnums=(0, 1))
def _hessian(loss: Callable[..., Array], names: tuple[str, ...], point: Array, data: Any) -> Array:
    return jax.hessian(loss, 1)(names, point, data)


def _minimum(
    loss: Callable[..., Array], names: tuple[str, ...], start: np.ndarray, data: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Minimum of `loss(names, point, data)` by BFGS and the inverse Hessian there; infinite where the loss is flat."""
    scale = max(abs(float(_value_and_slope(loss, names, jnp.asarray(start), data)[0])), 1.0)

    def scaled(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _value_and_slope(loss, names, jnp.asarray(point), data)
        return float(value) / scale, np.asarray(gradient) / scale

    found = optimize.minimize(scaled, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 200})
    hessian = np.asarray(_hessian(loss, names, jnp.asarray(found.x), data))
    # The search also stops, rightly, where rounding hides any further descent: then the Newton step is tiny.
    usable = np.all(np.isfinite(hessian)) and np.all(np.linalg.eigvalsh(hessian) > 0)
    covariance = np.linalg.inv(hessian) if usable else np.full(hessian.shape, np.inf)
    gradient = scaled(found.x)[1] * scale
    if usable and not np.all(np.abs(covariance @ gradient) <= 0.1 * np.sqrt(np.diag(covariance))):
        raise ValueError(f"The fit must converge, but did not within {found.nit} steps: {found.message}")
    return found.x, covariance
