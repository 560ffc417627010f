"""Mixtures of Gaussians with diagonal covariances, one for each speaker, as one product with features and squares.

A feature vector x of speaker s has the density `sum_m w_m prod_f N(x_f; mu_mf, v_mf)`. The logarithm of each term is

    log w_m - sum_f (log(2 pi v_mf) + mu_mf^2 / v_mf) / 2 + sum_f x_f mu_mf / v_mf - sum_f x_f^2 / (2 v_mf),

a constant and a product of [x, x^2] with a matrix. That product runs on a macro; the logarithm of the sum of the terms
is digital, beside it. With x_f of variance about 1, the square's share is shifted by 1, so that both halves of the
operand are around 0; the constant takes the shift up.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from amsim.circuits.checks import integer_between

FEATURE_LIMIT = 4.0
"""Largest feature of either sign that counts, in standard deviations; codes are spread over this range."""

SMALLEST_VARIANCE = 0.05
"""Least variance of a Gaussian, in variances of all frames."""

ROUNDS = 15
"""Rounds of expectation and maximisation."""


def speaker_log_likelihoods(
    params: Mapping[str, ArrayLike], inputs: Float[ArrayLike, "batch frames features"]
) -> Float[Array, "batch speakers"]:
    """Mean over a recording's frames of the logarithm of each speaker's density; frames of zeros do not count.

    Args:
        params: As from `fit_mixtures`.
        inputs: Coefficients, of mean 0 and deviation 1.
    """
    x = jnp.clip(jnp.asarray(inputs, jnp.float32), -FEATURE_LIMIT, FEATURE_LIMIT)
    operands = jnp.concatenate([x, x**2 - 1.0], axis=-1)
    terms = operands @ jnp.asarray(params["kernel"]) + jnp.reshape(params["offset"], (1, 1, -1))
    of_speakers = terms.reshape(*terms.shape[:2], np.shape(params["speakers"])[0], -1)
    frames = jax.nn.logsumexp(of_speakers, axis=-1)
    spoken = jnp.any(x != 0, axis=-1, keepdims=True).astype(jnp.float32)
    return jnp.sum(spoken * frames, axis=1) / jnp.maximum(jnp.sum(spoken, axis=1), 1.0)


def fit_mixtures(
    inputs: Float[np.ndarray, "batch frames features"],
    speakers: Int[np.ndarray, " batch"],
    *,
    gaussians: int = 8,
    seed: int = 0,
) -> dict[str, Array]:
    """Parameters of one mixture per speaker, by expectation and maximisation on its frames.

    Args:
        inputs: Recordings; frames of zeros do not count.
        speakers: Who speaks; mixtures are in the order of these numbers.
        gaussians: Gaussians of each mixture.
        seed: Of the frames that means start at.

    Returns:
        `kernel` (2 features, speakers x gaussians), `offset`, and the `speakers`.

    Raises:
        ValueError: Fewer frames of a speaker than Gaussians.
    """
    integer_between("gaussians", gaussians, 1, 4096)
    names = np.unique(speakers)
    kernels, offsets = [], []
    for name in names:
        frames = inputs[speakers == name].reshape(-1, inputs.shape[-1])
        frames = np.clip(frames[np.any(frames != 0, axis=1)], -FEATURE_LIMIT, FEATURE_LIMIT).astype(float)
        if len(frames) < gaussians:
            raise ValueError(
                f"Argument `gaussians` must be at most the {len(frames)} frames of speaker {name}, but is {gaussians}."
            )
        kernel, offset = product_form(*_fitted(frames, gaussians, np.random.default_rng(seed)))
        kernels.append(kernel)
        offsets.append(offset)
    return {
        "kernel": jnp.asarray(np.concatenate(kernels, axis=1), jnp.float32),
        "offset": jnp.asarray(np.concatenate(offsets), jnp.float32),
        "speakers": jnp.asarray(names, jnp.int32),
    }


def product_form(
    shares: Float[np.ndarray, " gaussians"],
    means: Float[np.ndarray, "gaussians features"],
    variances: Float[np.ndarray, "gaussians features"],
) -> tuple[Float[np.ndarray, "operands gaussians"], Float[np.ndarray, " gaussians"]]:
    """Matrix and constants with which `[x, x^2 - 1] @ kernel + offset` is each term's logarithm, see the file's head.

    Args:
        shares: Weights of the Gaussians, of sum 1.
        means: Their means.
        variances: Their variances.
    """
    kernel = np.concatenate([means / variances, -0.5 / variances], axis=1).T
    constant = np.log(shares) - 0.5 * np.sum(np.log(2 * np.pi * variances) + means**2 / variances, axis=1)
    return kernel, constant - 0.5 * np.sum(1 / variances, axis=1)


def _fitted(frames: np.ndarray, gaussians: int, draws: np.random.Generator) -> tuple[np.ndarray, Any, Any]:
    """Shares, means and variances, from means at random frames."""
    means = frames[draws.choice(len(frames), gaussians, replace=False)]
    variances = np.tile(np.maximum(frames.var(axis=0), SMALLEST_VARIANCE), (gaussians, 1))
    shares = np.full(gaussians, 1 / gaussians)
    operands = np.concatenate([frames, frames**2 - 1.0], axis=1)
    for _ in range(ROUNDS):
        kernel, offset = product_form(shares, means, variances)
        terms = operands @ kernel + offset
        terms -= terms.max(axis=1, keepdims=True)
        belongs = np.exp(terms)
        belongs /= belongs.sum(axis=1, keepdims=True)
        weight = belongs.sum(axis=0) + 1e-9
        means = (belongs.T @ frames) / weight[:, None]
        variances = np.maximum((belongs.T @ frames**2) / weight[:, None] - means**2, SMALLEST_VARIANCE)
        shares = weight / weight.sum()
    return shares, means, variances
