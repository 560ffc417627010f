"""Random draws that the compiler fuses into the loop that uses them.

A draw is a pure function of the key and of the position in the array: two rounds of an integer hash of a counter. It
has no state and no memory traffic, so XLA fuses it into its consumer; the library's own generator (method "threefry")
costs several times more and stays available as the reference to compare with.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32, Int32, Key, PRNGKeyArray, UInt32

from amsim.noise.arguments import integer_between, one_key, shown, word_of
from amsim.noise.counter_hash import hashed_words
from amsim.noise.item_keys import words_and_place

RANDOM_METHODS = ("hash", "threefry")

# Coefficients of erfinv(v) / v, highest power first: in w - 2.5 below w = 5 and in sqrt(w) - 3 above.
_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


def uniform(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, *, method: str = "hash"
) -> Float[Array, "..."]:
    """Uniform random numbers in the open interval (0, 1).

    ``u = (k + 1/2) / 2**b`` with ``k`` a ``b``-bit hash, b = 23 in float32 and 52 in float64: the centres of ``2**b``
    equal bins, all exact in the format. Neither 0 nor 1 occurs, and ``1 - u`` is as likely as ``u``.

    Args:
        key: One typed key, shape (). The same key and shape give the same draw, jitted or not (`normal`: to rounding).
        shape: Shape of the result, at most 2**32 numbers.
        dtype: float32 or float64.
        method: "hash" (fused counter hash), or "threefry" (the key's own generator in JAX, the reference).

    Returns:
        Independent uniform numbers, shape ``shape``, unit 1.

    Raises:
        ValueError: `key` is not a single typed key, `shape` is too large, or `dtype` or `method` is not allowed.

    Validity: simulation only, not cryptography. Within one draw the 32-bit hashes of float32 do not repeat, so a draw
    of nearly 2**32 numbers is more even than independent ones. Under one key, draws of different shape share their
    leading values in row-major order, and `normal` is a function of the same hash: use one key per draw.

    Source: counter-based generation after Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; mixing
    constants "lowbias32" of C. Wellons, hash-prospector (public domain).
    """
    dtype = _checked_dtype(key, shape, dtype, method)
    if method == "threefry":
        return jax.random.uniform(key, shape, dtype, minval=jnp.finfo(dtype).tiny)
    if dtype == np.float32:
        (word,) = _hashed_words(key, shape, 1)
        return ((word >> 9).astype(dtype) + 0.5) * 2.0**-23
    high, low = _hashed_words(key, shape, 2)
    return (high.astype(dtype) * 2.0**20 + (low >> 12).astype(dtype) + 0.5) * 2.0**-52


def normal(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, *, method: str = "hash"
) -> Float[Array, "..."]:
    """Standard normal random numbers.

    ``x = sqrt(2) erfinv(v)`` with ``v = (k + 1/2) / 2**b`` and ``k`` a signed hash in [-2**b, 2**b), b = 23 in float32
    and 51 in float64. Every ``v`` is exact in the format, so the two tails mirror each other bit for bit.

    Args:
        key: One typed key, shape (). The same key and shape give the same draw, jitted or not (`normal`: to rounding).
        shape: Shape of the result, at most 2**32 numbers.
        dtype: float32 or float64.
        method: "hash" (fused counter hash), or "threefry" (the key's own generator in JAX, the reference).

    Returns:
        Independent normal numbers of mean 0 and standard deviation 1, shape ``shape``.

    Raises:
        ValueError: `key` is not a single typed key, `shape` is too large, or `dtype` or `method` is not allowed.

    Validity: simulation only, not cryptography. The tails end at 5.4 sigma in float32 and at 8.2 sigma in float64,
    where the resolution of the uniform number ends.

    Source: inversion, Devroye, "Non-Uniform Random Variate Generation", Springer 1986, section II.2; float32 inverse
    error function of M. Giles, "Approximating the erfinv function", GPU Computing Gems Jade, 2011; generator as in
    `uniform`.
    """
    dtype = _checked_dtype(key, shape, dtype, method)
    if method == "threefry":
        return jax.random.normal(key, shape, dtype)
    if dtype == np.float32:
        (word,) = _hashed_words(key, shape, 1)
        return math.sqrt(2) * _erf_inv(((_signed(word) >> 8).astype(dtype) + 0.5) * 2.0**-23)
    high, low = _hashed_words(key, shape, 2)
    signed = (_signed(high).astype(dtype) * 2.0**20 + (low >> 12).astype(dtype) + 0.5) * 2.0**-51
    return math.sqrt(2) * lax.erf_inv(signed)


def _checked_dtype(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike, method: str) -> np.dtype:
    """Dtype of a draw whose arguments have been checked."""
    one_key("key", key)
    word_of("method", method, RANDOM_METHODS)
    if not isinstance(shape, tuple | list):
        raise ValueError(f"Argument `shape` must be a tuple of counts, but is {shown(shape)}.")
    for length in shape:
        integer_between("shape", length, 0)
    if math.prod(shape) > 2**32:
        raise ValueError(f"Argument `shape` must hold at most 2**32 numbers, but is {shape}; split the key.")
    allowed = ("float32", "float64") if jnp.result_type(float) == np.float64 else ("float32",)
    rule = f"Argument `dtype` must be one of {allowed} (float64 with jax_enable_x64), but is"
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise ValueError(f"{rule} {shown(dtype)}.") from None
    if dtype is None or found.name not in allowed:
        raise ValueError(f"{rule} {found}.")
    return found


def _hashed_words(key: PRNGKeyArray, shape: tuple[int, ...], count: int) -> list[UInt32[Array, "..."]]:
    """`count` independent hashes of every position, that in the batch of all items for a key of `item_key`."""
    words, first = words_and_place(key, shape)
    return hashed_words(words, shape, count, first)


def _erf_inv(v: Float32[Array, "..."]) -> Float32[Array, "..."]:
    """Inverse error function with a relative error below 3e-7.

    Unlike lax.erf_inv it needs no log1p, which XLA leaves scalar on the CPU where the last axis is narrow (7x slower).
    """
    w = -jnp.log((1 - v) * (1 + v))
    return v * jnp.where(w < 5, _polynomial(_CENTRE, w - 2.5), _polynomial(_TAIL, jnp.sqrt(w) - 3))


def _polynomial(coefficients: tuple[float, ...], x: Float32[Array, "..."]) -> Float32[Array, "..."]:
    value = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _signed(word: UInt32[Array, "..."]) -> Int32[Array, "..."]:
    return lax.bitcast_convert_type(word, jnp.int32)


def numbered_keys(key: PRNGKeyArray, count: int) -> Key[Array, " count"]:
    """Keys by number: key n is the same for any count, unlike those of `jax.random.split`.

    Args:
        key: One typed key, shape ().
        count: Number of keys.

    Returns:
        Typed keys, shape (count,).

    Raises:
        ValueError: `key` is not one typed key, or `count` is no count.
    """
    one_key("key", key)
    integer_between("count", count, 0)
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.arange(count))
