"""Weights in a second file beside an ONNX file: read from its own folder, and from nowhere else."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import helper, node, numpy_helper, onnx

import amsim
from amsim.foreign import tensor_file

WEIGHT = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
BIAS = np.arange(4, dtype=np.float32)
X = np.random.default_rng(1).normal(size=(3, 16)).astype(np.float32)


def model(*more: Any) -> Any:
    """A product and a sum; the bias is the constant of a node."""
    graph = helper.make_graph(
        [
            node("Constant", [], ["bias"], value=numpy_helper.from_array(BIAS, "bias")),
            node("MatMul", ["x", "w"], ["a"]),
            node("Add", ["a", "bias"]),
            *more,
        ],
        "small",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 16])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 4])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def saved(folder: Path, **entries: Any) -> Path:
    """A file whose weight lies in `w.data`, with these entries in place of those that `onnx` writes."""
    folder.mkdir(exist_ok=True)
    one = model()
    tensor = one.graph.initializer[0]
    (folder / "w.data").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ({"location": "w.data"} | entries).items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    (folder / "net.onnx").write_bytes(one.SerializeToString())
    return folder / "net.onnx"


@pytest.mark.parametrize("attributes", [False, True])
@pytest.mark.parametrize("one_file", [False, True])
def test_as_the_package_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_file: bool, attributes: bool):
    options = {"all_tensors_to_one_file": one_file, "convert_attribute": attributes, "size_threshold": 0}
    where = {"location": "net.onnx.data"} if one_file else {}
    onnx.save_model(model(), tmp_path / "net.onnx", save_as_external_data=True, **where, **options)
    assert len(list(tmp_path.iterdir())) == (2 if one_file else 2 + attributes)
    network, params = amsim.load_onnx(tmp_path / "net.onnx")
    np.testing.assert_array_equal(params["w"], WEIGHT)
    np.testing.assert_allclose(network(params, X), X @ WEIGHT + BIAS, rtol=1e-5, atol=1e-6)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(amsim.load_onnx("net.onnx")[1]["w"], WEIGHT)


def test_places_in_the_file(tmp_path: Path) -> None:
    for entries in ({}, {"offset": 0}, {"length": 256}, {"offset": 0, "length": 256, "checksum": "not looked at"}):
        np.testing.assert_array_equal(amsim.load_onnx(saved(tmp_path, **entries))[1]["w"], WEIGHT)
    for entries in ({}, {"length": 256}):
        path = saved(tmp_path, offset=8, **entries)
        (tmp_path / "w.data").write_bytes(b"12345678" + WEIGHT.tobytes() + b"more")
        np.testing.assert_array_equal(amsim.load_onnx(path)[1]["w"], WEIGHT)
    (tmp_path / "deeper").mkdir()
    path = saved(tmp_path, location="deeper/w")
    (tmp_path / "w.data").rename(tmp_path / "deeper" / "w")
    np.testing.assert_array_equal(amsim.load_onnx(path)[1]["w"], WEIGHT)


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "missing.data"},
        {"location": ""},
        {"location": None},
        {"location": "."},
        {"location": "a\nb"},
        {"location": "../w.data"},
        {"location": "deeper/../../secret"},
        {"location": "link"},
        {"location": "linked/w.data"},
        {"location": "pipe"},
        {"offset": 8},
        {"offset": 10**12},
        {"offset": -4},
        {"offset": "many"},
        {"length": 255},
        {"length": 257},
        {"length": 10**15},
        {"length": -1},
        {"length": "many"},
        {"__class__": "x"},
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path: Path, entries: dict[str, Any]) -> None:
    folder = tmp_path / "model"
    path = saved(folder, **entries)
    for name in ("secret", "w.data"):
        (tmp_path / name).write_bytes(WEIGHT.tobytes())
    (folder / "deeper").mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    with pytest.raises(ValueError, match=r"net\.onnx cannot be used: .*'w'.* lies in .*another file") as caught:
        amsim.load_onnx(path)
    assert "\n" not in str(caught.value)


def test_absolute_paths_are_never_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "model")
    absolute = saved(tmp_path / "model", location=path.parent / "w.data")
    with pytest.raises(ValueError, match=r"'w' lies in another file, which cannot be read: .*absolute"):
        amsim.load_onnx(absolute)
    path = saved(tmp_path / "model", location="/etc/hostname")
    with pytest.raises(ValueError, match=r"'/etc/hostname' lies outside of the folder"):
        amsim.load_onnx(path)


def test_short_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    for length in (0, 1, 255):
        (tmp_path / "w.data").write_bytes(bytes(length))
        with pytest.raises(ValueError, match=r"'w'.* lies in another file, which"):
            amsim.load_onnx(path)


def test_bytes_alone_say_how(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give the path of the file.*onnx\.save"):
        amsim.load_onnx(saved(tmp_path).read_bytes())


def test_one_large_file_that_many_tensors_lie_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_file, "LARGEST_EXTERNAL", 1000)
    path = saved(tmp_path)
    one = onnx.load(path, load_external_data=False)
    for place in range(3):
        again = one.graph.initializer.add()
        again.CopyFrom(one.graph.initializer[0])
        again.name = f"w{place}"
    path.write_bytes(one.SerializeToString())
    with pytest.raises(ValueError, match="more than 1000 bytes of other files"):
        amsim.load_onnx(path)
