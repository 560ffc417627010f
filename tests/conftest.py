"""Strict numerics and run-time type checks for every test."""

from pathlib import Path

import equinox as eqx
import jax
import matplotlib
import pytest
from jaxtyping import install_import_hook

matplotlib.use("Agg")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
install_import_hook("amsim", "beartype.beartype")


# Of the 65530 that Linux allows a process by default.
MANY_MAPS = 4_000


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps():
    """Compiled programs hold memory maps, of which a process may have a limited number; other modules use them too."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > MANY_MAPS:
        eqx.clear_caches()
        jax.clear_caches()
