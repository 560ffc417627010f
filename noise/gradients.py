"""Gradient rules of sign and rounding: the forward value is exact and the same for every rule.

A step has no useful derivative, so the user names a surrogate for it. One rule is physical instead: with Gaussian
comparator noise the expected decision is a normal CDF, whose derivative is exact.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from amsim.noise import _rules, random
from amsim.noise.arguments import word_of
from amsim.noise.checks import array_of, non_negative

DECISION_RULES = ("straight-through", "clipped", "tanh", "swish")
NOISY_DECISION_RULES = ("physical", *DECISION_RULES)
ROUNDING_RULES = ("straight-through", "none")


def decision(x: Float[Array, "..."], rule: str = "clipped") -> Float[Array, "..."]:
    """Decision by sign: +1 where ``x >= 0``, else -1.

    Derivative ``g(x)`` of each rule, with beta = 5:

    - "straight-through": ``1``.
    - "clipped": ``1`` where ``|x| <= 1``, else 0.
    - "tanh": ``1 - tanh(x)**2``.
    - "swish": ``beta (2 - beta x tanh(beta x / 2)) / (1 + cosh(beta x))``, negative beyond ``|x| = 0.48``.

    Args:
        x: Input of the comparator, scaled so that 1 is a large input, shape (...), 1.
        rule: One of `DECISION_RULES`. It affects derivatives only.

    Returns:
        +1 or -1, shape (...); NaN where `x` is NaN.

    Raises:
        ValueError: `rule` is unknown.

    Source: straight-through, Bengio, Leonard and Courville, arXiv 1308.3432; clipped, Hubara et al., "Binarized neural
    networks", NeurIPS 2016, equation 4; swish, Darabi et al., "BNN+", arXiv 1812.11800 (SignSwish).
    """
    return _rules.decision(array_of("x", x), word_of("rule", rule, DECISION_RULES))


def rounded(x: Float[Array, "..."], rule: str = "straight-through") -> Float[Array, "..."]:
    """Value rounded to the nearest integer, ties to even.

    Args:
        x: Value in units of one step, shape (...), 1.
        rule: One of `ROUNDING_RULES`: derivative 1 ("straight-through") or 0 ("none").

    Returns:
        Integers in floating point, shape (...), 1.

    Raises:
        ValueError: `rule` is unknown.

    Source: straight-through, Bengio, Leonard and Courville, arXiv 1308.3432.
    """
    return _rules.rounded(array_of("x", x), word_of("rule", rule, ROUNDING_RULES))


def expected_decision(x: Float[Array, "..."], sigma: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Expected decision of a comparator, averaged over its Gaussian noise.

    ``E[decision(x + sigma n)] = 2 Phi(x / sigma) - 1 = erf(x / (sigma sqrt(2)))``, differentiable with respect to both:
    ``dE/dx = 2 phi(x / sigma) / sigma`` and ``dE/dsigma = -(x / sigma) dE/dx``.

    Args:
        x: Input of the comparator after its offset, shape (...), V or any unit.
        sigma: Standard deviation of the noise referred to the input, shape (...) that broadcasts, unit of `x`.

    Returns:
        Expected decision in [-1, 1], shape (...), 1. Where `sigma` is 0 it is `decision(x)` and both derivatives are 0.

    Raises:
        ValueError: A concrete `sigma` is negative. A traced one gives NaN there.

    Validity: noise independent of the input; metastability and hysteresis not included. A `sigma` below the smallest
    normal number of the dtype counts as 0.

    Source: definition of the normal CDF, Abramowitz and Stegun, equation 26.2.29.
    """
    return _rules.expected_decision(array_of("x", x), non_negative("sigma", sigma))


def noisy_decision(
    key: PRNGKeyArray,
    x: Float[Array, "..."],
    sigma: Real[ArrayLike, "..."],
    rule: str = "physical",
    *,
    method: str = "hash",
) -> Float[Array, "..."]:
    """Random decision of a comparator with Gaussian noise: +1 with probability ``Phi(x / sigma)``, else -1.

    One uniform number ``u`` decides, ``u < Phi(x / sigma)``; the noise itself is never drawn. Derivative of each rule:

    - "physical": that of `expected_decision` with respect to `x` and `sigma`. Averaged over draws it is the exact
      derivative of the average; through a non-linear function of the decision it is an approximation.
    - One of `DECISION_RULES`: that of `decision` with respect to `x`, and 0 with respect to `sigma`.

    Args:
        key: One typed key, shape ().
        x: Input of the comparator after its offset, shape (...), V or any unit.
        sigma: Standard deviation of the noise referred to the input, shape (...) that broadcasts, unit of `x`.
        rule: One of `NOISY_DECISION_RULES`. It affects derivatives only.
        method: Random number method, as in `amsim.noise.random.uniform`.

    Returns:
        +1 or -1, shape (...); NaN where `x` or `sigma` is NaN. Where `sigma` is 0 it is `decision(x)`.

    Raises:
        ValueError: `rule` or `method` is unknown, `key` is not typed, or a concrete `sigma` is negative. A traced
            negative `sigma` gives NaN.

    Validity: as `expected_decision`; probabilities are exact to one bin of the uniform number (1.2e-7 in float32).
    """
    word_of("rule", rule, NOISY_DECISION_RULES)
    x, sigma = array_of("x", x), non_negative("sigma", sigma)
    shape = jnp.broadcast_shapes(x.shape, sigma.shape)
    return _rules.noisy_decision(random.uniform(key, shape, x.dtype, method=method), x, sigma, rule)


@jax.custom_jvp
def with_gradient_of(value: Float[Array, "..."], surrogate: Float[Array, "..."]) -> Float[Array, "..."]:
    """Value of one array with the derivative of another.

    Args:
        value: Result, shape (...), any unit.
        surrogate: What is differentiated in its place, shape (...), same unit.

    Returns:
        `value`.
    """
    return value


@with_gradient_of.defjvp
def _with_gradient_of_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return primals[0], tangents[1]
