"""Error of a read by the steps of its converter: rounded Gaussian sums, and whole numbers that noise moves."""

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array

from amsim.circuits.adc import Converter
from amsim.circuits.adc.quantised_gaussian import quantised_gaussian_error
from amsim.circuits.charge.independent_sums import IndependentSums
from amsim.noise.finite_slopes import root

LATTICE = 64
"""Whole cells that a rounded read is summed over on either side of the truth; a wider error needs no lattice."""


def coarse_rounding(adc: Converter, sums: IndependentSums, before: Array, shift: Array | float) -> Array:
    """Change of the mean square error by a converter coarser than a step of a cell, of shifted sums, counts^2."""
    step = 2.0 / sums.steps
    lsb, centre = adc.scale(float(sums.cells * sums.steps))
    low, high = (step * (centre + lsb * code) - sums.cells for code in (adc.lowest_code, adc.highest_code))
    spread, mean = jnp.full_like(before, sums.variance), jnp.full_like(before, sums.mean + shift)
    return quantised_gaussian_error(spread, before, mean, step * lsb, (low, high))


def square_of_rounded(variance: Array) -> Array:
    """Mean square of a Gaussian rounded to whole numbers: `sum_k k^2 P(k)`."""
    sigma = jnp.where(variance > 0, root(variance), 1.0)
    edges = (jnp.arange(2 * LATTICE + 2, dtype=sigma.dtype) - LATTICE - 0.5) / sigma
    numbers = jnp.arange(2 * LATTICE + 1, dtype=sigma.dtype) - LATTICE
    square = jnp.sum(numbers**2 * (ndtr(edges[1:]) - ndtr(edges[:-1])))
    # Spread over many numbers, or none: a wide Gaussian is rounded by 1/12.
    spread = jnp.where(sigma > LATTICE / 6, variance + 1 / 12, square)
    return jnp.where(variance > 0, spread, 0.0)
