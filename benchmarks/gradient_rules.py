"""Bias and spread of the gradient that each rule of the decision gives, against that of the expected loss.

A hidden layer of fused neurons on a switched-capacitor array, a linear readout, cross entropy. The expected loss over
comparator noise is known exactly: each of the `2**neurons` patterns of decisions has a probability of normal CDFs,
and its derivative is taken by central differences in float64. A rule's gradient is drawn many times through
`amsim.noise.gradients.noisy_decision`, the function that a deployed chip uses.

    python benchmarks/gradient_rules.py [--draws 4000] [--seeds 8]
"""

import argparse
import itertools
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax.scipy.stats import norm  # noqa: E402

from amsim.noise import NOISY_DECISION_RULES, noisy_decision  # noqa: E402

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "gradient_rules.md"
ROWS, NEURONS, CLASSES, ITEMS = 16, 6, 3, 8
SIGMAS = (0.1, 0.3, 1.0)
"""Comparator noise against the standard deviation of the neurons' sums."""
STEP = 1e-5


def problem(seed: int):
    rng = np.random.default_rng(seed)
    inputs = np.sign(rng.standard_normal((ITEMS, ROWS)))
    first = rng.standard_normal((ROWS, NEURONS)) / np.sqrt(ROWS)
    last = rng.standard_normal((NEURONS, CLASSES))
    return jnp.asarray(inputs), jnp.asarray(first), jnp.asarray(last), jnp.asarray(rng.integers(0, CLASSES, ITEMS))


def cross_entropy(decisions, last, labels):
    return optax.softmax_cross_entropy_with_integer_labels(decisions @ last, labels)


def expected_loss(first, sigma, inputs, last, labels):
    """Sum over all patterns of decisions of probability times loss."""
    patterns = jnp.asarray(list(itertools.product([-1.0, 1.0], repeat=NEURONS)))
    up = norm.cdf(inputs @ first / sigma)[:, None, :]
    probability = jnp.prod(jnp.where(patterns[None] > 0, up, 1 - up), axis=-1)
    losses = jax.vmap(lambda label: cross_entropy(patterns, last, jnp.full(len(patterns), label)))(labels)
    return jnp.mean(jnp.sum(probability * losses, axis=1))


def central_differences(first, sigma, *rest):
    units = jnp.eye(first.size).reshape(-1, *first.shape) * STEP
    value = jax.vmap(lambda unit: expected_loss(first + unit, sigma, *rest) - expected_loss(first - unit, sigma, *rest))
    return (value(units) / (2 * STEP)).reshape(first.shape)


def drawn_gradients(rule, keys, first, sigma, inputs, last, labels):
    def loss(first, key):
        return jnp.mean(cross_entropy(noisy_decision(key, inputs @ first, sigma, rule), last, labels))

    return jax.vmap(jax.grad(loss), in_axes=(None, 0))(first, keys)


def measured(rule: str, sigma: float, seed: int, draws: int) -> tuple[float, float, float, float]:
    """Cosine of the mean gradient with the true one, bias and spread at the best step size, relative length."""
    inputs, first, last, labels = problem(seed)
    size = sigma * float(jnp.std(inputs @ first))
    true = central_differences(first, size, inputs, last, labels).ravel()
    keys = jax.random.split(jax.random.key(seed), draws)
    drawn = np.asarray(drawn_gradients(rule, keys, first, size, inputs, last, labels)).reshape(draws, -1)
    mean, true = drawn.mean(axis=0), np.asarray(true)
    cosine = mean @ true / np.linalg.norm(mean) / np.linalg.norm(true)
    scale = mean @ true / (mean @ mean)
    bias = np.linalg.norm(scale * mean - true) / np.linalg.norm(true)
    spread = abs(scale) * np.sqrt(np.mean(np.sum((drawn - mean) ** 2, axis=1))) / np.linalg.norm(true)
    size_error = np.linalg.norm(mean) / np.linalg.norm(true)
    return float(cosine), float(bias), float(spread), float(size_error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    lines = [
        "# Gradient rules of a noisy decision",
        "",
        f"`python benchmarks/gradient_rules.py --draws {options.draws} --seeds {options.seeds}` writes this table:",
        f"{NEURONS} binary neurons of {ROWS} inputs, a linear readout to {CLASSES} classes, cross entropy; means over",
        f"{options.seeds} random networks, float64. The reference: central differences of the exact expected loss.",
        "Noise: comparator noise relative to the standard deviation of the sums. Size: length of the mean gradient",
        "relative to the true one. Cosine: between the two.",
        "Bias: difference from the true gradient after the best common factor, which a learning rate can absorb.",
        "Spread: root mean square of one draw around its mean, with that factor. Bias, spread: relative to the true",
        f"gradient; the mean of {options.draws} draws itself is uncertain by spread / {np.sqrt(options.draws):.0f}.",
        "",
        "| noise | rule | size | cosine | bias | spread |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for sigma in SIGMAS:
        for rule in NOISY_DECISION_RULES:
            found = np.array([measured(rule, sigma, seed, options.draws) for seed in range(options.seeds)])
            cosine, bias, spread, size = found.mean(axis=0)
            lines.append(f"| {sigma} | {rule} | {size:.2f} | {cosine:.3f} | {bias:.2f} | {spread:.1f} |")
            print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
