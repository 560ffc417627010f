"""Chip files of every earlier version, written by the amsim of then, still load and compute what they did."""

import ast
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import amsim
from amsim.deployment.chip_file import VERSION
from amsim.files.part_classes import own_classes

DATA = Path(__file__).parent / "data"
INPUTS = np.random.default_rng(1).standard_normal((6, 16)).astype(np.float32)


def network(params: Any, inputs: Array) -> Array:
    hidden = jnp.where(inputs >= 0, 1.0, -1.0) @ params["first"]["kernel"] + params["first"]["bias"].reshape(1, -1)
    return params["last"][3] * (jnp.where(hidden >= 0, 1.0, -1.0) @ params["last"][0])


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_file_of_an_earlier_version_computes_what_it_did(version: int, tmp_path: Path) -> None:
    chip = amsim.load_chip(DATA / f"chip_version_{version}.npz", network)
    assert chip.decision_rule == (None if version == 1 else "tanh")
    assert (chip.calibration is None) == (version == 1)
    logits = chip(INPUTS, key=jax.random.key(5))
    np.testing.assert_allclose(logits, np.load(DATA / f"chip_version_{version}_logits.npy"), rtol=1e-5)
    chip.save(tmp_path / "chip.npz")
    assert np.array_equal(amsim.load_chip(tmp_path / "chip.npz", network)(INPUTS, key=jax.random.key(5)), logits)


def test_a_class_name_in_a_file_means_one_class() -> None:
    root = Path(__file__).parents[2]
    files = [*(root / "circuits").rglob("*.py"), *(root / "amsim" / "system").rglob("*.py")]
    files.append(root / "amsim" / "deployment" / "site_ranges.py")
    trees = [ast.parse(path.read_text()) for path in files]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert len(names) == len(set(names))
    assert {"Accelerator", "SwitchedCapacitor", "Calibration"} <= set(own_classes()) <= set(names)
