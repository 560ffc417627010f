"""Networks of other frameworks, with batch statistics and dropout: deployed as they are, named by module path."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits

IMAGES = jax.random.normal(jax.random.key(0), (4, 8, 8, 3))
EIGHT_BIT = circuits.DigitalBinary(weight_bits=8, input_bits=8)


@pytest.fixture(autouse=True)
def _as_frameworks_promote():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def check(function: Callable[..., Any], params: Any, names: list[str]) -> None:
    """Names of the sites, equality on the reference, closeness at 8 bit, gradients of all parameters."""
    exact = amsim.deploy(function, params, circuits.Exact())
    assert [row.name for row in exact.sites(IMAGES) if row.macro == "Exact"] == names
    plain = function(params, IMAGES)
    np.testing.assert_allclose(exact(IMAGES), plain, rtol=1e-5, atol=1e-6)
    digital = np.asarray(amsim.deploy(function, params, EIGHT_BIT)(IMAGES))
    assert np.abs(digital - plain).max() < 0.05 * np.abs(plain).max()
    wanted = jax.grad(lambda p: jnp.sum(function(p, IMAGES) ** 2))(params)
    found = jax.grad(lambda p: jnp.sum(amsim.deploy(function, p, circuits.Exact())(IMAGES) ** 2))(params)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_plain_function() -> None:
    keys = jax.random.split(jax.random.key(1), 2)
    params = {
        "stem": {"w": jax.random.normal(keys[0], (3, 3, 3, 8))},
        "out": {"w": jax.random.normal(keys[1], (8, 10))},
    }

    def function(params: Any, images: jax.Array) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        maps = jax.lax.conv_general_dilated(images, params["stem"]["w"], (1, 1), "SAME", dimension_numbers=layout)
        return jnp.mean(jax.nn.relu(maps), axis=(1, 2)) @ params["out"]["w"]

    check(function, params, ["stem", "out"])


def test_flax_linen_with_batch_statistics_and_dropout() -> None:
    nn: Any = pytest.importorskip("flax.linen")

    class Network(nn.Module):
        @nn.compact
        def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
            maps = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(8, (3, 3), name="stem")(images)))
            features = nn.Dropout(0.5, deterministic=not train)(jnp.mean(maps, axis=(1, 2)))
            return nn.Dense(10)(features)

    network = Network()
    variables = network.init(jax.random.key(1), IMAGES)
    statistics = jax.tree.map(lambda leaf: leaf + 0.1, variables["batch_stats"])

    def function(params: Any, images: jax.Array) -> jax.Array:
        return network.apply({"params": params, "batch_stats": statistics}, images)

    check(function, variables["params"], ["stem", "Dense_0"])

    def training(params: Any, images: jax.Array, key: jax.Array) -> Any:
        everything = {"params": params, "batch_stats": statistics}
        return network.apply(everything, images, train=True, mutable=["batch_stats"], rngs={"dropout": key})

    # State and dropout of a training step come through the chip as they do without it.
    chip = amsim.deploy(training, variables["params"], circuits.Exact())
    key = jax.random.key(2)
    for one, other in zip(
        jax.tree.leaves(chip(IMAGES, key)), jax.tree.leaves(training(variables["params"], IMAGES, key)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_flax_nnx() -> None:
    nnx: Any = pytest.importorskip("flax.nnx")

    class Network(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.stem = nnx.Conv(3, 8, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.out = nnx.Linear(8, 10, rngs=rngs)

        def __call__(self, images: jax.Array) -> jax.Array:
            maps = nnx.relu(self.norm(self.stem(images)))
            return self.out(self.dropout(jnp.mean(maps, axis=(1, 2))))

    network = Network(nnx.Rngs(0))
    network.eval()
    graph, params, rest = nnx.split(network, nnx.Param, ...)

    def function(params: Any, images: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, rest, copy=True)(images)

    check(function, params, ["stem", "out"])


def test_flax_nnx_with_random_state() -> None:
    nnx: Any = pytest.importorskip("flax.nnx")
    # Its stream of random numbers counts while it is traced, which is allowed of a copy alone.
    graph, params, rest = nnx.split(nnx.RNN(nnx.GRUCell(4, 5, rngs=nnx.Rngs(0))), nnx.Param, ...)
    steps = jnp.ones((2, 3, 4))

    def function(params: Any, steps: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, rest, copy=True)(steps)

    chip = amsim.deploy(function, params, circuits.DigitalBinary(weight_bits=16, input_bits=16))
    np.testing.assert_allclose(chip(steps), function(params, steps), atol=1e-3)


def test_equinox_with_batch_statistics() -> None:
    class Network(eqx.Module):
        stem: eqx.nn.Conv2d
        norm: eqx.nn.BatchNorm
        dropout: eqx.nn.Dropout
        out: eqx.nn.Linear

        def __init__(self, key: jax.Array) -> None:
            keys = jax.random.split(key, 2)
            self.stem = eqx.nn.Conv2d(3, 8, 3, padding=1, key=keys[0])
            self.norm = eqx.nn.BatchNorm(8, "batch", mode="batch")
            self.dropout = eqx.nn.Dropout(0.5)
            self.out = eqx.nn.Linear(8, 10, key=keys[1])

        def __call__(self, image: jax.Array, state: Any) -> Any:
            maps, state = self.norm(self.stem(jnp.moveaxis(image, -1, 0)), state)
            features = self.dropout(jnp.mean(jax.nn.relu(maps), axis=(1, 2)), inference=True)
            return self.out(features), state

    network, state = eqx.nn.make_with_state(Network)(jax.random.key(1))
    # Statistics of one batch, then inference with them.
    _, state = jax.vmap(network, in_axes=(0, None), out_axes=(0, None), axis_name="batch")(IMAGES, state)
    settled = eqx.nn.inference_mode(network)
    params, static = eqx.partition(settled, eqx.is_inexact_array)

    def function(params: Any, images: jax.Array) -> jax.Array:
        whole = eqx.combine(params, static)
        return jax.vmap(lambda image: whole(image, state)[0])(images)

    check(function, params, ["stem", "out"])


def test_haiku_with_state() -> None:
    hk: Any = pytest.importorskip("haiku")

    def forward(images: jax.Array, train: bool) -> jax.Array:
        maps = hk.BatchNorm(True, True, 0.9)(hk.Conv2D(8, 3, name="stem")(images), train)
        features = jnp.mean(jax.nn.relu(maps), axis=(1, 2))
        features = hk.dropout(hk.next_rng_key(), 0.5, features) if train else features
        return hk.Linear(10)(features)

    network = hk.transform_with_state(forward)
    params, state = network.init(jax.random.key(1), IMAGES, True)
    _, state = network.apply(params, state, jax.random.key(2), IMAGES, True)

    def function(params: Any, images: jax.Array) -> jax.Array:
        return network.apply(params, state, None, images, False)[0]

    check(function, params, ["stem", "linear"])
