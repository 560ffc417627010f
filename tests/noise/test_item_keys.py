"""Keys of parts of a batch: the parts together draw what the whole draws, however it is divided."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.noise import item_key, normal, uniform
from amsim.noise.item_keys import _product, member_keys

KEY = jax.random.key(3)
DIVISIONS = [(12,), (3, 1, 8), pytest.param((5, 7), marks=pytest.mark.slow)]  # below, every other draw is so divided


def parts(draw, sizes, key=KEY, start=0, of=None):
    """Draws of parts of a batch, one behind the other."""
    firsts = itertools.accumulate(sizes[:-1], initial=start)
    drawn = [draw(item_key(key, first, size, of=of), size) for first, size in zip(firsts, sizes, strict=True)]
    return np.concatenate(drawn)


DRAWS = {
    "array": lambda key, items: uniform(key, (items, 3, 2)),
    "vector": lambda key, items: uniform(key, (items,)),
    "merged": lambda key, items: uniform(key, (items * 5, 3)),
    "long": lambda key, items: uniform(key, (items, 8)),
    "derived": lambda key, items: uniform(jax.random.split(jax.random.fold_in(key, 9), 3)[1], (items, 4)),
}


@pytest.mark.sampled
@pytest.mark.parametrize("sizes", DIVISIONS)
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_parts_are_the_whole(draw, sizes):
    for of in (None, 12, 2**30):
        np.testing.assert_array_equal(parts(draw, sizes, of=of), draw(KEY, 12))


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_places_may_be_traced_and_mapped(draw):
    drawn = jax.jit(jax.vmap(lambda first: draw(item_key(KEY, first, 4), 4)))(jnp.arange(0, 12, 4))
    np.testing.assert_array_equal(np.concatenate(drawn), draw(KEY, 12))


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_every_kind_of_key_and_method(kind):
    key = jax.random.key(1, impl=kind)
    np.testing.assert_array_equal(parts(lambda k, n: normal(k, (n, 2)), (5, 7), key), normal(key, (12, 2)))
    for draw in (
        lambda k, n: jax.random.normal(k, (n, 2)),
        lambda k, n: jax.random.bits(k, (n,), jnp.uint8),
        lambda k, n: normal(k, (n,), method="threefry"),
    ):
        np.testing.assert_array_equal(parts(draw, (5, 7), key), parts(draw, (12,), key))


def test_double_precision():
    with jax.enable_x64(True):
        key = jax.random.key(3)
        np.testing.assert_array_equal(
            parts(lambda k, n: normal(k, (n, 2), jnp.float64), (5, 7), key), normal(key, (12, 2), jnp.float64)
        )
        assert parts(lambda k, n: jax.random.bits(k, (n,), jnp.uint64), (5, 7), key).dtype == np.uint64


def test_items_beyond_the_reach_of_a_word_are_new():
    """More than 2**32 numbers before an item: no repetition of the first ones, and none lost at the crossing."""
    crossing = 2**29 - 3  # of 8 numbers each
    draw = DRAWS["long"]
    np.testing.assert_array_equal(parts(draw, (6,), start=crossing), parts(draw, (4, 2), start=crossing))
    np.testing.assert_array_equal(parts(draw, (6,), start=crossing), parts(draw, (6,), start=crossing, of=2**29 + 9))
    assert not np.any(parts(draw, (6,), start=2**29) == parts(draw, (6,)))
    beyond, start = (parts(draw, (2**14,), start=first).ravel() for first in (2**29, 0))
    assert abs(np.corrcoef(beyond, start)[0, 1]) < 5 / np.sqrt(beyond.size)


def test_product_of_words():
    ones, others = np.random.default_rng(0).integers(0, 2**32, (2, 50), dtype=np.uint32)
    for one, other in [*zip(ones, others, strict=True), (2**32 - 1, 2**32 - 1)]:
        place = _product(jnp.uint32(one), jnp.uint32(other))
        assert (int(place.high) << 32) + int(place.low) == int(one) * int(other)


@pytest.mark.parametrize("of_items", [True, False])
def test_members_are_reads_of_their_own(of_items):
    """Products that each item has are numbered through all items; those that all items share have the items inside."""

    def draw(key, items):
        keys = member_keys(key, (items, 2) if of_items else (2,), of_items=of_items).reshape(-1)
        drawn = jax.vmap(lambda one: uniform(one, (3,) if of_items else (items, 3)))(keys)
        return drawn.reshape(items, 2, 3) if of_items else jnp.swapaxes(drawn, 0, 1)

    np.testing.assert_array_equal(parts(draw, (5, 7)), draw(KEY, 12))
    assert len(np.unique(draw(KEY, 12))) == 72


def test_a_draw_that_the_items_do_not_divide_is_new_in_each_part():
    drawn = [normal(item_key(KEY, first, 4), (7,)) for first in (0, 4, 8)]
    assert len(np.unique(np.concatenate(drawn))) == 21
