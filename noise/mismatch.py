"""Random mismatch of neighbouring devices: capacitors and transistor thresholds."""

import math

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real
from scipy import constants

from amsim.noise.checks import non_negative, positive
from amsim.noise.finite_slopes import ratio

MOM_FRINGE_COEFFICIENT = 0.0085 * math.sqrt(constants.femto)
"""Metal fringe capacitors, sqrt(F): 0.85 % at 1 fF.

Tripathi and Murmann, "Mismatch characterization of small metal fringe capacitors", IEEE TCAS-I 61 (2014): 1.2 % at
0.45 fF and 0.8 % at 1.2 fF in 32 nm SOI, quoted from memory; 28 nm charge-redistribution models use 0.66 % at 1 fF.
"""

PESSIMISTIC_COEFFICIENT = 0.08 * math.sqrt(constants.femto)
"""Pessimistic corner, sqrt(F): 8 % at 1 fF, ten times the measured fringe capacitors.

Gonugondla, Sakr, Dbouk and Shanbhag, "Fundamental limits on energy-delay-accuracy of in-memory architectures in
inference applications", IEEE TCAD 2022, table II (kappa, 65 nm), as read in public code that cites the table.
"""


def capacitor_mismatch_sigma(
    capacitance: Real[ArrayLike, "..."], coefficient: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Relative standard deviation of one capacitor about its nominal value.

    ``sigma(dC / C) = K_C / sqrt(C)``: the errors of small pieces of the plates are independent, so they average out.

    Args:
        capacitance: C, nominal capacitance, shape (...), F.
        coefficient: K_C, shape (...), sqrt(F); `MOM_FRINGE_COEFFICIENT` or `PESSIMISTIC_COEFFICIENT`, or 0 for none.

    Returns:
        Relative standard deviation of a single capacitor, shape (...), 1; that of a difference is sqrt(2) times larger.

    Raises:
        ValueError: A concrete `capacitance` is not positive or `coefficient` is negative. A traced one gives NaN there.

    Validity: random errors only, no gradient over the array; results far below 1, where a normal law makes sense. The
    constants hold near 0.4-2 fF.

    Source: Shyu, Temes and Krummenacher, "Random error effects in matched MOS capacitors and current sources", IEEE
    JSSC 19 (1984), the area law.
    """
    c = positive("capacitance", capacitance)
    return ratio(non_negative("coefficient", coefficient), jnp.sqrt(c))


def pelgrom_sigma(
    area_coefficient: Real[ArrayLike, "..."], width: Real[ArrayLike, "..."], length: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Standard deviation of the threshold difference of two equal neighbouring transistors.

    ``sigma(dV_T) = A_VT / sqrt(W L)``.

    Args:
        area_coefficient: A_VT, shape (...), V m; 1 mV um = 1e-9 V m, and 28 nm bulk has about 1.5-2.5 mV um.
        width: W, gate width, shape (...), m.
        length: L, gate length, shape (...), m.

    Returns:
        Standard deviation of the difference (one transistor alone has 1/sqrt(2) times as much), shape (...), V.

    Raises:
        ValueError: A concrete `width` or `length` is not positive or `area_coefficient` is negative. A traced one
            gives NaN there.

    Validity: adjacent devices, the distance term left out; minimum-size devices often are worse.

    Source: Pelgrom, Duinmaijer and Welbers, "Matching properties of MOS transistors", IEEE JSSC 24 (1989), equation 5
    without its distance term.
    """
    area = positive("width", width) * positive("length", length)
    return ratio(non_negative("area_coefficient", area_coefficient), jnp.sqrt(area))
