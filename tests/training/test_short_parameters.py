"""Parameters of fewer than 32 bits: trained as in float32, wherever there is an optimiser."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import amsim
from amsim import circuits, repairs
from amsim.datasets import Split
from amsim.training.optimiser import ShortParameters, initial_state, optimiser_digest, update

KEY = jax.random.key(0)
SHORT = (jnp.bfloat16, jnp.float16)
DRAWS = np.random.default_rng(0)
INPUTS = DRAWS.normal(size=(32, 8)).astype(np.float32)
DATA = Split(INPUTS, np.argmax(INPUTS[:, :3], axis=1))
WEIGHTS = jnp.asarray(DRAWS.normal(size=(8, 3)), jnp.bfloat16)  # the same numbers in all three formats
OPTIMISERS = {
    "default": None,
    "adam": optax.adam(1e-3),
    "descent": optax.sgd(1e-3),
    "momentum": optax.sgd(1e-3, momentum=0.9),
    "decay": optax.adamw(1e-3),
    "root": optax.rmsprop(1e-3),
    "scheduled": optax.inject_hyperparams(optax.adam)(learning_rate=optax.cosine_decay_schedule(1e-3, 8)),
    "several steps": optax.MultiSteps(optax.adam(1e-3), 2).gradient_transformation(),
}


def linear(params, x):
    return x @ params["w"].astype(x.dtype)


def tuned(dtype, **options):
    return amsim.fine_tune(
        linear, {"w": WEIGHTS.astype(dtype)}, circuits.Exact(), DATA, key=KEY, **({"epochs": 2, "batch": 8} | options)
    )


@pytest.mark.parametrize("name", OPTIMISERS)
def test_training_goes_as_in_float32(name):
    """Up to the rounding of the parameters to their format, which the updates of 1e-3 are far below in bfloat16."""
    optimiser = OPTIMISERS[name]
    found = {dtype: tuned(dtype, optimiser=optimiser) for dtype in (jnp.float32, *SHORT)}
    expected = found[jnp.float32]
    for dtype in SHORT:
        own = found[dtype].params["w"]
        assert own.dtype == dtype
        np.testing.assert_allclose(found[dtype].history["loss"], expected.history["loss"], rtol=3e-2)
        ulp = float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(own.astype(jnp.float32), expected.params["w"], rtol=ulp, atol=3e-4)
        assert not np.array_equal(own, WEIGHTS.astype(dtype))


@pytest.mark.parametrize("dtype", SHORT)
def test_changes_below_a_rounding_step_add_up(dtype):
    params = {"w": jnp.ones(3, dtype)}
    optimiser = optax.sgd(1e-5)
    state = initial_state(optimiser, params)
    for _ in range(1000):
        params, state = update(optimiser, {"w": jnp.ones(3, dtype)}, state, params)
    np.testing.assert_allclose(params["w"].astype(jnp.float32), 0.99, atol=float(jnp.finfo(dtype).eps))


def test_small_gradients_have_a_second_moment():
    """In float16 the square of 1e-4 is nothing, and Adam's step would be a million times too long."""
    params, gradient = {"w": jnp.ones(3, jnp.float16)}, {"w": jnp.full(3, 1e-4, jnp.float16)}
    optimiser = optax.adam(1e-2)
    params, _ = update(optimiser, gradient, initial_state(optimiser, params), params)
    np.testing.assert_allclose(params["w"].astype(jnp.float32), 0.99, atol=1e-3)


def test_a_constraint_moves_the_copies_too():
    """A weight held at its limit leaves it as soon as its gradient turns."""
    optimiser, params = optax.sgd(0.01), {"w": jnp.ones(2, jnp.bfloat16)}
    state = initial_state(optimiser, params)
    for sign in [-1.0] * 50 + [1.0] * 3:
        params, state = update(optimiser, {"w": jnp.full(2, sign, jnp.bfloat16)}, state, params)
        params = {"w": jnp.clip(params["w"], -1, 1)}
    np.testing.assert_allclose(params["w"].astype(jnp.float32), 0.97, atol=4e-3)


def test_mixed_parameters_and_full_precision():
    optimiser = optax.adam(1e-3)
    mixed = {"a": jnp.ones(2, jnp.float16), "b": jnp.ones(2)}
    state = initial_state(optimiser, mixed)
    assert isinstance(state, ShortParameters)
    after, _ = update(optimiser, jax.tree.map(jnp.ones_like, mixed), state, mixed)
    assert [leaf.dtype for leaf in jax.tree.leaves(after)] == [jnp.float16, jnp.float32]
    full = {"a": jnp.ones(2), "b": jnp.ones(2)}
    assert jax.tree.structure(initial_state(optimiser, full)) == jax.tree.structure(optimiser.init(full))
    assert optimiser_digest(optimiser, mixed) == optimiser_digest(optimiser, full)


@pytest.mark.parametrize("dtype", SHORT)
def test_a_checkpoint_keeps_the_copies(dtype, tmp_path):
    whole = tuned(dtype, epochs=4, optimiser=optax.adam(1e-3), checkpoint=tmp_path / "whole")
    half = tmp_path / "half"

    def stop(phase, done, total):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(dtype, epochs=4, optimiser=optax.adam(1e-3), checkpoint=half, progress=stop)
    resumed = tuned(dtype, epochs=4, optimiser=optax.adam(1e-3), checkpoint=half)
    np.testing.assert_array_equal(resumed.params["w"], whole.params["w"])


@pytest.mark.slow  # two whole tools; above, the optimiser that they share trains alone
def test_last_layer_and_search_train_too():
    dtype = jnp.bfloat16
    params = {"w": WEIGHTS.astype(dtype)}
    noisy = circuits.SwitchedCapacitor(rows=8, columns=4, weight_bits=2, input_bits=2)
    named = (("layer", repairs.LastLayer("w", epochs=2, learning_rate=1e-2)),)
    chip = amsim.repair(linear, params, noisy, DATA, DATA, key=KEY, dies=1, batch=8, repairs=named).chips[0]
    designed = amsim.design_circuit(
        linear, params, noisy, DATA, key=KEY, variables={"macro.comparator.noise": (0.1e-3, 2e-3)}, accuracy=0.5,
        steps=2, dies=1, weights=amsim.WeightTraining(1e-2), check=amsim.FinalCheck(dies=1),
    ).params  # fmt: skip
    for found in (chip.params["w"], designed["w"]):
        assert found.dtype == dtype
        moved = np.abs(np.asarray(found, np.float32) - np.asarray(WEIGHTS, np.float32))
        assert np.all(np.isfinite(moved))
        assert 0 < moved.max() < 0.1


@pytest.mark.parametrize("dtype", SHORT)
def test_statistics_of_many_batches_are_summed_in_float32(dtype):
    params = {"w": WEIGHTS.astype(dtype), "mean": jnp.zeros(3, dtype)}

    def shifted(own, x):
        return own | {"mean": jnp.mean(linear(own, x), axis=0).astype(dtype)}

    chip = amsim.deploy(linear, params, circuits.Exact())
    found = amsim.reestimate_statistics(chip, shifted, INPUTS, batch=1).params["mean"]
    each = np.asarray(jnp.asarray(INPUTS @ np.asarray(WEIGHTS, np.float32), dtype), np.float32)
    np.testing.assert_allclose(
        found.astype(jnp.float32), each.mean(axis=0), rtol=float(jnp.finfo(dtype).eps), atol=1e-6
    )
