"""Building blocks that the families of networks share: grids of 1 to 16 bits or float32, normalisation, convolution."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.checks import shown
from amsim.noise.gradients import decision, rounded

Params = dict[str, dict[str, Array]]
Statistics = dict[str, dict[str, Array]]

VARIANCE_FLOOR = 1e-3
"""Added to the variance in batch normalisation."""

FLOAT = 32
"""Word length that stands for float32: values are not rounded at all."""

LONGEST_WORD = 16
"""Longest word of integers, that of the macros."""


def check_word_length(name: str, bits: Any, *, optional: bool = False) -> None:
    """Raise ValueError unless this is a word length, or with `optional` None."""
    whole = isinstance(bits, int) and not isinstance(bits, bool)
    if not (bits is None and optional) and not (whole and (1 <= bits <= LONGEST_WORD or bits == FLOAT)):
        raise ValueError(
            f"Argument `{name}` must be an integer from 1 to {LONGEST_WORD}, or {FLOAT} for float32, but is "
            f"{shown(bits)}."
        )


def word_length_marks(member: Any) -> list[str]:
    """Marks of the word lengths of a member of a family for its name, such as `w4a4`, with those that it has set."""
    found = [f"w{member.bits}a{member.bits if member.activation_bits is None else member.activation_bits}"]
    chosen = {"first": member.first_bits, "last": member.last_bits, "input": member.input_bits}
    found += [f"{mark}{bits}" for mark, bits in chosen.items() if bits is not None]
    return found + ([f"maps{member.input_maps}"] if member.input_maps > 1 else [])


def weight_steps(bits: int) -> int:
    """Integer of the largest weight, 1: that of -1 and +1, or of a signed word of `bits` bits."""
    return max(2 ** (bits - 1) - 1, 1)


def quantised_weights(latent: Float[Array, "..."], bits: int) -> Float[Array, "..."]:
    """Weights on their grid: -1 and +1, or `k / (2**(bits-1) - 1)` in -1..1; gradient straight through.

    Args:
        latent: Weights before rounding, shape (...), 1.
        bits: Word length, or `FLOAT` for the latent weights themselves.
    """
    if bits == FLOAT:
        return latent
    if bits == 1:
        return decision(latent, "straight-through")
    steps = weight_steps(bits)
    return rounded(jnp.clip(latent, -1, 1) * steps) / steps


def quantised_activations(sums: Float[Array, "..."], bits: int) -> Float[Array, "..."]:
    """Activations on their grid: -1 and +1, or `k / (2**bits - 1)` in 0..1; float32 ones are rectified.

    The gradient passes straight through inside the range and is 0 outside.

    Args:
        sums: Values before the activation, shape (...), 1.
        bits: Word length, or `FLOAT`.
    """
    if bits == FLOAT:
        return jnp.maximum(sums, 0)
    if bits == 1:
        return decision(sums, "clipped")
    steps = 2**bits - 1
    return rounded(jnp.clip(sums, 0, 1) * steps) / steps


def encoded(values: Float[Array, "..."], maps: int, bits: int) -> Float[Array, "... maps"]:
    """Input maps of segments: map m carries values from m / maps to (m + 1) / maps, on the grid of an activation.

    At 1 bit that is a thermometer code.

    Args:
        values: Numbers in 0..1, shape (...), 1.
        maps: Maps of one number.
        bits: Word length of a map, or `FLOAT`.
    """
    places = jnp.arange(maps, dtype=values.dtype).reshape(*(1,) * values.ndim, -1)
    segments = values[..., None] * maps - places
    if bits == FLOAT:
        return jnp.clip(segments, 0, 1)
    return decision(segments - 0.5) if bits == 1 else quantised_activations(segments, bits)


def plain_convolution(inputs: Array, kernel: Array, stride: int, same: bool = False, groups: int = 1) -> Array:
    """Convolution, channels last: without padding, or with zeros that keep `ceil(size / stride)`."""
    layout = ("NHWC", "HWIO", "NHWC")
    padding = "SAME" if same else "VALID"
    return jax.lax.conv_general_dilated(
        inputs, kernel, (stride, stride), padding, dimension_numbers=layout, feature_group_count=groups
    )


def normalised(sums: Array, layer: dict[str, Array], batch_statistics: bool) -> tuple[Array, dict[str, Array]]:
    """Batch-normalised sums, with the statistics of this batch or the stored ones, and the statistics used."""
    statistics = {"mean": layer["mean"], "variance": layer["variance"]}
    if batch_statistics:
        axes = tuple(range(sums.ndim - 1))
        statistics = {"mean": jnp.mean(sums, axis=axes), "variance": jnp.var(sums, axis=axes)}
    ones = (1,) * (sums.ndim - 1)
    gain = layer["gain"] * jax.lax.rsqrt(statistics["variance"] + VARIANCE_FLOOR)
    centred = sums - statistics["mean"].reshape(*ones, -1)
    return centred * gain.reshape(*ones, -1) + layer["shift"].reshape(*ones, -1), statistics


def initial_layer(key: PRNGKeyArray, shape: Sequence[int], gain: float, shift: float, bits: int) -> dict[str, Array]:
    """Uniform latent weights of a layer with these gains and shifts and unit statistics, for a word length."""
    filters = shape[-1]
    largest = initial_weight(bits)
    kernel = jax.random.uniform(key, tuple(shape), minval=-largest, maxval=largest)
    # Without a type they would take that of what meets them, and a training step would compile a second time.
    return {
        "kernel": kernel,
        "gain": jnp.full((filters,), gain, kernel.dtype),
        "shift": jnp.full((filters,), shift, kernel.dtype),
        "mean": jnp.zeros((filters,)),
        "variance": jnp.ones((filters,)),
    }


def initial_weight(bits: int) -> float:
    """Largest initial weight: half the range, or at 2 bits all of it, since weights below a half are 0 there."""
    return 1.0 if bits == 2 else 0.5


def initial_scale(bits: int) -> tuple[float, float]:
    """Gain and shift that start activations of this word length around the middle of their range."""
    return (1.0, 0.0) if bits in (1, FLOAT) else (0.5, 0.25)


def pooled(values: Array, side: int, pooling: str = "max") -> Array:
    """Largest or average value of windows of `side` x `side`; what is left at the end of an axis is dropped."""
    if side == 1:
        return values
    batch, height, width, channels = values.shape
    cells = values[:, : height // side * side, : width // side * side]
    # Over reshaped axes, since the gradient of a window maximum is several times slower on CPU.
    cells = cells.reshape(batch, height // side, side, width // side, side, channels)
    return cells.max(axis=(2, 4)) if pooling == "max" else cells.mean(axis=(2, 4))
