"""Weights of other frameworks: safetensors, NumPy archives, layouts."""

import io
import json
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim.foreign import from_torch_convolution, from_torch_linear

DRAWS = np.random.default_rng(0)
FLAT = {
    "conv1.weight": DRAWS.normal(size=(4, 3, 2, 2)).astype(np.float32),
    "conv1.bias": DRAWS.normal(size=4).astype(np.float32),
    "block.0.norm.count": np.array(7, np.int32),
    "codes": DRAWS.integers(-128, 128, (3, 5)).astype(np.int8),
    "mask": np.array([True, False, True]),
    "half": DRAWS.normal(size=6).astype(np.float16),
    "empty": np.zeros((0, 3), np.float32),
}


def flattened(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    return {key: value for name, one in tree.items() for key, value in flattened(one, f"{prefix}{name}.").items()}


def safetensors_bytes(header: Any, content: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def test_archive_of_numpy(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", **FLAT)
    tree = amsim.load_weights(tmp_path / "w.npz")
    assert set(tree) == {"conv1", "block", "codes", "mask", "half", "empty"}
    assert tree["block"]["0"]["norm"]["count"] == 7
    found = flattened(tree)
    assert set(found) == set(FLAT)
    for name, want in FLAT.items():
        assert isinstance(found[name], jax.Array)
        assert found[name].dtype == want.dtype
        np.testing.assert_array_equal(found[name], want)


def test_columns_first_and_other_byte_order(tmp_path: Path) -> None:
    want = DRAWS.normal(size=(3, 4)).astype(np.float32)
    np.savez(tmp_path / "w.npz", a=np.asfortranarray(want), b=want.astype(">f4"))
    tree = amsim.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(tree["a"], want)
    np.testing.assert_array_equal(tree["b"], want)


def test_safetensors_as_its_own_package_writes_them(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed")
    safetensors.save_file(FLAT, tmp_path / "w.safetensors", metadata={"format": "pt"})
    found = flattened(amsim.load_weights(str(tmp_path / "w.safetensors")))
    assert set(found) == set(FLAT)
    for name, want in FLAT.items():
        assert found[name].dtype == want.dtype
        np.testing.assert_array_equal(found[name], want)


def test_safetensors_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(ImportError, match=r"pip install 'amsim\[safetensors\]'"):
        amsim.load_weights(tmp_path / "w.safetensors")


def test_brain_floats(tmp_path: Path) -> None:
    want = np.array([1.0, -2.5, 3e38], np.float32)
    bits = (want.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = {"a.b": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    (tmp_path / "w.safetensors").write_bytes(safetensors_bytes(header, bits))
    found = amsim.load_weights(tmp_path / "w.safetensors")["a"]["b"]
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(found, np.float32), (want.view(np.uint32) & 0xFFFF0000).view(np.float32))


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63) + b"{}",
        safetensors_bytes(b"{", b""),
        safetensors_bytes(b"[" * 100_000, b""),
        safetensors_bytes(b"\xff\xfe", b""),
        safetensors_bytes([1], b""),
        safetensors_bytes({"a": 3}, b""),
        safetensors_bytes({"a": entry("OBJECT")}, b"\0" * 8),
        safetensors_bytes({"a": entry(shape=(3,))}, b"\0" * 8),
        safetensors_bytes({"a": entry(shape=(-1, -2))}, b"\0" * 8),
        safetensors_bytes({"a": entry(shape=(2**40, 2**40))}, b"\0" * 8),
        safetensors_bytes({"a": entry(offsets=(0, 16), shape=(4,))}, b"\0" * 8),
        safetensors_bytes({"a": entry(offsets=(4, 12))}, b"\0" * 12),
        safetensors_bytes({"a": entry(), "b": entry()}, b"\0" * 8),
        safetensors_bytes({"a": entry()}, b"\0" * 9),
        safetensors_bytes(b'{"a": {"dtype": "F32"}}', b"\0" * 8),
        safetensors_bytes(b'{"__metadata__": {}, "a": {}, "a": {}}', b""),
        safetensors_bytes({"a": entry(), "a.b": entry(offsets=(8, 16))}, b"\0" * 16),
        safetensors_bytes({"a.b": entry(), "a": entry(offsets=(8, 16))}, b"\0" * 16),
    ],
)
def test_damaged_safetensors_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match="cannot be used"):
        amsim.load_weights(tmp_path / "w.safetensors")


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def array_bytes(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        archive(a=b"no array"),
        archive(a=array_bytes("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", b"\0" * 8)),
        archive(a=array_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}\n", b"\0" * 8)),
        archive(a=array_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -1)}\n", b"\0" * 8)),
        archive(a=array_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n", b"\0" * 8)),
        archive(a=array_bytes("__import__('os').system('true')\n")),
        archive(a=array_bytes("(" * 5000 + "\n")),
        archive(a=array_bytes("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}\n", b"\0" * 4)),
    ],
)
def test_damaged_archives_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(data)
    with pytest.raises(ValueError, match="cannot be used"):
        amsim.load_weights(tmp_path / "w.npz")


def test_archive_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amsim.files.array_file.LARGEST_CONTENT", 10_000)
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(10_000))
    assert (tmp_path / "w.npz").stat().st_size < 1000
    with pytest.raises(ValueError, match="unpacks to more than"):
        amsim.load_weights(tmp_path / "w.npz")


def test_other_kinds_of_file_are_refused(tmp_path: Path) -> None:
    for name in ("w.pt", "w.pkl", "w"):
        with pytest.raises(ValueError, match=r"must end in \.safetensors or \.npz"):
            amsim.load_weights(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        amsim.load_weights(tmp_path / "w.npz")


def test_linear_layout() -> None:
    weight, x = DRAWS.normal(size=(3, 5)).astype(np.float32), DRAWS.normal(size=(2, 5)).astype(np.float32)
    want = np.array([[sum(w * v for w, v in zip(row, one, strict=True)) for row in weight] for one in x])
    np.testing.assert_allclose(jnp.asarray(x) @ from_torch_linear(jnp.asarray(weight)), want, rtol=1e-5)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolution_layout(axes: int) -> None:
    """A plain sum over windows, as PyTorch documents it, against JAX with channels last."""
    weight = DRAWS.normal(size=(4, 3) + (2,) * axes).astype(np.float32)
    x = DRAWS.normal(size=(1, 3) + (4,) * axes).astype(np.float32)
    want = np.zeros((1, 4) + (3,) * axes, np.float32)
    for place in np.ndindex((3,) * axes):
        window = x[(slice(None), slice(None), *(slice(at, at + 2) for at in place))]
        want[(slice(None), slice(None), *place)] = window.reshape(1, -1) @ weight.reshape(4, -1).T
    space = "DHW"[-axes:]
    got = jax.lax.conv_general_dilated(
        jnp.moveaxis(jnp.asarray(x), 1, -1),
        from_torch_convolution(jnp.asarray(weight)),
        (1,) * axes,
        "VALID",
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
    )
    np.testing.assert_allclose(jnp.moveaxis(got, -1, 1), want, rtol=1e-5, atol=1e-6)
