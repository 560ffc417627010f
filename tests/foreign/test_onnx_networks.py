"""Networks from ONNX and QONNX files: quantised, on hardware, under transformations of JAX."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from onnx_models import agrees, model_of, node, onnx, real, whole

import amsim
from amsim import circuits


@pytest.fixture
def draws() -> np.random.Generator:
    return np.random.default_rng(0)


def test_integer_quantisation_of_the_standard(draws: np.random.Generator) -> None:
    x = {"x": 3 * real(draws, 2, 3, 4)}
    for kind in (np.int8, np.uint8):
        stored = {"s": np.array(0.05, np.float32), "z": np.array(3, kind)}
        both = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"])]
        agrees(both, x, stored, ("q", "y"))
    scales = {"s": np.array([0.1, 0.02, 0.3], np.float32), "z": np.array([1, -2, 3], np.int8)}
    agrees([node("QuantizeLinear", ["x", "s", "z"], axis=1)], x, scales)
    weights = {"q": draws.integers(-128, 128, (4, 3)).astype(np.int8)} | scales
    product = [node("DequantizeLinear", ["q", "s", "z"], ["w"]), node("MatMul", ["x", "w"])]
    network, params = agrees(product, x, weights)
    assert set(params) == {"q"}
    assert [row.name for row in amsim.deploy(network, params, circuits.Exact()).sites(x["x"])] == ["q"]


def three_layers(draws: np.random.Generator) -> bytes:
    nodes = [
        node("Conv", ["x", "features.0.weight", "features.0.bias"], ["a"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "norm.scale", "norm.bias", "norm.mean", "norm.variance"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["d"], ["e"]),
        node("Gemm", ["e", "hidden.weight", "hidden.bias"], ["f"], transB=1),
        node("PRelu", ["f", "hidden.slope"], ["g"]),
        node("MatMul", ["g", "readout"], ["h"]),
        node("Softmax", ["h"]),
    ]
    stored = {
        "features.0.weight": real(draws, 4, 2, 3, 3),
        "features.0.bias": real(draws, 4),
        "norm.scale": real(draws, 4),
        "norm.bias": real(draws, 4),
        "norm.mean": real(draws, 4),
        "norm.variance": real(draws, 4) ** 2 + 0.5,
        "hidden.weight": real(draws, 6, 36),
        "hidden.bias": real(draws, 6),
        "hidden.slope": real(draws, 6),
        "readout": real(draws, 6, 3),
    }
    return model_of(nodes, {"x": real(draws, 2, 2, 6, 6)}, stored, ["y"], 17)


def test_deployed_network_is_the_network_and_its_sites_have_the_names_of_the_file(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    network, params = amsim.load_onnx(three_layers(draws))
    assert network.input_names == ("x",)
    x = real(draws, 3, 2, 6, 6)
    chip = amsim.deploy(network, params, circuits.Exact())
    np.testing.assert_allclose(chip(x), network(params, x), rtol=1e-6, atol=1e-7)
    assert [row.name for row in chip.sites(x)] == ["features.0", "hidden", "readout"]
    chip.save(tmp_path / "chip")
    assert np.array_equal(amsim.load_chip(tmp_path / "chip", network)(x), chip(x))
    rules = {"features.*": circuits.MultiPrecision(weight_bits=8), ".*": circuits.Exact()}
    assert np.max(np.abs(amsim.deploy(network, params, rules)(x) - network(params, x))) < 0.1

    def loss(params: Any, run: Callable[..., Any]) -> jax.Array:
        return jnp.sum(run(params, x) ** 2)

    want = jax.grad(loss)(params, network)
    got = jax.grad(loss)(params, lambda params, x: amsim.deploy(network, params, circuits.Exact())(x))
    for name, gradient in want.items():
        np.testing.assert_allclose(got[name], gradient, rtol=1e-4, atol=1e-6)
    assert all(float(jnp.max(jnp.abs(want[name]))) > 0 for name in ("features.0.weight", "readout"))


def test_channels_last_as_converters_of_tensorflow_write_them() -> None:
    """A transposition in front of each convolution and behind it: sites, values and cost are those without."""
    draws = np.random.default_rng(0)
    stored = {
        "first/kernel": real(draws, 4, 2, 3, 3),
        "first/bias": real(draws, 4),
        "second/kernel": real(draws, 3, 4, 1, 1),
    }
    convolutions = [
        node("Conv", ["a", "first/kernel", "first/bias"], ["b"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Conv", ["c", "second/kernel"], ["d"]),
    ]
    around = [
        node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        convolutions[0],
        node("Transpose", ["b"], ["b2"], perm=[0, 2, 3, 1]),
        node("Relu", ["b2"], ["b3"]),
        node("Transpose", ["b3"], ["c"], perm=[0, 3, 1, 2]),
        convolutions[1],
        node("Transpose", ["d"], perm=[0, 2, 3, 1]),
    ]
    x = real(draws, 2, 6, 6, 2)
    network, params = agrees(around, {"x": x}, stored)
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    nodes = [node("Identity", ["x"], ["a"]), convolutions[0], node("Relu", ["b"], ["c"]), convolutions[1]]
    plain, _ = amsim.load_onnx(model_of([*nodes, node("Identity", ["d"])], {"x": first}, stored, ["y"], 17))
    macro = circuits.DigitalBinary(rows=16, weight_bits=8, input_bits=8)
    chips = [amsim.deploy(one, params, macro) for one in (network, plain)]
    assert [row.name for row in chips[0].sites(x)] == ["first/kernel", "second/kernel"]
    np.testing.assert_allclose(chips[0](x), np.moveaxis(chips[1](first), 1, -1), rtol=1e-5, atol=1e-6)
    energies = [np.asarray(chip.cost(one).energy) for chip, one in zip(chips, (x, first), strict=True)]
    np.testing.assert_allclose(*energies, rtol=1e-6)


def test_recurrent_network_is_deployed() -> None:
    draws = np.random.default_rng(0)
    stored = {"cell.w": real(draws, 1, 20, 3), "cell.r": real(draws, 1, 20, 5), "head.w": real(draws, 5, 2)}
    nodes = [
        node("LSTM", ["x", "cell.w", "cell.r"], ["", "last"], hidden_size=5),
        node("Squeeze", ["last", "axis"], ["state"]),
        node("MatMul", ["state", "head.w"]),
    ]
    x = real(draws, 6, 2, 3)
    network, params = agrees(nodes, {"x": x}, stored | {"axis": whole(0)})
    chip = amsim.deploy(network, params, circuits.Exact())
    np.testing.assert_allclose(chip(x), network(params, x), rtol=1e-6, atol=1e-7)
    assert {row.name for row in chip.sites(x)} == {"cell.w", "cell.r", "head"}


def test_network_of_a_path_under_jit_and_vmap(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    (tmp_path / "n.onnx").write_bytes(three_layers(draws))
    network, params = amsim.load_onnx(tmp_path / "n.onnx")
    x = real(draws, 4, 1, 2, 6, 6)
    loop = np.stack([network(params, one) for one in x])
    np.testing.assert_allclose(jax.vmap(network, (None, 0))(params, x), loop, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(jax.jit(network)(params, x[0]), loop[0], rtol=1e-6, atol=1e-7)


def quantised_by_loop(
    x: np.ndarray, scale: Any, zero: Any, bits: int, signed: bool, narrow: bool, mode: str
) -> np.ndarray:
    """QONNX's definition, one number after another in float64."""
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    modes = {
        "ROUND": round, "CEIL": np.ceil, "FLOOR": np.floor, "DOWN": np.trunc,
        "HALF_UP": lambda v: np.sign(v) * np.floor(abs(v) + 0.5),
    }  # fmt: skip
    scale, zero = (np.broadcast_to(one, x.shape) for one in (scale, zero))
    result = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        code = float(x[place]) / float(scale[place]) + float(zero[place])
        code = (1 if code >= 0 else -1) if bits == 1 and signed else modes[mode](min(max(code, low), high))
        result[place] = (code - zero[place]) * scale[place]
    return result


@pytest.mark.parametrize("mode", ["ROUND", "CEIL", "FLOOR", "DOWN", "HALF_UP"])
def test_quantisation_of_qonnx(mode: str, draws: np.random.Generator) -> None:
    # Steps are powers of two, so that ties are ties in float32 too.
    x = (draws.integers(-80, 80, (4, 3)) / 16).astype(np.float32)
    for bits, signed, narrow in [(1, 1, 0), (2, 1, 1), (4, 1, 0), (4, 0, 0), (4, 0, 1), (8, 1, 1)]:
        for scale, zero in [(0.125, 0.0), (0.5, 1.0), (1.0, 0.0), (np.array([[0.25, 0.5, 2.0]]), 0.0)]:
            stored = {"s": np.asarray(scale, np.float32), "z": np.asarray(zero, np.float32)}
            stored["b"] = np.array(bits, np.float32)
            options = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
            quant = node("Quant", ["x", "s", "z", "b"], domain="qonnx.custom_op.general", **options)
            network, params = amsim.load_onnx(model_of([quant], {"x": x}, stored, ["y"], 17))
            assert not params
            want = quantised_by_loop(x, scale, zero, bits, bool(signed), bool(narrow), mode)
            np.testing.assert_array_equal(network({}, x), want.astype(np.float32))


def test_bipolar_network_is_deployed_on_comparators() -> None:
    draws = np.random.default_rng(0)
    domain = "qonnx.custom_op.general"
    nodes = [
        node("BipolarQuant", ["x", "one"], ["a"], domain=domain),
        node("BipolarQuant", ["first.weight", "one"], ["v"], domain=domain),
        node("MatMul", ["a", "v"], ["b"]),
        node("BipolarQuant", ["b", "one"], ["c"], domain=domain),
        node("BipolarQuant", ["last.weight", "half"], ["w"], domain=domain),
        node("MatMul", ["c", "w"]),
    ]
    stored = {"one": np.array(1.0, np.float32), "half": np.array(0.5, np.float32)}
    stored |= {"first.weight": real(draws, 15, 7), "last.weight": real(draws, 7, 3)}
    x = real(draws, 6, 15)
    network, params = amsim.load_onnx(model_of(nodes, {"x": x}, stored, ["y"], 17))
    assert set(params) == {"first.weight", "last.weight"}

    def signs(values: np.ndarray) -> np.ndarray:
        return np.where(values >= 0, 1.0, -1.0)

    want = signs(signs(x) @ signs(stored["first.weight"])) @ (0.5 * signs(stored["last.weight"]))
    np.testing.assert_allclose(network(params, x), want, rtol=1e-6)
    chip = amsim.deploy(network, params, circuits.DigitalBinary())
    np.testing.assert_allclose(chip(x), want, rtol=1e-6)
    sites = amsim.deploy(network, params, circuits.SwitchedCapacitor()).sites(x)
    assert [(row.name, row.readout) for row in sites] == [("first", "comparator"), ("last", "number")]


def test_gradient_of_quantisation_goes_straight_through() -> None:
    stored = {"s": np.array(0.5, np.float32), "z": np.array(0, np.float32), "b": np.array(3, np.float32)}
    x = np.array([-9.0, -1.1, 0.3, 1.2, 9.0], np.float32)
    for mode in ("ROUND", "FLOOR"):
        quant = node("Quant", ["x", "s", "z", "b"], domain="qonnx.custom_op.general", rounding_mode=mode)
        network, _ = amsim.load_onnx(model_of([quant], {"x": x}, stored, ["y"], 17))
        np.testing.assert_array_equal(jax.grad(lambda x, run=network: jnp.sum(run({}, x)))(x), [0, 1, 1, 1, 0])


def test_in_64_bits() -> None:
    with jax.enable_x64(True):
        draws = np.random.default_rng(0)
        w, x = draws.normal(size=(4, 3)), draws.normal(size=(2, 4))
        network, params = amsim.load_onnx(model_of([node("MatMul", ["x", "w"])], {"x": x}, {"w": w}, ["y"], 17))
        assert params["w"].dtype == jnp.float64
        np.testing.assert_allclose(network(params, x), x @ w, rtol=1e-14)


def test_published_graph_has_a_site_for_every_convolution() -> None:
    """ShuffleNet as the onnx package ships it, with constant weights: grouped, depthwise, shuffled."""
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_shufflenet.onnx"
    if not path.is_file():
        pytest.skip("this version of onnx ships no published graphs")
    products = [one.input[1] for one in onnx.load(path).graph.node if one.op_type in ("Conv", "Gemm", "MatMul")]
    network, params = amsim.load_onnx(path)
    shape = jax.ShapeDtypeStruct((1, 3, 224, 224), jnp.float32)
    sites = amsim.deploy(network, params, circuits.Exact()).sites(shape)
    assert [row.name for row in sites] == products
    assert not any(row.reason for row in sites)
