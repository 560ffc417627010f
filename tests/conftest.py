"""Strict numerics and run-time type checks for every test."""

import equinox as eqx
import jax
import matplotlib
import pytest
from jaxtyping import install_import_hook

matplotlib.use("Agg")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
install_import_hook("amsim", "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def no_programs_of_other_modules():
    """Compiled programs hold memory maps, of which a process may have a limited number."""
    yield
    eqx.clear_caches()
    jax.clear_caches()
