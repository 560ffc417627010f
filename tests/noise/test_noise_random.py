"""Statistics of the fused counter hash, with bounds from the sample size, and its agreement with threefry."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from amsim.noise import RANDOM_METHODS, normal, random, uniform

N = 2**20
Z = 5.0  # a correct generator fails one such bound in 2 million


def draw(function, seed, shape, **options):
    return np.asarray(jax.jit(lambda key: function(key, shape, **options))(jax.random.key(seed)), np.float64)


def largest_correlation(rows):
    """Largest correlation of two different rows, in standard errors of one."""
    rows = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    correlation = rows @ rows.T / math.sqrt(rows.shape[1])
    return np.abs(correlation - np.diag(np.diag(correlation))).max()


@pytest.mark.parametrize("method", RANDOM_METHODS)
def test_uniform_moments_and_distribution(method):
    u = draw(uniform, 0, (N,), method=method)
    assert 0 < u.min() < u.max() < 1
    for order in range(1, 7):
        mean, variance = 1 / (order + 1), 1 / (2 * order + 1) - 1 / (order + 1) ** 2
        assert abs((u**order).mean() - mean) < Z * math.sqrt(variance / N)
    assert stats.kstest(u, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("method", RANDOM_METHODS)
def test_normal_moments_and_distribution(method):
    x = draw(normal, 1, (N,), method=method)
    for order in range(1, 9):
        mean = special.factorial2(order - 1) if order % 2 == 0 else 0.0
        variance = special.factorial2(2 * order - 1) - mean**2
        assert abs((x**order).mean() - mean) < Z * math.sqrt(variance / N)
    assert stats.kstest(x, "norm").pvalue > 1e-4


def test_methods_agree_and_differ():
    hashed, reference = (draw(normal, 2, (N,), method=method) for method in RANDOM_METHODS)
    assert np.asarray(stats.ks_2samp(hashed, reference))[1] > 1e-4  # the p value
    assert largest_correlation(np.stack([hashed, reference])) < Z


@pytest.mark.parametrize(("function", "law"), [(uniform, "uniform"), (normal, "norm")])
def test_float64_distribution(function, law):
    with jax.enable_x64(True):
        x = jax.jit(lambda key: function(key, (N,), jnp.float64))(jax.random.key(3))
        assert x.dtype == jnp.float64
        x = np.asarray(x)
    assert stats.kstest(x, law).pvalue > 1e-4
    assert np.unique(x).size == N  # 24 bits would repeat: 2**20 draws hold 2**15 coincidences


def test_float64_low_bits():
    with jax.enable_x64(True):
        u = np.asarray(uniform(jax.random.key(4), (N,), jnp.float64))
    bits = np.ldexp(u, 52).astype(np.uint64)
    for shift in (0, 10, 20, 30):
        low = ((bits >> np.uint64(shift)) & np.uint64(1023)).astype(int)
        assert stats.chisquare(np.bincount(low, minlength=1024)).pvalue > 1e-4
        high = (bits >> np.uint64(47)).astype(int)
        assert stats.chisquare(np.bincount(high * 32 + (low >> 5), minlength=1024)).pvalue > 1e-4


@pytest.mark.parametrize("seed", [0, 1, 2**31])
def test_low_bits(seed):
    """The 10 lowest bits are uniform, alone and jointly with the next position and with the position's own low bits."""
    bits = np.ldexp(draw(uniform, seed, (N,)), 23).astype(int)
    assert stats.chisquare(np.bincount(bits & 1023, minlength=1024)).pvalue > 1e-4
    for other in (bits[1::2], np.arange(N // 2), np.arange(N // 2) >> 9):
        joint = (bits[::2] & 31) * 32 + (other & 31)
        assert stats.chisquare(np.bincount(joint, minlength=1024)).pvalue > 1e-4


def test_each_bit_is_fair():
    bits = np.ldexp(draw(uniform, 5, (N,)), 23).astype(int)
    for bit in range(23):
        assert abs(((bits >> bit) & 1).mean() - 0.5) < Z * 0.5 / math.sqrt(N)


@pytest.mark.slow  # 2**25 draws; below, the function that makes the tails is tested at its last inputs
def test_tails():
    """Both tails hold as many of 2**25 draws as the normal law says, to five Poisson deviations; so do the moments."""
    limits = np.array([3.0, 4.0, 4.5, 5.0])
    count = 32 * N

    def summary(key):
        x = normal(key, (N,))
        return [[(sign * x > limit).sum() for limit in limits] for sign in (1, -1)], [x.mean(), (x**2).mean()]

    keys = jax.random.split(jax.random.key(6), 32)
    beyond, moments = jax.jit(lambda keys: jax.lax.map(summary, keys))(keys)
    expected = count * stats.norm.sf(limits)
    assert (np.abs(np.sum(beyond, axis=-1) - expected) < Z * np.sqrt(expected)).all()
    mean, square = np.asarray(moments, np.float64).mean(axis=-1)
    assert abs(mean) < Z / math.sqrt(count)
    assert abs(square - 1) < Z * math.sqrt(2 / count)


@pytest.mark.parametrize("x64", [False, True])
def test_extreme_hashes(monkeypatch, x64):
    """The smallest and the largest hash give open, mirrored ends."""
    with jax.enable_x64(x64):
        dtype = jnp.dtype(float if x64 else jnp.float32)
        words = jnp.array([0, 2**31 - 1, 2**31, 2**32 - 1], jnp.uint32)
        low = jnp.array([0, 2**32 - 1, 0, 2**32 - 1], jnp.uint32)
        monkeypatch.setattr(random, "_hashed_words", lambda key, shape, count: [words, low][:count])
        u = np.asarray(uniform(jax.random.key(0), (4,), dtype))
        x = np.asarray(normal(jax.random.key(0), (4,), dtype))
    half_bin = 2.0**-53 if x64 else 2.0**-24
    np.testing.assert_array_equal(u, [half_bin, 0.5 - half_bin, 0.5 + half_bin, 1 - half_bin])
    # `normal` takes the hash as a signed number: 0 is next to the median, 2**31 is the end of the lower tail.
    np.testing.assert_array_equal(x, [-x[3], -x[2], x[2], x[3]])
    end = half_bin if x64 else half_bin / 2  # in float32 the signed number has one bit more
    np.testing.assert_allclose(x[2], stats.norm.ppf(end), rtol=1e-5)
    np.testing.assert_allclose(x[3], -end * math.sqrt(2 * math.pi), rtol=1e-5)


def test_inverse_error_function():
    """Against SciPy at a third of all float32 inputs that occur, and at all of the last 4096."""
    bins = np.concatenate([np.arange(-(2**23), 2**23, 3), np.arange(2**23 - 4096, 2**23)])
    v = (bins + 0.5) / 2**23
    got = np.asarray(jax.jit(random._erf_inv)(v.astype(np.float32)))
    np.testing.assert_allclose(got, special.erfinv(v), rtol=4e-7)
    np.testing.assert_array_equal(np.asarray(jax.jit(random._erf_inv)(-v.astype(np.float32))), -got)


def test_hash_against_plain_integers():
    """The first numbers from Python integers and the published finaliser, word for word."""

    def mixed(word):
        word = ((word ^ word >> 16) * 0x7FEB352D) % 2**32
        word = ((word ^ word >> 15) * 0x846CA68B) % 2**32
        return word ^ word >> 16

    key = jax.random.key(0xDEADBEEF)
    left, right = (int(word) for word in jax.random.key_data(key))
    for root in (2, 3, 5, 7):
        left, right = right, left ^ mixed((right + int(math.sqrt(root) % 1 * 2**32)) % 2**32)
    words = [mixed(mixed((position + left) % 2**32) ^ right) for position in range(12)]
    np.testing.assert_array_equal(uniform(key, (3, 4)).ravel(), [((word >> 9) + 0.5) / 2**23 for word in words])


def test_no_autocorrelation():
    x = draw(normal, 7, (N,))
    for y in (x, x**2 - 1, np.abs(x) - math.sqrt(2 / math.pi)):
        for lag in range(1, 65):
            assert abs((y[lag:] * y[:-lag]).mean()) < Z * y.var() / math.sqrt(N - lag)


def test_rows_and_columns_are_independent():
    x = draw(normal, 8, (64, 2**14))
    assert largest_correlation(x) < Z
    assert largest_correlation(x.reshape(-1, 64).T) < Z


@pytest.mark.parametrize(
    "keys",
    [
        lambda: jax.vmap(jax.random.key)(jnp.arange(64)),
        lambda: jax.random.split(jax.random.key(0), 64),
        lambda: jax.vmap(partial(jax.random.fold_in, jax.random.key(0)))(jnp.arange(64)),
        lambda: jax.random.wrap_key_data(jnp.stack([jnp.arange(64, dtype=jnp.uint32)] * 2, axis=1)),
        lambda: jax.random.wrap_key_data(jnp.stack([jnp.uint32(2**26) * jnp.arange(64, dtype=jnp.uint32)] * 2, axis=1)),
    ],
    ids=["consecutive", "split", "fold_in", "equal words", "high bits"],
)
def test_keys_are_independent(keys):
    """Rows of different keys do not correlate, in place, shifted, squared, or by any single position of all keys."""
    x = np.asarray(jax.jit(jax.vmap(lambda key: normal(key, (2**14,))))(keys()), np.float64)
    assert largest_correlation(x) < Z
    assert largest_correlation(x**2) < Z
    shifted = np.concatenate([x[::2, 1:], x[1::2, :-1]])
    assert largest_correlation(shifted) < Z
    means = x.mean(axis=0) * 8
    assert stats.kstest(means, "norm").pvalue > 1e-4


@pytest.mark.parametrize("consecutive", [True, False])
def test_first_numbers_over_many_keys(consecutive):
    """A single number per key is as random over keys as over positions."""
    count = 2**16
    keys = jax.vmap(jax.random.key)(jnp.arange(count)) if consecutive else jax.random.split(jax.random.key(9), count)
    x = np.asarray(jax.jit(jax.vmap(lambda key: normal(key, (3,))))(keys), np.float64)
    for column in x.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < Z / math.sqrt(count)
    assert largest_correlation(x.T) < Z


def test_same_key_same_draw():
    """Compiled or not, in a batch of keys or alone; the uniform numbers bit for bit, the normal ones to rounding."""
    keys = jax.random.split(jax.random.key(10), 3)
    for function, rtol in ((uniform, 0.0), (normal, 1e-6)):
        one = partial(function, shape=(3, 7))
        jitted = jax.jit(one)
        batched = jax.jit(jax.vmap(one))(keys)
        for key, row in zip(keys, batched, strict=True):
            np.testing.assert_allclose(jitted(key), row, rtol=rtol)
        np.testing.assert_allclose(one(keys[0]), batched[0], rtol=rtol)
        assert np.unique(batched).size == batched.size


def test_shapes():
    key = jax.random.key(11)
    flat, folded, one = jax.jit(lambda key: [uniform(key, shape) for shape in ((24,), (2, 1, 3, 4), ())])(key)
    np.testing.assert_array_equal(folded.ravel(), flat)
    np.testing.assert_array_equal(one, flat[0])
    assert uniform(key, (0, 3)).shape == (0, 3)
    assert normal(key, (2, 0)).shape == (2, 0)


def test_every_word_of_a_long_key_matters():
    words = jnp.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0]], jnp.uint32)
    keys = jax.random.wrap_key_data(words, impl="rbg")
    x = np.asarray(jax.jit(jax.vmap(lambda key: normal(key, (2**12,))))(keys), np.float64)
    assert largest_correlation(x) < Z


def test_gradient_of_a_consumer():
    key = jax.random.key(12)

    def loss(sigma):
        return (sigma * normal(key, (8,))).sum()

    total = draw(normal, 12, (8,)).sum()
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(jnp.float32(0.3)), total, rtol=1e-5)


@pytest.mark.parametrize("function", [uniform, normal])
def test_errors(function):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"Argument `key` must be one key from jax.random.key, but has dtype uint32"):
        function(jax.random.key_data(key), (2,))
    with pytest.raises(ValueError, match=r"`method` must be one of \('hash', 'threefry'\), but is 'philox'"):
        function(key, (2,), method="philox")
    with pytest.raises(ValueError, match=r"`shape` must hold at most 2\*\*32 numbers, but is \(1048576, 8192\)"):
        function(key, (2**20, 2**13))
    for dtype in (jnp.float16, jnp.float64, jnp.int32):
        with pytest.raises(ValueError, match=r"`dtype` must be one of \('float32',\)"):
            function(key, (2,), dtype)
