"""Lumped models: a whole converter or array as one signal-to-noise ratio, for limits and quick comparisons.

Ratios are powers in dB. Array arguments broadcast against each other.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real
from scipy import constants

from amsim.noise._checks import non_negative, positive
from amsim.noise.mismatch import PESSIMISTIC_COEFFICIENT

_DB_PER_BIT = 20 * math.log10(2)
_FULL_SCALE_SINE = 10 * math.log10(1.5)

INJECTING_CAPACITANCE = 0.31 * constants.femto
"""Channel capacitance W L C_ox of a minimum 65 nm switch, F (Gonugondla et al., as in public code; facts 5.4)."""


def enob_of_sndr(sndr: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Effective number of bits of a full-scale sine, `(SNDR - 1.76) / 6.02`.

    Args:
        sndr: Signal to noise and distortion, shape (...), dB.

    Returns:
        Bits, shape (...), 1.

    Source: facts 6.1, with the exact 10 log10(3/2) and 20 log10(2).
    """
    return (_real(sndr) - _FULL_SCALE_SINE) / _DB_PER_BIT


def sndr_of_enob(enob: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Signal to noise and distortion of a full-scale sine, `6.02 ENOB + 1.76`.

    Args:
        enob: Effective bits, shape (...), 1.

    Returns:
        SNDR, shape (...), dB.

    Source: as `enob_of_sndr`.
    """
    return _DB_PER_BIT * _real(enob) + _FULL_SCALE_SINE


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
    return _decibels((2 * math.pi * f * sigma) ** -2)


def walden_fom(
    power: Real[ArrayLike, "..."], enob: Real[ArrayLike, "..."], rate: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Walden's figure of merit, `P / (2^ENOB f_nyq)`.

    Args:
        power: Shape (...), W.
        enob: Effective bits, shape (...), 1.
        rate: Nyquist rate, shape (...), Hz.

    Returns:
        Energy of a conversion step, shape (...), J.

    Raises:
        ValueError: A concrete `power` or `rate` is not positive. A traced one gives NaN.

    Source: facts 6.1.
    """
    return positive("power", power) / positive("rate", rate) / jnp.exp2(_real(enob))


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
    return _real(sndr) + _decibels(positive("rate", rate) / positive("power", power) / 2)


def conversion_energy(sndr: Real[ArrayLike, "..."], schreier: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Energy of one conversion, `10^((SNDR - FOM_S) / 10) / 2`.

    Args:
        sndr: Shape (...), dB.
        schreier: Schreier's figure of merit, shape (...), dB.

    Returns:
        Energy, shape (...), J.

    Source: facts 6.1.
    """
    return _ratio(_real(sndr) - _real(schreier)) / 2


def layer_sigma(
    products: Real[ArrayLike, "..."], products_per_conversion: Real[ArrayLike, "..."], enob: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Error of a sum whose products are digitised in groups, `sqrt(N_tot N_mult) LSB_1 / sqrt(12)`.

    `LSB_1 = 2^-(ENOB - 1)` is the step for one product: a group spans +-N_mult, and N_tot / N_mult groups add up.

    Args:
        products: N_tot, products of a sum, shape (...), 1.
        products_per_conversion: N_mult, shape (...), 1.
        enob: Effective bits of the converter, shape (...), 1.

    Returns:
        Standard deviation of the Gaussian added to each sum, shape (...), 1, for operands in [-1, 1].

    Raises:
        ValueError: A concrete number of products is not positive. A traced one gives NaN.

    Source: Rekhi et al., DAC 2019 (facts 5.5, recalled).
    """
    total, group = positive("products", products), positive("products_per_conversion", products_per_conversion)
    return jnp.sqrt(total * group / 12) * jnp.exp2(1 - _real(enob))


def layer_conversion_energy(enob: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Energy of one conversion, 0.3 pJ up to 10.5 effective bits and `10^((6.02 ENOB - 68.25) / 10)` pJ above.

    Args:
        enob: Effective bits, shape (...), 1.

    Returns:
        Energy, shape (...), J; divided by the products of a conversion it is Rekhi's energy of a MAC. It jumps by 4 %
        at 10.5 bits, as published.

    Source: Rekhi et al., DAC 2019 (facts 5.5, recalled).
    """
    bits = _real(enob)
    above = _ratio(6.02 * jnp.maximum(bits, 10.5) - 68.25)
    return jnp.where(bits > 10.5, above, 0.3) * constants.pico


class Operands(NamedTuple):
    """Moments of uniform operands as integers of finite length represent them.

    Attributes:
        input_square: Mean square of an input in [0, 1), 1.
        weight_variance: Variance of a weight in [-1, 1), 1.
        product_variance: Variance of one product, 1.
        quantisation: Variance of the error of one product by quantising both, 1.
    """

    input_square: Float[Array, "..."]
    weight_variance: Float[Array, "..."]
    product_variance: Float[Array, "..."]
    quantisation: Float[Array, "..."]


def uniform_operands(input_bits: Real[ArrayLike, "..."], weight_bits: Real[ArrayLike, "..."]) -> Operands:
    """Signal and quantisation noise of one product of uniform operands; times N they are those of a dot product.

    `E[x] = (1 - 2^-B_x) / 2`, `var x = (1 - 4^-B_x) / 12`, `E[w] = -2^-B_w`, `var w = (1 - 4^-B_w) / 3`;
    `sigma_y^2 = E[w^2] E[x^2] - (E[w] E[x])^2`, `sigma_qi^2 = (4^-B_x var w + 4^(1 - B_w) E[x^2]) / 12`.

    Args:
        input_bits: B_x of unsigned inputs, shape (...), 1.
        weight_bits: B_w of signed weights, shape (...), 1.

    Returns:
        Moments, each shape (...).

    Raises:
        ValueError: A concrete number of bits is not positive. A traced one gives NaN.

    Source: Gonugondla et al., IEEE TCAD 2022 (facts 5.4, from public code that cites it).
    """
    x_step = jnp.exp2(-positive("input_bits", input_bits))
    w_step = jnp.exp2(-positive("weight_bits", weight_bits))
    x_mean, w_mean = (1 - x_step) / 2, -w_step
    x_square = (1 - x_step**2) / 12 + x_mean**2
    w_variance = (1 - w_step**2) / 3
    signal = (w_variance + w_mean**2) * x_square - (w_mean * x_mean) ** 2
    quantisation = (x_step**2 * w_variance + 4 * w_step**2 * x_square) / 12
    return Operands(x_square, w_variance, signal, quantisation)


class ChargeSharingNoise(NamedTuple):
    """Variances by which charge sharing adds to one product of uniform operands.

    Attributes:
        mismatch: Of the capacitors, 1.
        thermal: kT/C, 1.
        injection: Of the switches, 1.
    """

    mismatch: Float[Array, "..."]
    thermal: Float[Array, "..."]
    injection: Float[Array, "..."]


def charge_sharing_noise(
    input_bits: Real[ArrayLike, "..."],
    weight_bits: Real[ArrayLike, "..."],
    capacitance: Real[ArrayLike, "..."],
    supply: Real[ArrayLike, "..."],
    *,
    temperature: Real[ArrayLike, "..."] = 300.0,
    mismatch_coefficient: Real[ArrayLike, "..."] = PESSIMISTIC_COEFFICIENT,
    injecting_capacitance: Real[ArrayLike, "..."] = INJECTING_CAPACITANCE,
    injected_part: Real[ArrayLike, "..."] = 0.5,
) -> ChargeSharingNoise:
    """Noise of a product by charge redistribution with one capacitor for each product and weight bit.

    `(2/3) (1 - 4^-B_w) (E[x^2] kappa^2 / C + 2 k T / (C V_DD^2) + E[x^2] (p W L C_ox / C)^2)`, the three terms apart.

    Args:
        input_bits: B_x of unsigned inputs, shape (...), 1.
        weight_bits: B_w of signed weights, shape (...), 1.
        capacitance: C of one product, shape (...), F.
        supply: V_DD, shape (...), V.
        temperature: T, shape (...), K.
        mismatch_coefficient: kappa, shape (...), sqrt(F).
        injecting_capacitance: W L C_ox of a switch, shape (...), F; 0 for no injection.
        injected_part: p, share of the channel charge that reaches the capacitor, shape (...), 1.

    Returns:
        Variances for a single product, each shape (...), 1; times N for a dot product of N.

    Raises:
        ValueError: A concrete argument is not positive (coefficients: negative). A traced one gives NaN.

    Validity: independent errors, no clipping; injection as if it were random. Source: Gonugondla et al., IEEE TCAD 2022
    (facts 5.4, from public code; the injection term squared, as that code corrects the printed table).
    """
    x_square = uniform_operands(input_bits, weight_bits).input_square
    scale = (1 - jnp.exp2(-2 * positive("weight_bits", weight_bits))) * 2 / 3
    c, volts = positive("capacitance", capacitance), positive("supply", supply)
    kappa = non_negative("mismatch_coefficient", mismatch_coefficient)
    channel = non_negative("injecting_capacitance", injecting_capacitance)
    kelvin = non_negative("temperature", temperature)
    return ChargeSharingNoise(
        mismatch=scale * x_square * (kappa / jnp.sqrt(c)) ** 2,
        thermal=scale * 2 * (constants.k * kelvin / c) / volts**2,
        injection=scale * x_square * (non_negative("injected_part", injected_part) * (channel / c)) ** 2,
    )


def charge_sharing_snr(
    input_bits: Real[ArrayLike, "..."],
    weight_bits: Real[ArrayLike, "..."],
    capacitance: Real[ArrayLike, "..."],
    supply: Real[ArrayLike, "..."],
    **settings: Real[ArrayLike, "..."],
) -> Float[Array, "..."]:
    """Analog compute SNR of a charge-redistribution dot product, `sigma_y^2 / sigma_eta^2`, of any length.

    Args:
        input_bits: B_x of unsigned inputs, shape (...), 1.
        weight_bits: B_w of signed weights, shape (...), 1.
        capacitance: C of one product, shape (...), F.
        supply: V_DD, shape (...), V.
        settings: Further arguments of `charge_sharing_noise`.

    Returns:
        SNR, shape (...), dB, without quantisation of operands and result; `parallel_snr` joins those.

    Raises:
        ValueError: As `charge_sharing_noise`.

    Validity and source: as `charge_sharing_noise`.
    """
    noise = charge_sharing_noise(input_bits, weight_bits, capacitance, supply, **settings)
    signal = uniform_operands(input_bits, weight_bits).product_variance
    return _decibels(signal / (noise.mismatch + noise.thermal + noise.injection))


def parallel_snr(*ratios: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """SNR with several independent noises, `1 / SNR = sum 1 / SNR_i`.

    Args:
        ratios: One or more SNRs, shape (...) that broadcast, dB.

    Returns:
        SNR of all together, shape (...), dB.

    Raises:
        ValueError: No ratio is given.

    Source: facts 5.4.
    """
    if not ratios:
        raise ValueError("Argument `ratios` must hold at least one signal-to-noise ratio, but is empty.")
    lowest = _real(ratios[0])
    for ratio in ratios[1:]:
        lowest = jnp.minimum(lowest, _real(ratio))
    # Relative to the smallest, so that 400 dB does not underflow.
    return lowest - _decibels(sum((_ratio(lowest - _real(ratio)) for ratio in ratios), start=jnp.zeros_like(lowest)))


def converter_sqnr(bits: Real[ArrayLike, "..."], clip: Real[ArrayLike, "..."] = 4.0) -> Float[Array, "..."]:
    """Signal to quantisation noise of a converter that spans +-`clip` standard deviations of a Gaussian sum.

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
    return -_decibels(step**2 / 12 * (1 - 2 * tail) + 2 * jnp.maximum(clipped, 0.0))


def needed_converter_bits(snr: Real[ArrayLike, "..."], loss: Real[ArrayLike, "..."] = 0.5) -> Float[Array, "..."]:
    """Resolution that lowers an array's SNR by a given loss, `(SNR + 7.2 - g - 10 log10(1 - 10^(-g / 10))) / 6`.

    With g = 0.5 dB it is about `(SNR + 16.2) / 6`.

    Args:
        snr: SNR before the converter, shape (...), dB.
        loss: g, loss of SNR by the converter, shape (...), dB.

    Returns:
        Bits of a converter that clips at 4 sigma, shape (...), 1; not rounded up, so that it has a derivative. A
        converter never needs more than tells all sums apart.

    Raises:
        ValueError: A concrete `loss` is not positive. A traced one gives NaN.

    Validity: as `converter_sqnr` without its clipped part, up to about 8 bits. Source: facts 5.4, with exact constants.
    """
    g = positive("loss", loss)
    sqnr = _real(snr) - g - 10 * jnp.log10(-jnp.expm1(-g * (math.log(10) / 10)))
    return (sqnr + 10 * math.log10(16 / 3)) / _DB_PER_BIT


def least_sampling_energy(
    bits: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."] = 300.0
) -> Float[Array, "..."]:
    """Least energy to sample a result of B bits, `12 k T 4^B`: kT/C equals the quantisation noise at full supply.

    Args:
        bits: B, shape (...), 1.
        temperature: T, shape (...), K.

    Returns:
        Energy `C V_DD^2` of a sample, shape (...), J.

    Raises:
        ValueError: A concrete `temperature` is not positive. A traced one gives NaN.

    Source: facts 5.1.
    """
    return 12 * (constants.k * positive("temperature", temperature)) * jnp.exp2(2 * _real(bits))


def _real(value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return array * 1.0 if array.weak_type else array.astype(jnp.result_type(float))


def _decibels(ratio: Float[Array, "..."]) -> Float[Array, "..."]:
    return 10 * jnp.log10(ratio)


def _ratio(decibels: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.exp(decibels * (math.log(10) / 10))
