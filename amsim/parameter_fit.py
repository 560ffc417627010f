r"""Physical parameters of a switched-capacitor array from a table of measured reads, by maximum likelihood.

The sweep behind a table flips rows one after another: weights +1, the first k inputs +1 and the others -1, so that the
ideal count is `2 k - rows`. With cell errors `e_i` of relative variance s^2, lines of T nominal unit capacitors and N
cells and bias capacitors of U units, the value of a line is, to first order in s (facts 5.2),
`2 k - rows + 2 (e_1 + ... + e_k) - 2 (k / T) (sum of all errors) + offset`, since the line is normalised by its own
total capacitance. So the errors of two sums k <= l of one column have the covariance
`4 s^2 (k - 2 k l / T + k l (N + U) / T^2) + offset^2`, and those of two columns none.

An ADC of step q reads `Q(x) = x + e(x)`, e a sawtooth. With Gaussian noise of sigma around a value mu, mean and
variance of the reads are Fourier series in `phi = 2 pi mu / q`, with `g_h = exp(-2 (pi h sigma / q)^2)` (after Widrow
and Kollar, Quantization Noise, Cambridge 2008):
`mean - mu = b = (q / pi) sum_h (-1)^h g_h sin(h phi) / h` and
`variance = sigma^2 + q^2 / 12 + sum_h (-1)^h g_h cos(h phi) (4 sigma^2 + q^2 / (pi h)^2) - b^2`.
"""

import contextlib
import dataclasses
import importlib.metadata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from scipy import optimize

from amsim.circuits.adc import Adc
from amsim.circuits.capacitor_array import PARTS
from amsim.circuits.checks import integer_between, one_of
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.measurement import read_table
from amsim.noise.mismatch import MOM_FRINGE_COEFFICIENT, capacitor_mismatch_sigma
from amsim.results import described

UNITS = {
    "comparator.noise": "V",
    "temperature": "K",
    "mismatch_coefficient": "sqrt(F)",
    "comparator.offset_sigma": "V",
}
"""Parameters that `fit` knows, by their path in the macro, and their units."""

STARTS = {
    "comparator.noise": 1e-3,
    "temperature": 300.0,
    "mismatch_coefficient": MOM_FRINGE_COEFFICIENT,
    "comparator.offset_sigma": 1e-3,
}
"""Where the search starts for a parameter that is 0 in the macro."""

FEWEST_READS = 8
"""Below it the mean does not say well enough where between two ADC levels a value lies."""

FEWEST_LINES = 4
"""Columns times dies below which a spread over columns is no statistics."""

SMALLEST_NOISE = 0.25
"""Noise in ADC steps below which nearly all reads of a value are equal and hide both noise and value."""

LARGEST_ERROR = 0.5
"""Relative standard error above which a parameter counts as not identified."""

_NOISE, _STATIC = ("comparator.noise", "temperature"), ("mismatch_coefficient", "comparator.offset_sigma")
_HARMONICS = np.arange(1.0, 5.0)


class Fit(NamedTuple):
    """Result of `fit`.

    Attributes:
        parameters: Dataset over `parameter` with `value`, `standard_error` and `start`, units in coordinate `unit`.
        macro: The macro with the fitted values.
    """

    parameters: xr.Dataset
    macro: SwitchedCapacitor


def fit(
    table: str | Path | xr.Dataset,
    macro: SwitchedCapacitor,
    parameters: Sequence[str] = ("comparator.noise", "mismatch_coefficient"),
    *,
    reads: int | None = None,
) -> Fit:
    """Fit parameters of a switched-capacitor array to a table of reads; all others stay as the macro has them.

    Three independent pieces: the sigmas give the noise of a read, whose square is chi-square distributed; how the
    means wander from count to count gives the mismatch; and how they differ between columns gives the offset.

    What a table can tell: one of "comparator.noise" and "temperature", since noise is one number, and the other is as
    given; "mismatch_coefficient", relative to sqrt(unit_capacitance), which is as given, as are supply, parasitics
    and ADC; "comparator.offset_sigma", where the macro has no trim. Offset and mismatch do not need each other.

    Args:
        table: As `amsim.measurement.read_table` takes it, swept as `characterise` does.
        macro: The array with all that is known of it, read by an `Adc`; its values of `parameters` start the search.
        parameters: Paths of the parameters, of those in `UNITS`.
        reads: Reads behind every mean and sigma; None is what the table says.

    Returns:
        Values with standard errors, from the inverse Hessian of the likelihood, and the fitted macro. Attributes: the
        analog noise of a read `noise_sigma` in counts, and `noise_dispersion` and `static_dispersion`, the mean squares
        of what is left in units of what the model expects. They are near 1 where the model has the right shape (the
        first up to 2 for few reads and noise below the ADC's step, which the standard error of the noise includes).

    Raises:
        ValueError: An unknown or repeated parameter, one that this table cannot identify, a macro that the fit does not
            know, fewer than 8 reads, a table of more rows than a line has, or no convergence.

    Validity: mismatch well below 1, Gaussian noise above a quarter of the ADC's step, settled lines; counts whose reads
    come near the end of the ADC's range are left out. With 8 reads and noise near a quarter step the noise comes out up
    to 1 % low. A macro with optional parts (drivers, layout, faults ...) or another converter than `Adc` is refused.
    """
    names = _checked_names(parameters, macro)
    measured = read_table(table)
    reads = measured.attrs.get("reads") if reads is None else reads
    if reads is None:
        raise ValueError("Argument `reads` must be given, since the table does not say how many there were.")
    integer_between("reads", reads, FEWEST_READS)
    with _float64():
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, macro)
        sweep = _Sweep.of(measured, wide, int(reads))
        noise = _fitted_noise(sweep)
        found = {name: _noise_parameter(name, wide, noise) for name in names if name in _NOISE}
        static = [name for name in names if name in _STATIC]
        dispersion = np.nan
        if static:
            _check_static(static, sweep)
            errors, dispersion = _fitted_static(static, wide, sweep, noise.sigma)
            found |= errors
        for name, (value, error) in found.items():
            _check_identified(name, value, error)
        attributes = {"reads": int(reads), "lines": len(sweep.mean), "noise_sigma": noise.sigma}
        attributes |= {"noise_dispersion": noise.dispersion, "static_dispersion": dispersion}
    fitted = macro
    for name in names:
        fitted = _with_value(fitted, name, found[name][0])
    return Fit(_labelled(names, found, macro, attributes), fitted)


class _Sweep(NamedTuple):
    """Reads of all lines (columns of all dies) at the counts that the ADC does not clip, and how it reads them."""

    ups: Array
    count: Array
    mean: Array
    variance: Array
    reads: Any
    step: Any
    origin: Any

    @staticmethod
    def of(table: xr.Dataset, macro: SwitchedCapacitor, reads: int) -> "_Sweep":
        rows, counts = table.attrs["rows"], table["count"].values
        if rows > macro.rows:
            raise ValueError(f"Argument `table` must have sums of at most {macro.rows} products, but has {rows}.")
        adc = macro.adc
        assert adc is not None
        step, origin = 2 * float(adc.lsb(float(rows))), 2.0 * (rows // 2) - rows
        mean = table["count_read"].values.reshape(-1, len(counts))
        sigma = table["count_sigma"].values.reshape(-1, len(counts))
        margin = 4 * np.sqrt(np.mean(sigma**2)) + step
        low, high = (origin + step * code for code in (adc.lowest_code, adc.highest_code))
        kept = np.all((mean - margin >= low) & (mean + margin <= high), axis=0)
        if np.sum(kept) < 3:
            raise ValueError(f"Argument `table` must have 3 counts inside the ADC's range, but has {np.sum(kept)}.")
        parts = ((counts[kept] + rows) / 2, counts[kept] * 1.0, mean[:, kept], sigma[:, kept] ** 2)
        return _Sweep(*map(jnp.asarray, parts), reads, step, origin)


class _Noise(NamedTuple):
    sigma: float
    error: float
    dispersion: float


def read_moments(
    value: Float[Array, "..."],
    sigma: Float[Array, ""],
    step: Float[Array, ""] | float,
    blur: Float[Array, ""] | float = 0.0,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Shift of the mean and variance of reads through a uniform quantiser with a level at 0.

    Args:
        value: Value before noise, shape (...), counts.
        sigma: Standard deviation of the noise, at least a quarter of the step, counts.
        step: Step of the quantiser, counts.
        blur: Standard error of `value`, counts: what it takes from the ripple is given back.

    Returns:
        Mean of the reads less `value`, and their variance, shape (...).
    """
    harmonics = jnp.asarray(_HARMONICS).reshape((-1,) + (1,) * value.ndim)
    signs = jnp.where(harmonics % 2 == 0, 1.0, -1.0)
    weight = signs * jnp.exp(-2 * (jnp.pi * harmonics / step) ** 2 * (sigma**2 - blur**2))
    angle = harmonics * (2 * jnp.pi / step) * value[None]
    shift = step / jnp.pi * jnp.sum(weight * jnp.sin(angle) / harmonics, axis=0)
    ripple = jnp.sum(weight * jnp.cos(angle) * (4 * sigma**2 + (step / (jnp.pi * harmonics)) ** 2), axis=0)
    return shift, sigma**2 + step**2 / 12 + ripple - shift**2


@jax.jit
def _value_before(sweep: _Sweep, sigma: Array) -> Array:
    """Values whose reads have the measured means."""
    read = sweep.mean - sweep.origin

    def closer(_: Any, value: Array) -> Array:
        return read - read_moments(value, sigma, sweep.step)[0]

    # The shift's slope is below 0.6 for noise of a quarter step, so that 16 rounds leave 1e-5 of a step at worst.
    return jax.lax.fori_loop(0, 16, closer, read)


def _fitted_noise(sweep: _Sweep) -> _Noise:
    """Standard deviation of the analog noise of a read, counts, from the variances of the reads."""
    pooled = float(jnp.mean(sweep.variance))
    if pooled - sweep.step**2 / 12 < (SMALLEST_NOISE * sweep.step) ** 2:
        raise ValueError(
            f"This table cannot identify noise or errors: its reads scatter by {np.sqrt(pooled):.3g} counts rms, too "
            f"little beside the ADC's step of {sweep.step:.3g} counts to show what lies between two levels."
        )
    best, covariance = _minimum(_noise_loss, (), np.array([np.log(pooled - sweep.step**2 / 12) / 2]), sweep)
    sigma = float(np.exp(best[0]))
    left = sweep.variance / _expected_variance(jnp.asarray(best), sweep) - 1
    dispersion = float(jnp.mean(left**2)) * (sweep.reads - 1) / 2
    # A few reads on two levels of the ADC scatter more than chi-square (McCullagh, Ann. Statist. 11, 1983).
    error = sigma * float(np.sqrt(covariance[0, 0] * max(dispersion, 1.0)))
    return _Noise(sigma, error, dispersion)


@jax.jit
def _expected_variance(log_sigma: Array, sweep: _Sweep) -> Array:
    """Variance of the reads of each value for a given noise."""
    # A search may look below; there the series is cut off and the likelihood has no meaning.
    sigma = jnp.maximum(jnp.exp(log_sigma[0]), SMALLEST_NOISE * sweep.step)
    blur = jnp.sqrt((sigma**2 + sweep.step**2 / 12) / sweep.reads)
    return read_moments(_value_before(sweep, sigma), sigma, sweep.step, blur)[1]


def _noise_loss(names: tuple[str, ...], log_sigma: Array, sweep: _Sweep) -> Array:
    variance = _expected_variance(log_sigma, sweep)
    return (sweep.reads - 1) / 2 * jnp.sum(jnp.log(variance) + sweep.variance / variance)


def _noise_parameter(name: str, macro: SwitchedCapacitor, noise: _Noise) -> tuple[float, float]:
    """Value and standard error of the parameter that explains the noise; its variance is affine in `power` of it."""
    power = 2 if name == "comparator.noise" else 1
    reference = _start(name, macro)
    rest = float(_with_value(macro, name, 0.0).noise_counts) ** 2
    slope = float(_with_value(macro, name, reference).noise_counts) ** 2 - rest
    share = noise.sigma**2 - rest
    if share <= 0 or slope <= 0:
        raise ValueError(
            f"This table cannot identify `{name}`: of its noise, {noise.sigma:.3g} counts, the rest of the macro alone "
            f"explains {np.sqrt(rest):.3g}."
        )
    value = reference * (share / slope) ** (1 / power)
    return value, value * 2 * noise.sigma * noise.error / (power * share)


def _fitted_static(
    names: list[str], macro: SwitchedCapacitor, sweep: _Sweep, sigma: float
) -> tuple[dict[str, tuple[float, float]], float]:
    """Values and standard errors of the static parameters, and the mean square of the whitened errors."""
    errors = _value_before(sweep, jnp.asarray(sigma)) + sweep.origin - sweep.count[None]
    # Contrasts do not see what all counts of a line share: an offset that is trimmed, or not asked for, stays unknown.
    size = len(sweep.count)
    offset = "comparator.offset_sigma" in names
    basis = jnp.asarray(np.eye(size) if offset else np.linalg.svd(np.ones((1, size)))[2][1:])
    read = (sigma**2 + sweep.step**2 / 12) / sweep.reads
    seen = _Seen(jnp.matmul(errors, basis.T), basis, jnp.asarray(read), macro, sweep)
    best, covariance = _minimum(_static_loss, tuple(names), np.log([_start(name, macro) for name in names]), seen)
    values, spread = np.exp(best), np.sqrt(np.diag(covariance))
    found = {name: (float(v), float(v * s)) for name, v, s in zip(names, values, spread, strict=True)}
    return found, float(jnp.mean(_whitened(tuple(names), jnp.asarray(best), seen)[0] ** 2))


class _Seen(NamedTuple):
    """Errors of all lines in a basis over the counts, and what their covariance depends on."""

    errors: Array
    basis: Array
    read: Array
    macro: SwitchedCapacitor
    sweep: _Sweep


def _whitened(names: tuple[str, ...], logs: Array, seen: _Seen) -> tuple[Array, Array]:
    covariance = _covariance(dict(zip(names, jnp.exp(logs), strict=True)), seen.macro, seen.sweep)
    covariance = covariance + seen.read * jnp.eye(len(covariance))
    root = jnp.linalg.cholesky(seen.basis @ covariance @ seen.basis.T)
    return jax.scipy.linalg.solve_triangular(root, seen.errors.T, lower=True), root


def _static_loss(names: tuple[str, ...], logs: Array, seen: _Seen) -> Array:
    white, root = _whitened(names, logs, seen)
    return len(seen.errors) * jnp.sum(jnp.log(jnp.diagonal(root))) + jnp.sum(white**2) / 2


def _covariance(values: dict[str, Array], macro: SwitchedCapacitor, sweep: _Sweep) -> Array:
    """Covariance of the static errors of one line at two counts; the module docstring has the equation."""
    coefficient = values.get("mismatch_coefficient", macro.mismatch_coefficient)
    unit_sigma = capacitor_mismatch_sigma(macro.unit_capacitance, coefficient)
    k, total = sweep.ups, macro.total_units
    varying = macro.rows + jnp.sum(macro.bias_dac.section_units())
    product = k[:, None] * k[None, :]
    walk = jnp.minimum(k[:, None], k[None, :]) - product * (2 / total - varying / total**2)
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


def _checked_names(parameters: Sequence[str], macro: Any) -> list[str]:
    if not isinstance(macro, SwitchedCapacitor) or not isinstance(macro.adc, Adc) or macro.comparator is None:
        raise ValueError(
            "Argument `macro` must be a SwitchedCapacitor with a comparator and the uniform converter `Adc`; another "
            "one's own errors would be taken for those of the line."
        )
    for part in (*PARTS, "supply_noise"):
        if getattr(macro, part) is not None:
            raise ValueError(f"Argument `macro` must have no part `{part}`, whose effect on a sweep this fit lacks.")
    names = [parameters] if isinstance(parameters, str) else list(parameters)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"Argument `parameters` must have one or more names, each once, but is {parameters!r}.")
    for name in names:
        one_of("parameters", name, UNITS)
    if set(_NOISE) <= set(names):
        raise ValueError(
            "Argument `parameters` must have only one of comparator.noise and temperature: the noise of a read is one "
            "number, which does not tell them apart."
        )
    if "comparator.offset_sigma" in names and macro.comparator.trim is not None:
        raise ValueError(
            "Argument `macro` must have a comparator without trim to fit comparator.offset_sigma: a trimmed offset "
            "shows the trim's step, not the offset."
        )
    return names


def _check_static(names: list[str], sweep: _Sweep) -> None:
    if len(sweep.mean) < FEWEST_LINES:
        raise ValueError(
            f"This table cannot identify `{names[0]}`: a spread over columns and dies needs {FEWEST_LINES} of them, "
            f"but here are {len(sweep.mean)}."
        )


def _check_identified(name: str, value: float, error: float) -> None:
    if not error <= LARGEST_ERROR * value:
        raise ValueError(
            f"This table cannot identify `{name}`: its standard error, {error:.3g} {UNITS[name]}, is not well below "
            f"its value, {value:.3g} {UNITS[name]}."
        )


def _value(name: str, macro: SwitchedCapacitor) -> float:
    owner: Any = macro
    for part in name.split("."):
        owner = getattr(owner, part)
    return float(owner)


def _start(name: str, macro: SwitchedCapacitor) -> float:
    return _value(name, macro) or STARTS[name]


def _with_value(macro: SwitchedCapacitor, name: str, value: float) -> SwitchedCapacitor:
    if "." not in name:
        return dataclasses.replace(macro, **{name: value})
    part, field = name.split(".")
    return dataclasses.replace(macro, **{part: dataclasses.replace(getattr(macro, part), **{field: value})})


def _float64() -> contextlib.AbstractContextManager[Any]:
    # Sums over 1e5 cells of a likelihood and its Hessian need it; its name moved in JAX 0.8.
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64(True)


def _labelled(
    names: list[str], found: dict[str, tuple[float, float]], macro: SwitchedCapacitor, attributes: dict[str, Any]
) -> xr.Dataset:
    columns = {
        "value": ([found[name][0] for name in names], "fitted value, unit in coordinate `unit`"),
        "standard_error": ([found[name][1] for name in names], "standard error of the fitted value"),
        "start": ([_start(name, macro) for name in names], "value that the search started from"),
    }
    variables = {name: (("parameter",), values, {"long_name": text}) for name, (values, text) in columns.items()}
    coordinates = {"parameter": names, "unit": (("parameter",), [UNITS[name] for name in names])}
    versions = {"amsim_version": importlib.metadata.version("amsim"), "jax_version": jax.__version__}
    return xr.Dataset(variables, coordinates, {"macro": described(macro), **attributes, **versions})
