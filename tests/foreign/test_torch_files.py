"""A file that `torch.onnx.export` wrote: weights in a second file, a batch of one, names of the module."""

from pathlib import Path

import jax
import numpy as np
import pytest

import amsim
from amsim import circuits

pytest.importorskip("onnx", reason="the package onnx is not installed")
FILES = Path(__file__).parent / "files"
NAMES = ["features.0.bias", "features.0.weight", "features.4.weight", "head.bias", "head.weight"]


def test_what_torch_writes_by_default() -> None:
    network, params = amsim.load_onnx(FILES / "torch_export.onnx")
    assert list(params) == NAMES
    assert network.inputs[0].sizes == (1, 1, 8, 8)
    with np.load(FILES / "torch_export.npz") as known:
        x, want = known["inputs"], known["outputs"]
    np.testing.assert_allclose(network(params, x[:1]), want[:1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(network(params, x), want, rtol=1e-5, atol=1e-6)
    macro = circuits.DigitalBinary(rows=64, weight_bits=8, input_bits=8)
    chip = amsim.deploy(network, params, macro)
    assert [row.name for row in chip.sites(x)] == ["features.0", "features.4", "head"]
    assert np.max(np.abs(chip(x) - want)) < 0.05 * np.max(np.abs(want))
    data = amsim.Split(x, np.argmax(want, axis=1))
    result = amsim.evaluate(network, params, macro, data, dies=1, batch=2, key=jax.random.key(0))
    assert float(result.accuracy_mean) >= 0.8


def test_the_second_file_is_needed(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes((FILES / "torch_export.onnx").read_bytes())
    with pytest.raises(ValueError, match=r"net\.onnx cannot be used: .*'features\.4\.weight' lies in another file"):
        amsim.load_onnx(tmp_path / "net.onnx")
