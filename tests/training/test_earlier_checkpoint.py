"""A checkpoint that an earlier amsim wrote goes on where it was, to the result of a training never interrupted."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split

DATA = Path(__file__).parent / "data"


def network(params, inputs):
    return jnp.where(inputs @ params["first"] >= 0, 1.0, -1.0) @ params["last"]


def tune(checkpoint, steps, **changed):
    rng = np.random.default_rng(0)
    data = Split(np.sign(rng.standard_normal((40, 8))).astype(np.float32), rng.integers(0, 3, 40))
    params = {
        "first": jnp.asarray(np.sign(rng.standard_normal((8, 6))), jnp.float32),
        "last": jnp.asarray(rng.standard_normal((6, 3)), jnp.float32),
    }
    array = circuits.SwitchedCapacitor(rows=16, columns=4, comparator=circuits.Comparator(noise=2e-3))
    options = {"epochs": 4, "batch": 8, "optimiser": 0.05, "loss": amsim.Distillation(0.3), "validation": 0.2} | changed
    return amsim.fine_tune(
        network, params, array, data, key=jax.random.key(3),
        dies=amsim.TrainingDies(noise=optax.linear_schedule(0.2, 1.0, 12)),
        checkpoint=checkpoint, progress=lambda phase, step, total: steps.append(step), **options,
    )  # fmt: skip


def header_of(path):
    with np.load(path) as file:
        return json.loads(file["header"].tobytes())


@pytest.fixture
def checkpoint(tmp_path):
    """The file, with the fingerprints and versions of here, which earlier ones do not have or take otherwise."""
    with np.load(DATA / "fine_tuning_1.npz") as file:
        arrays = dict(file)
    tune(tmp_path / "own.npz", [], optimiser=0.05)
    header, own = json.loads(arrays["header"].tobytes()), header_of(tmp_path / "own.npz")
    names = ("network", "hardware", "optimiser", "step", "each_epoch", "key_kind", "versions")
    header["settings"] |= {name: own["settings"][name] for name in names}
    header["format"] = own["format"]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "checkpoint.npz", **arrays)
    return tmp_path / "checkpoint.npz"


def test_what_an_earlier_fingerprint_left_out_is_not_trusted(tmp_path):
    shutil.copy(DATA / "fine_tuning_1.npz", tmp_path / "checkpoint.npz")
    with pytest.raises(ValueError, match=r"of an earlier amsim, whose fingerprint left out arrays .*start anew"):
        tune(tmp_path / "checkpoint.npz", [])


def test_an_earlier_checkpoint_goes_on(checkpoint):
    steps = []
    tuned = tune(checkpoint, steps)
    assert min(steps) == 8  # two epochs of four steps are in the file
    with np.load(DATA / "fine_tuning_1_result.npz") as expected:
        np.testing.assert_allclose(tuned.history["loss"], expected["loss"], rtol=1e-4)
        np.testing.assert_array_equal(tuned.history["validation_accuracy"], expected["validation"])
        for name in ("first", "last"):
            np.testing.assert_allclose(tuned.params[name], expected[name], rtol=1e-4)


def test_an_earlier_checkpoint_of_another_loss_is_refused(checkpoint):
    def other(logits, labels):
        return -jnp.mean(logits)

    with pytest.raises(ValueError, match=r"functions.loss is 'cross_entropy' there and .*other.* here"):
        tune(checkpoint, [], loss=amsim.Distillation(0.3, loss=other))
