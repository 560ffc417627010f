"""Lumped model of a converter by its signal-to-noise ratio: effective bits, figures of merit, minimum energy.

Ratios are powers in dB. Array arguments broadcast against each other.
"""

import math

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real
from scipy import constants

from amsim.noise.checks import floating, level, non_negative, positive

_DB_PER_BIT = 20 * math.log10(2)
_FULL_SCALE_SINE = 10 * math.log10(1.5)


def enob_of_sndr(sndr: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Effective number of bits from the SNDR of a full-scale sine, `(SNDR - 1.76) / 6.02`.

    Args:
        sndr: Signal-to-noise-and-distortion ratio, shape (...), dB.

    Returns:
        Bits, shape (...), 1.

    Source: facts 6.1, with the exact 10 log10(3/2) and 20 log10(2).
    """
    return (level("sndr", sndr) - _FULL_SCALE_SINE) / _DB_PER_BIT


def sndr_of_enob(enob: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """SNDR of a full-scale sine from the effective number of bits, `6.02 ENOB + 1.76`.

    Args:
        enob: Effective bits, shape (...), 1.

    Returns:
        SNDR, shape (...), dB.

    Source: as `enob_of_sndr`.
    """
    return _DB_PER_BIT * floating("enob", enob) + _FULL_SCALE_SINE


def jitter_snr(frequency: Real[ArrayLike, "..."], jitter: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Largest SNR of a sampled sine, `-20 log10(2 pi f sigma_t)`.

    Args:
        frequency: Of the sine, shape (...), Hz.
        jitter: Standard deviation of the sampling instant, shape (...), s.

    Returns:
        SNR, shape (...), dB.

    Raises:
        ValueError: A concrete argument is not positive. A traced one gives NaN.

    Validity: jitter far below a period. Source: facts 6.1.
    """
    f, sigma = positive("frequency", frequency), positive("jitter", jitter)
    return decibels((2 * math.pi * f * sigma) ** -2)


def walden_fom(
    power: Real[ArrayLike, "..."], enob: Real[ArrayLike, "..."], rate: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Walden's figure of merit, `P / (2^ENOB f_nyq)`.

    Args:
        power: Shape (...), W.
        enob: Effective bits, shape (...), 1.
        rate: Nyquist rate, shape (...), Hz.

    Returns:
        Energy per conversion step, shape (...), J.

    Raises:
        ValueError: A concrete `power` or `rate` is not positive. A traced one gives NaN.

    Source: facts 6.1.
    """
    return positive("power", power) / positive("rate", rate) / jnp.exp2(floating("enob", enob))


def schreier_fom(
    power: Real[ArrayLike, "..."], sndr: Real[ArrayLike, "..."], rate: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Schreier's figure of merit, `SNDR + 10 log10(f_nyq / (2 P))`.

    Args:
        power: Shape (...), W.
        sndr: Shape (...), dB.
        rate: Nyquist rate, shape (...), Hz.

    Returns:
        Figure of merit, shape (...), dB.

    Raises:
        ValueError: A concrete `power` or `rate` is not positive. A traced one gives NaN.

    Source: facts 6.1.
    """
    return level("sndr", sndr) + decibels(positive("rate", rate) / positive("power", power) / 2)


def conversion_energy(sndr: Real[ArrayLike, "..."], schreier: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Energy of one conversion, `10^((SNDR - FOM_S) / 10) / 2`.

    Args:
        sndr: Shape (...), dB.
        schreier: Schreier's figure of merit, shape (...), dB.

    Returns:
        Energy, shape (...), J.

    Source: facts 6.1.
    """
    return power_ratio(level("sndr", sndr) - floating("schreier", schreier)) / 2


def parallel_snr(*ratios: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """SNR of several independent noise sources together, `1 / SNR = sum 1 / SNR_i`.

    Args:
        ratios: One or more SNRs, shape (...) that broadcast, dB.

    Returns:
        Total SNR, shape (...), dB.

    Raises:
        ValueError: No ratio is given.

    Source: facts 5.4.
    """
    if not ratios:
        raise ValueError("Argument `ratios` must hold at least one signal-to-noise ratio, but is empty.")
    levels = [level("ratios", ratio) for ratio in ratios]
    lowest = levels[0]
    for one in levels[1:]:
        lowest = jnp.minimum(lowest, one)
    # Relative to the smallest, so that 400 dB does not underflow.
    return lowest - decibels(sum((power_ratio(lowest - one) for one in levels), start=jnp.zeros_like(lowest)))


def converter_sqnr(bits: Real[ArrayLike, "..."], clip: Real[ArrayLike, "..."] = 4.0) -> Float[Array, "..."]:
    """Signal-to-quantisation-noise ratio of a converter that spans +-`clip` standard deviations of a Gaussian sum.

    `1 / SQNR = (D^2 / 12) (1 - 2 Q) + 2 ((c'^2 + 1) Q + (D - c) phi)` with the step `D = 2 c / 2^B`, the outermost
    level `c' = c - D / 2`, the density `phi` at c and the tail `Q = Phi(-c)`: rounding inside the span and
    `E[(y - c')^2; y > c]` outside. For c = 4 it is `6.02 B - 7.27` dB up to about 8 bits.

    Args:
        bits: B, shape (...), 1.
        clip: c, half of the span in standard deviations of the signal, shape (...), 1.

    Returns:
        SQNR, shape (...), dB.

    Raises:
        ValueError: A concrete argument is not positive. A traced one gives NaN.

    Validity: step below about one standard deviation; `clip` below about 6 in float32, where the clipped part is a
    difference of nearly equal numbers. Source: facts 5.4 (4 sigma); the clipped part by integration of the Gaussian.
    """
    b, c = positive("bits", bits), positive("clip", clip)
    step = c * jnp.exp2(1 - b)
    tail, density = ndtr(-c), jnp.exp(-(c**2) / 2) / math.sqrt(2 * math.pi)
    clipped = (1 + (c - step / 2) ** 2) * tail + (step - c) * density
    return -decibels(step**2 / 12 * (1 - 2 * tail) + 2 * jnp.maximum(clipped, 0.0))


def needed_converter_bits(snr: Real[ArrayLike, "..."], loss: Real[ArrayLike, "..."] = 0.5) -> Float[Array, "..."]:
    """Converter resolution that costs an array a given loss of SNR, `(SNR + 7.2 - g - 10 log10(1 - 10^(-g / 10))) / 6`.

    With g = 0.5 dB it is about `(SNR + 16.2) / 6`.

    Args:
        snr: SNR before the converter, shape (...), dB.
        loss: g, loss of SNR due to the converter, shape (...), dB.

    Returns:
        Bits of a converter that clips at 4 sigma, shape (...), 1; not rounded up, so that it has a derivative. No
        more is needed than tells all sums apart.

    Raises:
        ValueError: A concrete `loss` is not positive. A traced one gives NaN.

    Validity: as `converter_sqnr` without its clipped part, up to about 8 bits. Source: facts 5.4, with exact constants.
    """
    g = positive("loss", loss)
    sqnr = level("snr", snr) - g - 10 * jnp.log10(-jnp.expm1(-g * (math.log(10) / 10)))
    return (sqnr + 10 * math.log10(16 / 3)) / _DB_PER_BIT


def least_sampling_energy(
    bits: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."] = 300.0
) -> Float[Array, "..."]:
    """Minimum energy to sample a result of B bits, `12 k T 4^B`: kT/C noise equals quantisation noise at full supply.

    Args:
        bits: B, shape (...), 1.
        temperature: T, shape (...), K.

    Returns:
        Energy `C V_DD^2` per sample, shape (...), J.

    Raises:
        ValueError: A concrete `temperature` is not positive or `bits` is negative. A traced one gives NaN.

    Source: facts 5.1.
    """
    return 12 * (constants.k * positive("temperature", temperature)) * jnp.exp2(2 * non_negative("bits", bits))


def decibels(ratio: Float[Array, "..."]) -> Float[Array, "..."]:
    """Ratio of powers (1) in dB.

    Args:
        ratio: Of powers, any shape, 1.

    Returns:
        Same shape, dB.
    """
    return 10 * jnp.log10(ratio)


def power_ratio(level: Float[Array, "..."]) -> Float[Array, "..."]:
    """Ratio of powers (1) from dB.

    Args:
        level: Any shape, dB.

    Returns:
        Same shape, 1.
    """
    return jnp.exp(level * (math.log(10) / 10))
