"""Models of Keras 3 on JAX against Keras itself, and on chips."""

import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits

keras = pytest.importorskip("keras", reason="the package keras is not installed")
layers = keras.layers
pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras runs on another backend than JAX")
DRAWS = np.random.default_rng(0)
DIGITAL = circuits.DigitalBinary(rows=64, weight_bits=8, input_bits=8)


@pytest.fixture(autouse=True)
def as_keras_computes() -> Iterator[None]:
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def real(*shape: int) -> np.ndarray:
    return DRAWS.normal(size=shape).astype(np.float32)


def pictures() -> Any:
    kinds = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.DepthwiseConv2D(3)]
    return keras.Sequential([keras.Input((8, 8, 1)), *kinds, layers.Flatten(), layers.Dropout(0.5), layers.Dense(3)])


def recurrent() -> Any:
    return keras.Sequential(
        [keras.Input((5, 6)), layers.LSTM(7, return_sequences=True), layers.GRU(4), layers.Dense(3)]
    )


def attention() -> Any:
    x = keras.Input((5, 6))
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 3)(x, x))
    return keras.Model(x, layers.Dense(2, name="out")(y))


def nested() -> Any:
    """Layers of one name in two models, one of them frozen."""
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(4, name="d"), layers.Dense(4, name="e")], name="inner")
    inner.trainable = False
    return keras.Sequential([keras.Input((6,)), inner, layers.Dense(2, name="d")])


MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...], list[str]]] = {
    "pictures": (pictures, (8, 8, 1), ["conv2d", "depthwise_conv2d", "dense"]),
    "recurrent": (recurrent, (5, 6), ["lstm.lstm_cell.kernel", "lstm.lstm_cell.recurrent_kernel",
                                      "gru.gru_cell.kernel", "gru.gru_cell.recurrent_kernel", "dense"]),
    "attention": (attention, (5, 6), [f"multi_head_attention.{part}" for part in
                                      ("query", "key", "value", "attention_output")] + ["out"]),
    "nested": (nested, (6,), ["inner.d", "inner.e", "d"]),
}  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_itself_and_its_sites_have_its_names(name: str) -> None:
    keras.utils.clear_session()  # so that layers are numbered anew
    keras.utils.set_random_seed(0)
    make, shape, sites = MODELS[name]
    model, x = make(), real(3, *shape)
    network, params = amsim.from_keras(model)
    want = np.asarray(model(x, training=False))
    np.testing.assert_array_equal(network(params, x), want)
    chip = amsim.deploy(network, params, circuits.Exact())
    assert [row.name for row in chip.sites(x)] == sites
    assert not any(row.reason for row in chip.sites(x))
    np.testing.assert_allclose(chip(x), want, rtol=1e-5, atol=1e-6)
    assert np.max(np.abs(amsim.deploy(network, params, DIGITAL)(x) - want)) < 0.1 * np.max(np.abs(want))
    assert network.__name__ == model.name


def test_several_inputs_and_outputs() -> None:
    keras.utils.clear_session()
    a, b = keras.Input((6,), name="a"), keras.Input((4,), name="b")
    hidden = layers.Dense(5, activation="relu", name="left")(a)
    model = keras.Model([a, b], [hidden + layers.Dense(5, name="right")(b), hidden])
    network, params = amsim.from_keras(model)
    inputs = real(3, 6), real(3, 4)
    for want, *found in zip(
        model(list(inputs)),
        network(params, *inputs),
        network(params, dict(zip("ab", inputs, strict=True))),
        strict=True,
    ):
        for one in found:
            np.testing.assert_array_equal(one, want)


def test_parameters_are_those_of_the_call_and_not_the_models() -> None:
    keras.utils.clear_session()
    model = pictures()
    network, params = amsim.from_keras(model)
    assert set(params["batch_normalization"]) == {"gamma", "beta", "moving_mean", "moving_variance"}
    x, before = real(2, 8, 8, 1), jax.tree.map(np.asarray, params)
    want = np.asarray(network(params, x))
    gradients = jax.grad(lambda params: jnp.sum(network(params, x) ** 2))(params)
    assert all(float(jnp.max(jnp.abs(gradients[name]["kernel"]))) > 0 for name in ("conv2d", "dense"))
    for variable in model.variables:
        variable.assign(variable.value * 0)
    np.testing.assert_array_equal(network(params, x), want)
    jax.tree.map(np.testing.assert_array_equal, params, before)
    assert np.max(np.abs(np.asarray(model(x, training=False)))) == 0  # a call does not change the model either


def test_a_random_layer_rests() -> None:
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input((4,)), layers.GaussianNoise(1.0), layers.Dense(2, name="out")])
    network, params = amsim.from_keras(model)
    assert set(params) == {"out"}
    x = real(2, 4)
    np.testing.assert_array_equal(network(params, x), model(x, training=False))


def test_accuracy_and_energy_in_three_lines() -> None:
    keras.utils.clear_session()
    model = pictures()
    network, params = amsim.from_keras(model)
    x = real(4, 8, 8, 1)
    data = amsim.Split(x, np.argmax(np.asarray(model(x, training=False)), axis=1))
    result = amsim.evaluate(network, params, DIGITAL, data, dies=1, key=jax.random.key(0))
    assert float(result.accuracy_mean) >= 0.75
    assert float(amsim.deploy(network, params, DIGITAL).cost(x).energy.sum()) > 0


def test_wrong_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.clear_session()
    model = keras.Sequential([layers.Dense(2)])
    for wrong, words in [(model, "must be built"), (layers.Dense(2), "must be a keras.Model"), ("a", "keras.Model")]:
        with pytest.raises(ValueError, match=f"Argument `model` {'' if 'built' in words else '.*'}{words}"):
            amsim.from_keras(wrong)
    model(real(1, 3))
    network, params = amsim.from_keras(model)
    with pytest.raises(ValueError, match="Argument `params` must have 'dense/bias'"):
        network({"dense": {"kernel": params["dense"]["kernel"]}}, real(1, 3))
    with pytest.raises(ValueError, match="must have an array 'dense/bias', but has 'b'"):
        network({"dense": {"kernel": params["dense"]["kernel"], "bias": "b"}}, real(1, 3))
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="runs on torch: set the environment variable KERAS_BACKEND=jax"):
        amsim.from_keras(model)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    with pytest.raises(ImportError, match=r"pip install 'amsim\[keras\]'"):
        amsim.from_keras(object())
