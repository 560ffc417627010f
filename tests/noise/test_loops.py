"""A sum along an axis against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.noise.loops import computed_once, sum_along

VALUES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.mark.parametrize("unroll", [False, True])
def test_sum_along_is_that_of_a_loop_whose_body_is_traced_once(unroll):
    traced = []

    def found(scale):
        def one(turn):
            row, number = turn
            traced.append(number)
            return {"rows": scale * row * (number + 1), "squares": jnp.sum(row**2)}

        return sum_along(one, (jnp.asarray(VALUES), jnp.arange(5.0)), unroll=unroll)

    result = jax.jit(found)(jnp.float32(2.0))
    assert len(traced) == 1
    rows = sum(2 * row * (number + 1) for number, row in enumerate(VALUES.astype(float)))
    np.testing.assert_allclose(result["rows"], rows, rtol=1e-5)
    np.testing.assert_allclose(result["squares"], np.sum(VALUES.astype(float) ** 2), rtol=1e-6)
    # The body closes over what is differentiated and mapped.
    slopes = jax.vmap(jax.grad(lambda scale: jnp.sum(found(scale)["rows"])))(jnp.arange(3.0))
    np.testing.assert_allclose(slopes, np.full(3, rows.sum() / 2), rtol=1e-5)


def test_what_is_computed_once_is_as_it_was():
    values = jnp.asarray([-0.0, 0.0, 1.5, -3e-37, 1e38, jnp.inf, -jnp.inf, jnp.nan], jnp.float32)
    found = jax.jit(computed_once)(values)
    np.testing.assert_array_equal(np.asarray(found).view(np.int32), np.asarray(values).view(np.int32))
    slopes = jax.grad(lambda one: jnp.sum(computed_once(one) ** 2))(values[2:4])
    np.testing.assert_array_equal(slopes, 2 * values[2:4])
