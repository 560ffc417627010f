"""Thermal noise of sampled and of driven capacitors: kT/C noise."""

import math

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real
from scipy import constants

from amsim.noise.checks import non_negative, positive
from amsim.noise.finite_slopes import ratio


def ktc_sigma(capacitance: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Rms noise voltage that a switch leaves on a capacitor when it opens.

    ``sigma_v = sqrt(k T / C)``: the resistance of the switch cancels, since it sets both noise density and bandwidth.

    Args:
        capacitance: C, total capacitance on the sampled node, shape (...), F.
        temperature: T, absolute temperature, shape (...), K.

    Returns:
        Standard deviation of the sampled voltage, shape (...), V.

    Raises:
        ValueError: A concrete argument is not positive. A traced one gives NaN there.

    Validity: the node settled to equilibrium before the switch opened, and the switch is the only noise source. Two
    independent samples (a differential pair) have sqrt(2) times this value.

    Source: Johnson, Phys. Rev. 32, 97 (1928) and Nyquist, Phys. Rev. 32, 110 (1928), integrated over one RC pole; k is
    the exact SI value.
    """
    c = positive("capacitance", capacitance)
    t = positive("temperature", temperature)
    # One root per quantity: second derivatives of the ratio itself need 1 / C**3, beyond float32 at 1 fF.
    return ratio(math.sqrt(constants.k) * jnp.sqrt(t), jnp.sqrt(c))


def ktc_charge_sigma(capacitance: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Rms noise charge that a switch leaves on a capacitor when it opens.

    ``sigma_q = C sigma_v = sqrt(k T C)``.

    Args:
        capacitance: C, total capacitance on the sampled node, shape (...), F.
        temperature: T, absolute temperature, shape (...), K.

    Returns:
        Standard deviation of the sampled charge, shape (...), C (coulomb).

    Raises:
        ValueError: A concrete argument is not positive. A traced one gives NaN there.

    Validity and source: as in `ktc_sigma`.
    """
    c = positive("capacitance", capacitance)
    t = positive("temperature", temperature)
    # k T C is below the smallest normal float32 for a capacitance under 3 aF: one root per quantity.
    return math.sqrt(constants.k) * jnp.sqrt(t) * jnp.sqrt(c)


def driver_sigma(
    driven: Real[ArrayLike, "..."], grounded: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Rms noise of a floating line whose capacitors are driven through resistors.

    ``sigma_v = sqrt(k T C_sum / (C_par C_tot))``, ``C_tot = C_sum + C_par``, whatever the resistances. Together with
    the noise sampled at reset it is ``sqrt(k T / C_par)``: in equilibrium only the grounded part holds the line.

    Args:
        driven: C_sum, capacitors behind resistors, shape (...), F; 0 for no driver.
        grounded: C_par, from the line to ground without a resistor, shape (...), F.
        temperature: T, absolute temperature, shape (...), K.

    Returns:
        Standard deviation in unlimited bandwidth, shape (...), V.

    Raises:
        ValueError: A concrete argument is out of range. A traced one gives NaN there.

    Validity: the reader's bandwidth is above that of the line; a slower reader sees less.

    Source: equipartition: `k T / C_par` of the whole network less the `k T / C_tot` of the charge frozen at reset.
    """
    c, t = non_negative("driven", driven), positive("temperature", temperature)
    g = positive("grounded", grounded)
    # Ratios of capacitances only, and one root per quantity, as in `ktc_sigma`.
    return ratio(math.sqrt(constants.k) * jnp.sqrt(t), jnp.sqrt(g)) * jnp.sqrt(ratio(c, c + g))
