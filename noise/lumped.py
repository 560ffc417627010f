"""Lumped models of a converter or an array by its signal-to-noise ratio, for limits and quick comparisons.

Models of arrays are here, those of converters come from `amsim.noise.converter_snr`. Ratios are powers in dB. Array
arguments broadcast against each other.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real
from scipy import constants

from amsim.noise.checks import floating, non_negative, positive
from amsim.noise.converter_snr import conversion_energy as conversion_energy
from amsim.noise.converter_snr import converter_sqnr as converter_sqnr
from amsim.noise.converter_snr import decibels, power_ratio
from amsim.noise.converter_snr import enob_of_sndr as enob_of_sndr
from amsim.noise.converter_snr import jitter_snr as jitter_snr
from amsim.noise.converter_snr import least_sampling_energy as least_sampling_energy
from amsim.noise.converter_snr import needed_converter_bits as needed_converter_bits
from amsim.noise.converter_snr import parallel_snr as parallel_snr
from amsim.noise.converter_snr import schreier_fom as schreier_fom
from amsim.noise.converter_snr import sndr_of_enob as sndr_of_enob
from amsim.noise.converter_snr import walden_fom as walden_fom
from amsim.noise.finite_slopes import ratio
from amsim.noise.mismatch import PESSIMISTIC_COEFFICIENT

INJECTING_CAPACITANCE = 0.31 * constants.femto
"""Channel capacitance W L C_ox of a minimum 65 nm switch, F (Gonugondla et al., as in public code; facts 5.4)."""


def layer_sigma(
    products: Real[ArrayLike, "..."], products_per_conversion: Real[ArrayLike, "..."], enob: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Error of a sum whose products are digitised in groups, `sqrt(N_tot N_mult) LSB_1 / sqrt(12)`.

    `LSB_1 = 2^-(ENOB - 1)` is the step for one product: a group spans +-N_mult, and N_tot / N_mult groups add up.

    Args:
        products: N_tot, products per sum, shape (...), 1.
        products_per_conversion: N_mult, shape (...), 1.
        enob: Effective bits of the converter, shape (...), 1.

    Returns:
        Standard deviation of the Gaussian added to each sum, shape (...), 1, for operands in [-1, 1].

    Raises:
        ValueError: A concrete number of products is not positive. A traced one gives NaN.

    Source: Rekhi et al., DAC 2019 (facts 5.5, recalled).
    """
    total, group = positive("products", products), positive("products_per_conversion", products_per_conversion)
    return jnp.sqrt(total * group / 12) * jnp.exp2(1 - floating("enob", enob))


def layer_conversion_energy(enob: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Energy of one conversion, 0.3 pJ up to 10.5 effective bits and `10^((6.02 ENOB - 68.25) / 10)` pJ above.

    Args:
        enob: Effective bits, shape (...), 1.

    Returns:
        Energy, shape (...), J; divided by the products per conversion it is Rekhi's energy per MAC. It jumps by 4 %
        at 10.5 bits, as published.

    Source: Rekhi et al., DAC 2019 (facts 5.5, recalled).
    """
    bits = floating("enob", enob)
    above = power_ratio(6.02 * jnp.maximum(bits, 10.5) - 68.25)
    return jnp.where(bits > 10.5, above, 0.3) * constants.pico


class Operands(NamedTuple):
    """Moments of uniform operands that are quantised to integers.

    Attributes:
        input_square: Mean square of an input in [0, 1), 1.
        weight_variance: Variance of a weight in [-1, 1), 1.
        product_variance: Variance of one product, 1.
        quantisation: Variance of the error of one product due to the quantisation of both operands, 1.
    """

    input_square: Float[Array, "..."]
    weight_variance: Float[Array, "..."]
    product_variance: Float[Array, "..."]
    quantisation: Float[Array, "..."]


def uniform_operands(input_bits: Real[ArrayLike, "..."], weight_bits: Real[ArrayLike, "..."]) -> Operands:
    """Signal and quantisation noise of one product of uniform operands; N times as much for a dot product of length N.

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
    """Variances that charge sharing adds to one product of uniform operands.

    Attributes:
        mismatch: By mismatch of the capacitors, 1.
        thermal: By kT/C noise, 1.
        injection: By charge injection of the switches, 1.
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
    """Noise of a product by charge redistribution with one capacitor per product and weight bit.

    `(2/3) (1 - 4^-B_w) (E[x^2] kappa^2 / C + 2 k T / (C V_DD^2) + E[x^2] (p W L C_ox / C)^2)`, each term separately.

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
        Variances of a single product, each shape (...), 1; N times as much for a dot product of length N.

    Raises:
        ValueError: A concrete argument is not positive (coefficients: negative). A traced one gives NaN.

    Validity: independent errors, no clipping; injection is treated as random. Source: Gonugondla et al., IEEE TCAD 2022
    (facts 5.4, from public code; the injection term squared, as that code corrects the printed table).
    """
    x_square = uniform_operands(input_bits, weight_bits).input_square
    scale = (1 - jnp.exp2(-2 * positive("weight_bits", weight_bits))) * 2 / 3
    c, volts = positive("capacitance", capacitance), positive("supply", supply)
    kappa = non_negative("mismatch_coefficient", mismatch_coefficient)
    channel = non_negative("injecting_capacitance", injecting_capacitance)
    kelvin = non_negative("temperature", temperature)
    return ChargeSharingNoise(
        mismatch=scale * x_square * ratio(kappa, jnp.sqrt(c)) ** 2,
        thermal=scale * 2 * ratio(constants.k * kelvin, c) / volts**2,
        injection=scale * x_square * (non_negative("injected_part", injected_part) * ratio(channel, c)) ** 2,
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
        SNR, shape (...), dB, without quantisation of operands and result, which `parallel_snr` adds.

    Raises:
        ValueError: As `charge_sharing_noise`.

    Validity and source: as `charge_sharing_noise`.
    """
    noise = charge_sharing_noise(input_bits, weight_bits, capacitance, supply, **settings)
    signal = uniform_operands(input_bits, weight_bits).product_variance
    return decibels(signal / (noise.mismatch + noise.thermal + noise.injection))
