"""Keys of one part of a long batch, whose items draw what they would draw in the batch as a whole.

A draw is a hash of the key and of each number's place in the array, items first. With the place in the long batch in
its stead, a batch may be cut anywhere: the same items get the same noise, at no cost. Splitting and folding such a key
keeps the place, so that circuits need not know of it.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl
from jax.typing import ArrayLike
from jaxtyping import Array, Int, Key, PRNGKeyArray, UInt32

from amsim.noise.arguments import integer_between, one_key
from amsim.noise.counter_hash import Place, hashed_words

_WHOLE = np.array([0, 1], np.uint32)
"""First item and number of items of a draw that is not a part of a longer one."""
_DOUBLINGS: dict[str, int] = {}
"""Number of parts that a draw may have, as a power of 2, by the name of the kind of keys."""
_UNKNOWN = 32


def item_key(key: PRNGKeyArray, first: Int[ArrayLike, ""], items: int, *, of: int | None = None) -> Key[Array, ""]:
    """Key of a read of some items of a longer batch, for `normal` and `uniform`.

    A draw of shape (items, ...) by it is that part of the draw of all items by `key`: rows `first` to
    `first + items - 1`, however the other items are divided into batches.

    Args:
        key: One typed key, shape ().
        first: Number of the first item, from 0; may be traced.
        items: Number of items.
        of: Number of all items, where it is known: draws of fewer than 2**31 numbers in all then cost nothing more.

    Returns:
        A typed key, shape (), which `jax.random.split` and `jax.random.fold_in` take as any other. Functions of
        `jax.random` draw other numbers by it than by `key`, with the same property.

    Raises:
        ValueError: `key` is not one typed key, or a number of items is no count.

    Validity: draws whose shape begins with the items, alone or merged with axes behind them. Other draws are
    independent from batch to batch, but change with the division.
    """
    one_key("key", key)
    if not isinstance(first, jax.Array):
        integer_between("first", first, 0, 2**32 - 1)
    integer_between("items", items, 1)
    if of is not None:
        integer_between("of", of, 1)
    doublings = _UNKNOWN if of is None else (-(-of // items) - 1).bit_length()
    place = jnp.stack([jnp.asarray(first, jnp.uint32), jnp.asarray(items, jnp.uint32)])
    words = jnp.concatenate([jax.random.key_data(key), place])
    return jax.random.wrap_key_data(words, impl=_implementation(jax.random.key_impl(key), doublings))


def words_and_place(key: PRNGKeyArray, shape: tuple[int, ...]) -> tuple[UInt32[Array, " words"], Place | None]:
    """Words that a draw hashes with, and its place; None for a key that is not one of `item_key`."""
    data, doublings = jax.random.key_data(key), _DOUBLINGS.get(str(jax.random.key_impl(key)))
    return (data, None) if doublings is None else _divided(data, shape, doublings)


def member_keys(key: PRNGKeyArray, members: tuple[int, ...], *, of_items: bool) -> Key[Array, "..."]:
    """Keys of products of equal shape that are computed one after another, each a read of its own.

    Args:
        key: One typed key, shape ().
        members: Shape of the products.
        of_items: Whether each item has products of its own, along the first axis, so that they are numbered through
            all items of a longer batch; else all products see all items.
    """
    if not of_items or str(jax.random.key_impl(key)) not in _DOUBLINGS:
        return jax.random.split(key, members)
    count, data = math.prod(members), jax.random.key_data(key)
    numbers = jnp.arange(count, dtype=jnp.uint32) + data[-2] * (np.uint32(count) // data[-1])
    alone = jax.random.wrap_key_data(jnp.concatenate([data[:-2], _WHOLE]), impl=jax.random.key_impl(key))
    # With the default generator the numbers of a split and of `fold_in` give the same keys.
    return jax.vmap(lambda number: jax.random.fold_in(alone, number))(numbers).reshape(members)


def _divided(
    data: UInt32[Array, " words"], shape: tuple[int, ...], doublings: int
) -> tuple[UInt32[Array, " key_words"], Place]:
    """Words and place of a draw by a key of these words, whose long draw has at most `2**doublings` such parts."""
    size, first, items = math.prod(shape), data[-2], data[-1]
    numbers = np.uint32(min(size, 2**32 - 1))
    # Rounded up, so that no two batches share a number where the items do not divide the draw.
    of_item = numbers // items + (numbers % items != 0).astype(jnp.uint32)
    # Rounding up at most doubles a draw of as many numbers as items, and smaller ones have as many as all items.
    return data[:-2], _product(first, of_item) if size << (doublings + 1) > 2**32 else Place(first * of_item, None)


def _product(one: UInt32[Array, ""], other: UInt32[Array, ""]) -> Place:
    """Product of two words, in halves of 16 bits since there may be no words of 64."""
    half = np.uint32(0xFFFF)
    low = (one & half) * (other & half)
    crossed, back = (one >> 16) * (other & half), (one & half) * (other >> 16)
    middle = (low >> 16) + (crossed & half) + (back & half)
    return Place(one * other, (one >> 16) * (other >> 16) + (crossed >> 16) + (back >> 16) + (middle >> 16))


@functools.cache
def _implementation(base: Any, doublings: int) -> Any:
    """Kind of keys with the words of another kind, and two of their own: the first item and the number of items."""

    def split(data: UInt32[Array, " words"], shape: tuple[int, ...]) -> UInt32[Array, "... words"]:
        found = jax.random.key_data(jax.random.split(base_key(data), shape))
        return jnp.concatenate([found, jnp.broadcast_to(data[-2:], (*found.shape[:-1], 2))], axis=-1)

    def fold_in(data: UInt32[Array, " words"], number: Any) -> UInt32[Array, " words"]:
        return jnp.concatenate([jax.random.key_data(jax.random.fold_in(base_key(data), number)), data[-2:]])

    def random_bits(data: UInt32[Array, " words"], width: int, shape: tuple[int, ...]) -> Array:
        words, place = _divided(data, shape, doublings)
        if width == 64:
            high, low = (word.astype(jnp.uint64) for word in hashed_words(words, shape, 2, place))
            return (high << np.uint64(32)) | low
        return (hashed_words(words, shape, 1, place)[0] >> np.uint32(32 - width)).astype(f"uint{width}")

    def seed(number: Array) -> UInt32[Array, " words"]:
        return jnp.concatenate([jax.random.key_data(jax.random.key(number, impl=base)), _WHOLE])

    def base_key(data: UInt32[Array, " words"]) -> PRNGKeyArray:
        return jax.random.wrap_key_data(data[:-2], impl=base)

    # By its shape alone: made once, a key of its own would be a part of the program that is traced first.
    words = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=base))).size + 2
    name = f"items in 2**{doublings} parts, {base}"
    _DOUBLINGS[name] = doublings
    return define_prng_impl(
        key_shape=(words,), seed=seed, split=split, random_bits=random_bits, fold_in=fold_in, name=name, tag=name
    )
