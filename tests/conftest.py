"""Strict numerics and run-time type checks for every test."""

import gc
import mmap
import os
from pathlib import Path

import equinox as eqx
import jax
import jaxlib
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from jaxtyping import config, install_import_hook

matplotlib.use("Agg")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# Tests compile much and compute little; examples, notebooks and commands that run in processes of their own optimise.
jax.config.update("jax_disable_most_optimizations", True)
# They halve the time to compile or better; read when the first program compiles, also in processes that tests start.
FAST_COMPILATION = {
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
    "xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_COMPILE",
}
install_import_hook("amsim", "beartype.beartype")


def compiler_knows(option: str) -> bool:
    """Whether the compiler has the option, which another release may not: a wrong one ends the process."""
    for library in Path(jaxlib.__file__).parent.glob("libjax_common*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(f"{option}\0".encode()) >= 0
    return False


for option, value in FAST_COMPILATION.items():
    if option not in os.environ.get("XLA_FLAGS", "") and compiler_knows(option):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --{option}={value}".strip()


def pytest_collection_finish() -> None:
    """Tracing makes many objects: by default the collector takes a tenth of the time of tests that trace much."""
    gc.set_threshold(50_000, 20, 10)


# Of the 65530 that Linux allows a process by default; with about 4 GB of programs. To compile them again takes longer.
MANY_MAPS = 8_000


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps():
    """Compiled programs hold memory maps, of which a process may have a limited number; other modules use them too."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > MANY_MAPS:
        eqx.clear_caches()
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def as_a_user_runs_it():
    """Without the run-time type checks, which would speak before the package's own."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def only_drawn(monkeypatch):
    """A plot is drawn and not shown, leaves the settings of Matplotlib as they were, and is closed."""

    def show(*args, **kwargs):
        raise AssertionError("A plot must not be shown.")

    monkeypatch.setattr(plt, "show", show)
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory):
    """Folder with a network and data that are as small as they can be: `tiny.onnx`, `tiny.npz`."""
    import onnx

    found = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 3)).astype(np.float32)
    inputs = rng.normal(size=(24, 6)).astype(np.float32)
    np.savez(found / "tiny.npz", inputs=inputs, labels=np.argmax(inputs @ weights, axis=1).astype(np.int32))
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (found / "tiny.onnx").write_bytes(model.SerializeToString())
    return found


@pytest.fixture
def written(tiny_network):
    """Writer of a study file beside the tiny network."""

    def write(text):
        path = tiny_network / "study.toml"
        path.write_text(text)
        return path

    return write
