"""One changed bit of anything that a program holds is another program; the same one is the same in every process."""

import functools
import os
import subprocess
import sys
import types
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from amsim.files.program_digest import program_digest

X = jax.ShapeDtypeStruct((3,), jnp.float32)
HELD = np.array([0.5, -2.0, 3.25], np.float32)
GLOBAL = None


class Holder(eqx.Module):
    held: jax.Array
    words: dict

    def __call__(self, x):
        return x * self.held + self.words["offset"]


def flipped(array, bit=0):
    """A copy with one bit of its last element changed."""
    plain = np.array(array)
    plain.reshape(-1).view(np.uint8)[-plain.itemsize + bit // 8] ^= 1 << bit % 8
    return plain


def by_default(held):
    def function(x, offset=held):
        return x + offset

    return function


def by_global(held):
    global GLOBAL
    GLOBAL = held
    return lambda x: x + GLOBAL


def by_custom_jvp(held):
    @jax.custom_jvp
    def function(x):
        return x * held

    function.defjvp(lambda primals, tangents: (function(*primals), tangents[0]))
    return function


def by_custom_vjp(held):
    @jax.custom_vjp
    def function(x):
        return x * held

    function.defvjp(lambda x: (function(x), None), lambda _, slope: (slope,))
    return function


def by_linear_solve(held):
    return lambda x: lax.custom_linear_solve(lambda y: y * held, x, lambda _, y: y / held, lambda _, y: y / held)


def by_root(held):
    return lambda x: lax.custom_root(lambda y: y - x * held, x, lambda f, y: y - f(y), lambda g, y: y)


def by_callback(held):
    return lambda x: jax.pure_callback(lambda y: np.asarray(y) * held, X, x)


def by_callback_of_an_object(held):
    class Bench:
        def __init__(self):
            self.drive, self.log = types.SimpleNamespace(levels=[held]), []

        def read(self, y):
            return np.asarray(y) * self.drive.levels[0]

    return lambda x: jax.pure_callback(Bench().read, X, x)


WAYS = {
    "closure": lambda held: lambda x: x + held,
    "default": by_default,
    "partial": lambda held: functools.partial(lambda offset, x: x + offset, held),
    "global": by_global,
    "dict": lambda held: lambda x, parts={"a": [held]}: x + parts["a"][0],
    "attribute": lambda held: lambda x, part=types.SimpleNamespace(held=held): x + part.held,  # noqa: B008
    "module": lambda held: Holder(jnp.asarray(held), {"offset": 1.0}),
    "field of a module": lambda held: Holder(jnp.ones(3), {"offset": held}),
    "jit": lambda held: jax.jit(lambda x: x + held),
    "jit in jit": lambda held: jax.jit(lambda x: jax.jit(lambda y: y * held)(x) + 1),
    "jit of a vmap": lambda held: jax.vmap(jax.jit(lambda x: jnp.sum(x * held)), in_axes=0, axis_size=3),
    "checkpoint": lambda held: jax.checkpoint(lambda x: jnp.sin(x * held)),
    "scan": lambda held: lambda x: lax.scan(lambda c, _: (c * held, None), x, None, length=2)[0],
    "scanned": lambda held: lambda x: lax.scan(lambda c, one: (c * one, None), x, jnp.asarray(held))[0],
    "jit in scan": lambda held: (
        lambda x: lax.scan(lambda c, _: (jax.jit(lambda y: y * held)(c), None), x, None, length=2)[0]
    ),
    "map": lambda held: lambda x: lax.map(lambda one: jnp.sum(one * held), x),
    "fori": lambda held: lambda x: lax.fori_loop(0, 2, lambda _, c: c * held, x),
    "while": lambda held: lambda x: lax.while_loop(lambda c: c[0] < 9.0, lambda c: c + jnp.abs(held), x),
    "while condition": lambda held: (
        lambda x: lax.while_loop(lambda c: jnp.all(c < jnp.abs(held)), lambda c: c + 1.0, x)
    ),
    "cond": lambda held: lambda x: lax.cond(x[0] > 0, lambda y: y * held, lambda y: y, x),
    "switch": lambda held: lambda x: lax.switch(1, [lambda y: y, jax.jit(lambda y: y * held)], x),
    "custom_jvp": by_custom_jvp,
    "custom_vjp": by_custom_vjp,
    "custom_linear_solve": by_linear_solve,
    "custom_root": by_root,
    "gradient": lambda held: jax.grad(lambda x: jnp.sum(jax.jit(lambda y: y * held)(x))),
    "reduction": lambda held: lambda x: lax.reduce(x, np.float32(0), lambda a, b: a + b * held[-1], (0,)),
    "number": lambda held: lambda x: x * float(held[-1]),
    "number in jit": lambda held: jax.jit(lambda x: x * float(held[-1])),
    "large": lambda held: lambda x: x[0] * np.concatenate([np.zeros(5000, np.float32), held]),
    "callback": by_callback,
    "callback of an object": by_callback_of_an_object,
}  # fmt: skip


def digest(function, shape=X, derivatives=False):
    return program_digest(jax.make_jaxpr(function)(shape), derivatives=derivatives)


def digests():
    return {name: digest(way(HELD)) for name, way in WAYS.items()}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_one_bit_is_another_program(way):
    first = digest(way(HELD))
    assert digest(way(HELD.copy())) == first
    for bit in (0, 31):  # the last place and the sign
        assert digest(way(flipped(HELD, bit))) != first


DTYPES = (
    "bool",
    "int4",
    "uint4",
    "int8",
    "uint8",
    "int32",
    "uint32",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "float32",
)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("compiled", [False, True])
def test_one_bit_of_any_type(name, compiled):
    held = np.ones(3).astype(jnp.dtype(name))

    def program(array):
        function = lambda x: (x, jnp.asarray(array))  # noqa: E731
        return digest(jax.jit(function) if compiled else function)

    assert program(held) == program(held.copy()) != program(flipped(held))


def test_types_shapes_and_weakness_of_numbers_count():
    held = [
        jnp.asarray(one)
        for one in (1, True, np.float32(1), np.float16(1), jnp.bfloat16(1), np.ones(1), np.ones((1, 1)))
    ]
    found = {digest(lambda x, one=one: (x, one)) for one in held}
    weak, strong = digest(lambda x: (x, jnp.asarray(1.0) * 1)), digest(lambda x: (x, jnp.float32(1.0) * 1))
    assert len(found | {weak, strong}) == len(held) + 2


def test_signs_of_zero_and_bits_of_nan_count():
    other_nan = np.array(np.nan, np.float32).view(np.uint32) ^ np.uint32(1)
    held = [np.float32(0.0), np.float32(-0.0), np.float32(np.nan), other_nan.view(np.float32)]
    assert len({digest(jax.jit(lambda x, one=one: x * jnp.full(3, one))) for one in held}) == len(held)


def test_keys_and_their_kind_count():
    keys = [jax.random.key(0), jax.random.key(1), jax.random.key(0, impl="rbg"), jax.random.key(0, impl="unsafe_rbg")]
    assert len({digest(jax.jit(lambda x, key=key: x + jax.random.normal(key))) for key in keys}) == len(keys)


def test_what_a_program_does_counts():
    functions = [
        lambda x: x + 1, lambda x: x - 1, lambda x: 1 - x, lambda x: x + x[::-1], lambda x: lax.cumsum(x),
        lambda x: lax.cumsum(x, reverse=True), lambda x: (x, x + 1), lambda x: (x + 1, x),
        lambda x: lax.scan(lambda c, _: (c + 1, None), x, None, length=2)[0],
        lambda x: lax.scan(lambda c, _: (c + 1, None), x, None, length=3)[0],
    ]  # fmt: skip
    assert len({digest(one) for one in functions}) == len(functions)


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_a_derivative_of_the_users_own_counts_where_it_is_taken(kind):
    def ruled(slope, inner):
        call = jax.jit(lambda t: t * slope) if inner else lambda t: t * slope
        function = (jax.custom_jvp if kind == "jvp" else jax.custom_vjp)(lambda x, n: x * 2)
        if kind == "jvp":
            function.defjvp(lambda primals, tangents: (function(*primals), call(tangents[0])))
        else:
            function.defvjp(lambda x, n: (x * 2, None), lambda _, cotangent: (call(cotangent), None))
        return jax.jit(lambda x: function(x, 3))

    for inner in (False, True):
        first, other = ruled(HELD, inner), ruled(flipped(HELD), inner)
        assert digest(first, derivatives=True) == digest(ruled(HELD, inner), derivatives=True)
        assert digest(first, derivatives=True) != digest(other, derivatives=True)
        assert digest(first) == digest(other)  # the values are the same


def test_a_rule_that_gives_no_derivative_is_no_error():
    function = jax.custom_jvp(lambda x: x * 2)

    @function.defjvp
    def rule(primals, tangents):
        raise NotImplementedError

    assert digest(function, derivatives=True) == digest(function, derivatives=True)


def test_places_in_files_do_not_count():
    here = digest(jax.jit(lambda x: eqx.error_if(x, jnp.any(x > 9), "too large") * HELD))
    there = digest(jax.jit(lambda x: eqx.error_if(x, jnp.any(x > 9), "too large") * HELD))
    assert here == there
    jax.clear_caches()  # programs inside are then no longer the same objects
    assert digest(jax.jit(lambda x: eqx.error_if(x, jnp.any(x > 9), "too large") * HELD)) == here


def test_another_process_has_the_same_digests():
    program = "import test_program_digest as one; print(one.digests())"
    here, folder = os.environ | {"PYTHONHASHSEED": "7"}, str(Path(__file__).parent)
    paths = os.pathsep.join([folder, *sys.path])
    found = subprocess.run(
        [sys.executable, "-c", program], env=here | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(digests())
