"""Strict numerics and run-time type checks for every test."""

import gc
import hashlib
import mmap
import os
import shutil
import time
from pathlib import Path

import equinox as eqx
import jax
import jaxlib
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from jaxtyping import config, install_import_hook
from long_tests import LEFT_OUT, ProcessorClock, Stopwatch, function_of, long_tests
from sampled_cases import covering

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


@pytest.hookimpl(tryfirst=True)  # before the cases marked `slow` are left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The cases that a test marked `sampled` leaves out of the test command are slow ones, and so are long tests."""
    order = config.getoption("--order")
    if order is not None:
        items.sort(key=lambda item: hashlib.sha256(f"{order} {item.path.name}".encode()).digest())
    grids: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("slow"):
            item.user_properties.append(LEFT_OUT)
        elif item.get_closest_marker("sampled"):
            grids.setdefault(function_of(item.nodeid), []).append(item)
    for cases in grids.values():
        marker = cases[0].get_closest_marker("sampled")
        kept = covering([case.callspec.params for case in cases], *marker.args)
        for place, case in enumerate(cases):
            if place not in kept:
                case.add_marker(pytest.mark.slow)
                case.user_properties.append(LEFT_OUT)
    known = long_tests()
    for item in items:
        if function_of(item.nodeid) in known:
            item.add_marker(pytest.mark.slow)


def pytest_configure(config: pytest.Config) -> None:
    """What one process compiled is there for the others, after caches were cleared, and for the next run."""
    if config.getoption("--measure"):
        config.pluginmanager.register(ProcessorClock())
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(Stopwatch())
    cache = getattr(config, "cache", None)  # none with `-p no:cacheprovider`
    if cache is None:
        return
    folder = cache.mkdir("programs")
    if not hasattr(config, "workerinput") and sum(file.stat().st_size for file in folder.iterdir()) > MANY_BYTES:
        shutil.rmtree(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seconds", type=float, help="skip the tests that have not begun after so many seconds")
    parser.addoption(
        "--measure", action="store_true", help="rewrite the list of long tests by the time that they take now"
    )
    parser.addoption("--order", help="order the files of tests by the hash of this text and their names")


START = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    limit = item.config.getoption("--seconds")
    if limit is not None and time.monotonic() - START > limit:
        pytest.skip(f"not begun within {limit:.0f} s")


def pytest_collection_finish() -> None:
    """Tracing makes many objects: by default the collector takes a tenth of the time of tests that trace much."""
    gc.set_threshold(50_000, 20, 10)


MANY_BYTES = 2e9
"""Size of the compiled programs that are kept, beyond which they are thrown away at the next start."""

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
