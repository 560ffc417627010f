"""Standard tests of a converter on its output codes: sine fit, spectrum, and code density. Plain NumPy, float64.

Source of all: IEEE Std 1241, "Terminology and test methods for analog-to-digital converters".
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, real_numbers
from amsim.noise.checks import real

SINE_FIT_STEPS = 60
"""Maximum number of refinements of the frequency."""

LEAST_CYCLES = 0.5
"""Fewest cycles of a fitted sine in a record: a drift is the start of some slow sine, and fits one without end."""


class SineFit(NamedTuple):
    """Least-squares sine `amplitude cos(2 pi frequency n + phase) + offset`; residual and ratios follow from it.

    Attributes:
        amplitude: Unit of the samples.
        frequency: Cycles per sample, 1.
        phase: rad.
        offset: Unit of the samples.
        residual: Rms difference between samples and sine, unit of the samples.
        sndr: Signal-to-noise-and-distortion ratio, dB.
        enob: `(sndr - 1.76) / 6.02`, bit.
    """

    amplitude: float
    frequency: float
    phase: float
    offset: float
    residual: float
    sndr: float
    enob: float


class Spectrum(NamedTuple):
    """Ratios of a coherent spectrum.

    Attributes:
        sndr: Fundamental to all else but the mean, dB.
        enob: `(sndr - 1.76) / 6.02`, bit.
        sfdr: Fundamental to the largest other line, dB.
        thd: Harmonics 2 to 6 to the fundamental, dB (negative).
        snr: Fundamental to all but harmonics 2 to 6 and the mean, dB.
    """

    sndr: float
    enob: float
    sfdr: float
    thd: float
    snr: float


class CodeDensity(NamedTuple):
    """Static linearity by counting codes.

    Attributes:
        transitions: Lower ends of codes 1, 2, ..., unit and origin of the stimulus' range, from -1 to 1.
        dnl: Width of each code between two transitions less 1, LSB of the end-point fit.
        inl: Distance of each transition from the end-point line, LSB.
    """

    transitions: np.ndarray
    dnl: np.ndarray
    inl: np.ndarray


@checked_arguments
def coherent_cycles(samples: int, cycles: float) -> int:
    """Whole number of cycles, nearest to the one wanted, that has no common factor with the number of samples.

    Every sample then has a different phase, and the sine falls on a single line of the spectrum.

    Args:
        samples: Number of samples, at least 8.
        cycles: Cycles wanted in all samples; any number.

    Returns:
        From 1 to below half the samples.

    Raises:
        ValueError: Fewer than 8 samples.
    """
    integer_between("samples", samples, 8)
    candidates = np.arange(1, samples // 2)
    candidates = candidates[np.gcd(candidates, samples) == 1]
    return int(candidates[np.argmin(np.abs(candidates - cycles))])


@checked_arguments
def full_scale_sine(levels: int, samples: int, cycles: int, *, overdrive: float = 0.0) -> Float[np.ndarray, " samples"]:
    """Sine over the whole range of a converter, in codes from `-(levels // 2)`.

    `amplitude cos(2 pi cycles n / samples) + middle`, the amplitude `levels / 2 + overdrive`: the range ends half a
    code outside the outermost codes. The phase is moved off the symmetry at which samples come in equal pairs.

    Args:
        levels: Output codes of the converter.
        samples: Number of samples.
        cycles: Whole cycles in them, from `coherent_cycles`.
        overdrive: How far the sine goes beyond the range at each end, codes.

    Returns:
        Samples, codes.
    """
    integer_between("levels", levels, 2)
    middle = -(levels // 2) + (levels - 1) / 2
    phase = 2 * np.pi * (cycles * np.arange(samples) / samples) + 1 / 3
    return (levels / 2 + overdrive) * np.cos(phase) + middle


@checked_arguments
def fit_sine(samples: Real[np.ndarray, " samples"], frequency: float | None = None) -> SineFit:
    """Fit a sine by least squares: three parameters at a known frequency, else four.

    Four parameters: Gauss-Newton on `A cos(w n) + B sin(w n) + C`, with the derivative with respect to `w` as a
    fourth column, started from the interpolated peak of the windowed spectrum.

    Args:
        samples: At least 8, any unit.
        frequency: Cycles per sample, between 0 and 1/2; None fits it.

    Returns:
        The fit.

    Raises:
        ValueError: Samples of the wrong shape, too few, not finite or all alike; a frequency outside its range; or no
            frequency of at least `LEAST_CYCLES` in the record that fits.

    Source: IEEE Std 1241, annexes on three- and four-parameter fits.
    """
    values = _values("samples", samples)
    n = np.arange(values.size) - (values.size - 1) / 2  # centred, so that frequency and phase separate
    if frequency is not None:
        if not 0 < frequency < 0.5:
            raise ValueError(f"Argument `frequency` must be between 0 and 0.5 cycles per sample, but is {frequency}.")
        w = 2 * np.pi * frequency
    else:
        w = _refine_frequency(values, n, 2 * np.pi * _spectral_peak(values))
        cycles = w / (2 * np.pi) * values.size
        if cycles < LEAST_CYCLES:
            raise ValueError(
                f"Argument `samples` must hold a sine of at least {LEAST_CYCLES:g} cycles, but the best fit has "
                f"{cycles:.2g}: a drift is no sine; give the `frequency` where it is known."
            )
    a, b, c = np.linalg.lstsq(_columns(w, n), values, rcond=None)[0]
    residual = float(np.sqrt(np.mean((values - _columns(w, n) @ np.array([a, b, c])) ** 2)))
    amplitude = float(np.hypot(a, b))
    phase = float(np.arctan2(-b, a) + w * n[0])
    sndr = _decibels(amplitude**2 / 2, residual**2)
    phase = float(np.angle(np.exp(1j * phase)))
    return SineFit(amplitude, float(w / (2 * np.pi)), phase, float(c), residual, sndr, _enob(sndr))


@checked_arguments
def coherent_spectrum(samples: Real[np.ndarray, " samples"], cycles: int) -> Spectrum:
    """Ratios from the spectrum of a record that holds a whole number of cycles; no window.

    Args:
        samples: At least 8, any unit.
        cycles: Cycles of the fundamental in the record, from 1 to below half of the samples.

    Returns:
        The ratios.

    Raises:
        ValueError: Samples of the wrong shape, too few, not finite or all alike, or cycles outside their range.

    Valid for coherent records: leakage of any other counts as noise.
    """
    values = _values("samples", samples)
    size = values.size
    integer_between("cycles", cycles, 1, (size - 1) // 2)
    power = np.abs(np.fft.rfft(values)) ** 2
    # All lines but the mean and, in even records, the last one stand for two.
    power[1 : (size + 1) // 2] *= 2
    power[0] = 0.0
    signal = power[cycles]
    folded = {min(k * cycles % size, -k * cycles % size) for k in (2, 3, 4, 5, 6)} - {0, cycles}
    others = np.delete(power, cycles)
    harmonics = float(sum(power[k] for k in folded))
    total = float(np.sum(others))
    sndr = _decibels(signal, total)
    return Spectrum(
        sndr,
        _enob(sndr),
        _decibels(signal, float(np.max(others))),
        -_decibels(signal, harmonics),
        _decibels(signal, max(total - harmonics, 0.0)),
    )


@checked_arguments
def sine_code_density(codes: Real[np.ndarray, " samples"], levels: int) -> CodeDensity:
    """Transitions, DNL and INL from the codes of a sine that slightly overdrives the range.

    With the fraction `p_k` of samples below code `k`, `T_k = -cos(pi p_k)` in units of the amplitude, which undoes the
    arcsine density; the end-point fit removes amplitude and offset.

    Args:
        codes: Whole numbers from 0 to `levels - 1`.
        levels: Output codes, at least 3.

    Returns:
        The linearity.

    Raises:
        ValueError: Codes outside their range; the first or last code never occurs, so that the sine does not reach
            it; or no other one does, so that no step lies between them.

    Valid for coherent records with many more samples than codes. Source: IEEE Std 1241, code density by a sine.
    """
    below = _fraction_below(codes, levels)
    return _density(-np.cos(np.pi * below))


@checked_arguments
def ramp_code_density(codes: Real[np.ndarray, " samples"], levels: int) -> CodeDensity:
    """Transitions, DNL and INL from the codes of a slow ramp that starts and ends outside the transitions.

    Args:
        codes: Whole numbers from 0 to `levels - 1`.
        levels: Output codes, at least 3.

    Returns:
        The linearity.

    Raises:
        ValueError: As in `sine_code_density`.

    Source: IEEE Std 1241, code density by a ramp.
    """
    return _density(2.0 * _fraction_below(codes, levels) - 1.0)


def _fraction_below(codes: np.ndarray, levels: int) -> np.ndarray:
    integer_between("levels", levels, 3)
    numbers = np.asarray(real("codes", codes), float)
    inside = (numbers >= 0) & (numbers < levels)
    if numbers.size == 0 or not np.all(inside) or np.any(numbers % 1):
        raise ValueError(f"Argument `codes` must be whole numbers from 0 to {levels - 1}, but has others, or none.")
    whole = numbers.astype(int).ravel()
    counts = np.bincount(whole, minlength=levels)
    if counts[0] == 0 or counts[-1] == 0:
        raise ValueError(
            f"Argument `codes` must include 0 and {levels - 1}, but has only {whole.min()} to {whole.max()}: "
            "overdrive the range."
        )
    if not np.any(counts[1:-1]):
        raise ValueError(f"Argument `codes` must include codes between 0 and {levels - 1}, but has the two ends only.")
    return np.cumsum(counts)[:-1] / whole.size


def _density(transitions: np.ndarray) -> CodeDensity:
    lsb = (transitions[-1] - transitions[0]) / (transitions.size - 1)
    inl = (transitions - transitions[0]) / lsb - np.arange(transitions.size)
    return CodeDensity(transitions, np.diff(transitions) / lsb - 1.0, inl)


def _columns(w: float, n: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(w * n), np.sin(w * n), np.ones_like(n)], axis=1)


def _refine_frequency(values: np.ndarray, n: np.ndarray, w: float) -> float:
    for _ in range(SINE_FIT_STEPS):
        three = _columns(w, n)
        a, b, _ = np.linalg.lstsq(three, values, rcond=None)[0]
        slope = (-a * three[:, 1] + b * three[:, 0]) * n
        step = float(np.linalg.lstsq(np.column_stack([three, slope]), values, rcond=None)[0][3])
        # A step beyond one line of the spectrum would leave the peak.
        w += float(np.clip(step, -np.pi / values.size, np.pi / values.size))
        if abs(step) < 1e-14 * w:
            break
    # A record without a clear line may lead the steps out of the band, to where samples cannot tell frequencies apart.
    return w if 0 <= w <= np.pi else abs((w + np.pi) % (2 * np.pi) - np.pi)


def _spectral_peak(values: np.ndarray) -> float:
    """Frequency of the largest line, interpolated between its neighbours, cycles per sample."""
    size = values.size
    magnitude = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(size)))
    peak = int(np.clip(np.argmax(magnitude), 1, magnitude.size - 2))
    left, middle, right = magnitude[peak - 1 : peak + 2]
    curvature = left - 2 * middle + right
    return (peak + (0.5 * (left - right) / curvature if curvature else 0.0)) / size


def _values(name: str, samples: np.ndarray) -> np.ndarray:
    values = real_numbers(name, samples, (1,))
    if values.size < 8 or not np.all(np.isfinite(values)):
        raise ValueError(f"Argument `{name}` must hold at least 8 finite numbers, but has {values.size} numbers.")
    largest = float(np.max(np.abs(values)))
    # Not 0: a constant that went through arithmetic differs in its last bits, which are no signal.
    if np.ptp(values) <= 64 * np.finfo(np.float64).eps * largest:
        raise ValueError(f"Argument `{name}` must hold a signal, but all its numbers are {values[0]:g}.")
    return values


def _decibels(signal: float, rest: float) -> float:
    """10 log10 of a ratio of powers: infinite without a rest, minus infinite without a signal, whatever the rest."""
    if signal <= 0 or rest <= 0:
        return float("inf") if signal > 0 else -float("inf")
    return float(10.0 * np.log10(np.float64(signal) / rest))


def _enob(sndr: float) -> float:
    return (sndr - 1.76) / 6.02
