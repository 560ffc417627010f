"""Strict numerics and run-time type checks for every test."""

import jax
import matplotlib
from jaxtyping import install_import_hook

matplotlib.use("Agg")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
install_import_hook("amsim", "beartype.beartype")
