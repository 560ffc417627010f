"""Hash of the place of each element of an array, from which draws are made: two rounds of integer mixing, no state.

Source: counter-based generation after Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; mixing
constants "lowbias32" of C. Wellons, hash-prospector (public domain).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, UInt32

_MULTIPLIER_1 = np.uint32(0x7FEB352D)
_MULTIPLIER_2 = np.uint32(0x846CA68B)
# Fractional parts of sqrt(2), sqrt(3), sqrt(5), sqrt(7): no two rounds of the key schedule are alike.
_ROUND_CONSTANTS = tuple(np.uint32(word) for word in (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A))


class Place(NamedTuple):
    """Number of the first element of an array that is part of a longer one.

    Attributes:
        low: Lower 32 bits.
        high: Upper 32 bits; None where no element of the longer array needs them.
    """

    low: UInt32[Array, ""]
    high: UInt32[Array, ""] | None


def hashed_words(
    key_words: UInt32[Array, " words"], shape: tuple[int, ...], count: int, first: Place | None = None
) -> list[UInt32[Array, "..."]]:
    """Independent hashes of every position, each a bijection of the position for a given key.

    Args:
        key_words: Data of a key, an even number of words.
        shape: Shape of the array.
        count: Number of hashes.
        first: Place of the array in a longer one, whose hashes of those positions these are; None is its start.
    """
    positions, seeds = _positions(shape), _seeds(key_words, count)
    if first is not None:
        positions = positions + first.low
        if first.high is not None:
            wrapped = positions < first.low
            seeds = [(one, jnp.where(wrapped, *_with_upper_word(other, first.high))) for one, other in seeds]
    return [_mixed(_mixed(positions + one) ^ other) for one, other in seeds]


def _with_upper_word(seed: UInt32[Array, ""], high: UInt32[Array, ""]) -> tuple[UInt32[Array, ""], UInt32[Array, ""]]:
    """Seeds for the next upper word and for this one; 0 changes nothing, so that a longer array starts as any other."""
    return seed ^ _mixed(high + np.uint32(1)), seed ^ _mixed(high)


def _positions(shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Numbers of the elements in row-major order, by arithmetic on indices (a reshaped `arange` may not fuse)."""
    positions = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        if shape[axis] > 1:
            positions += lax.broadcasted_iota(jnp.uint32, shape, axis) * np.uint32(stride)
        stride *= shape[axis]
    return positions


def _seeds(key_words: UInt32[Array, " words"], count: int) -> list[tuple[UInt32[Array, ""], UInt32[Array, ""]]]:
    """`count` pairs of words derived from a key; the first pair is a bijection of a key of two words.

    Keys such as jax.random.key(0) and jax.random.key(1) differ in one bit of one word, and a Feistel network of four
    rounds makes their seeds unrelated. Keys of four words (rbg) are absorbed two at a time.
    """
    words = [lax.index_in_dim(key_words, index, keepdims=False) for index in range(key_words.size)]
    left, right = _spread(words[0], words[1])
    for index in range(2, len(words), 2):
        left, right = _spread(left ^ words[index], right ^ words[index + 1])
    seeds = [(left, right)]
    for _ in range(1, count):
        seeds.append(_spread(*seeds[-1]))
    return seeds


def _spread(left: UInt32[Array, ""], right: UInt32[Array, ""]) -> tuple[UInt32[Array, ""], UInt32[Array, ""]]:
    for constant in _ROUND_CONSTANTS:
        left, right = right, left ^ _mixed(right + constant)
    return left, right


def _mixed(word: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Word in which each bit of the input flips each bit of the output with a probability near 1/2."""
    word = (word ^ (word >> 16)) * _MULTIPLIER_1
    word = (word ^ (word >> 15)) * _MULTIPLIER_2
    return word ^ (word >> 16)
