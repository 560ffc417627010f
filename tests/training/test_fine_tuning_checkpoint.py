"""Checkpoints: exact resume after a kill, refusal of other trainings, and what stays after a divergence."""

import os
import signal
import subprocess
import sys
import textwrap
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split
from amsim.report.result_file import open_result
from amsim.report.tables import provenance_lines, result_tables

KEY = jax.random.key(3)

TRAINING = """
    import os, signal, sys
    import jax, jax.numpy as jnp, numpy as np, optax
    import amsim
    from amsim import circuits
    from amsim.datasets import Split

    def network(params, inputs):
        return jnp.where(inputs @ params["first"] >= 0, 1.0, -1.0) @ params["last"]

    rng = np.random.default_rng(0)
    data = Split(np.sign(rng.standard_normal((40, 8))).astype(np.float32), rng.integers(0, 3, 40))
    params = {
        "first": jnp.asarray(np.sign(rng.standard_normal((8, 6))), jnp.float32),
        "last": jnp.asarray(rng.standard_normal((6, 3)), jnp.float32),
    }
    array = circuits.SwitchedCapacitor(rows=16, columns=4, comparator=circuits.Comparator(noise=2e-3))

    def tune(path, progress=False):
        return amsim.fine_tune(
            network, params, array, data, key=jax.random.key(3), epochs=4, batch=8, optimiser=0.05,
            loss=amsim.Distillation(0.3), dies=amsim.TrainingDies(noise=optax.linear_schedule(0.2, 1.0, 12)),
            validation=0.2, checkpoint=path, progress=progress,
        )

    path, result, fatal_step = sys.argv[1], sys.argv[2], int(sys.argv[3])
    def kill(phase, step, steps):
        if step == fatal_step:
            os.kill(os.getpid(), signal.SIGKILL)
    tuned = tune(path, kill)
    np.savez(result, **tuned.params, loss=tuned.history["loss"], validation=tuned.history["validation_accuracy"])
"""


@pytest.mark.slow  # three processes, one of them killed; beside it a training is interrupted in this process
def test_resume_after_a_kill_is_exact(tmp_path):
    script = tmp_path / "training.py"
    script.write_text(textwrap.dedent(TRAINING))

    def start(checkpoint, fatal_step):
        arguments = [str(tmp_path / checkpoint), str(tmp_path / f"{checkpoint}.npz"), str(fatal_step)]
        # Compiled code in one place for all runs, to save time; the processes themselves share nothing.
        cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        environment = os.environ | cache | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        return subprocess.run(
            [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True
        )

    whole = start("whole", 0)
    assert whole.returncode == 0, whole.stderr
    killed = start("killed", 10)  # 4 steps an epoch: in the middle of the third
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.npz").exists()
    resumed = start("killed", 0)
    assert resumed.returncode == 0, resumed.stderr
    with np.load(tmp_path / "whole.npz") as expected, np.load(tmp_path / "killed.npz") as found:
        assert set(expected.files) == {"first", "last", "loss", "validation"}
        assert expected["loss"].shape == (16,)
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name], strict=True)


def training(**options):
    rng = np.random.default_rng(0)
    data = Split(np.sign(rng.standard_normal((16, 8))).astype(np.float32), rng.integers(0, 3, 16))
    params = {"weight": jnp.asarray(rng.standard_normal((8, 3)), jnp.float32)}
    settings = {"key": KEY, "epochs": 2, "batch": 8} | options
    hardware, own = settings.pop("hardware", circuits.Exact()), settings.pop("params", params)
    network, data = settings.pop("network", lambda p, x: x @ p["weight"]), settings.pop("data", data)
    return amsim.fine_tune(network, own, hardware, data, **settings)


@pytest.fixture
def tune(tmp_path):
    return partial(training, checkpoint=tmp_path / "checkpoint")


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A finished training and its checkpoint."""
    path = tmp_path_factory.mktemp("ended") / "checkpoint"
    return training(checkpoint=path), path.read_bytes()


@pytest.fixture
def finished(ended, tmp_path):
    """The finished training, its checkpoint where `tune` looks for it."""
    (tmp_path / "checkpoint").write_bytes(ended[1])
    return ended[0]


def test_resume_after_an_interruption_is_exact(tune, tmp_path):
    """In the middle of the third of four epochs; whatever the optimiser, the order and the validation carry along."""
    parts = {"loss": amsim.Distillation(0.3), "validation": amsim.HeldOut(0.25, patience=4)}
    options = {"epochs": 4, "batch": 4, "optimiser": 0.05} | parts

    def interrupt(phase, step, steps):
        if step == 8:
            raise KeyboardInterrupt

    whole = tune(**options, checkpoint=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        tune(**options, progress=interrupt)
    steps = []
    resumed = tune(**options, progress=lambda phase, step, total: steps.append(step))
    assert steps == [6, 7, 8, 9, 10, 11, 12]
    np.testing.assert_array_equal(resumed.params["weight"], whole.params["weight"], strict=True)
    for name in ("loss", "learning_rate", "validation_accuracy"):
        np.testing.assert_array_equal(resumed.history[name], whole.history[name], strict=True)


def test_a_finished_training_is_read_not_repeated(finished, tune, tmp_path):
    first = finished
    seen = []
    again = tune(progress=lambda *step: seen.append(step))
    assert not seen
    np.testing.assert_array_equal(first.params["weight"], again.params["weight"])
    np.testing.assert_array_equal(first.history["loss"], again.history["loss"])
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"epochs": 3}, "epochs is 2 there and 3 here"),
        ({"key": jax.random.key(4)}, "key.1 is 3 there and 4 here"),
        ({"optimiser": 0.5}, "learning_rate is None there and 0.5 here"),
        ({"dies": 4}, "dies is 'redrawn' there and 4 here"),
        ({"hardware": circuits.Exact(rows=2)}, "hardware.macros.0.rows is 1 there and 2 here"),
        ({"dies": amsim.TrainingDies(noise=0.5)}, "noise.0 is 1.0 there and 0.5 here"),
        ({"params": {"weight": jnp.ones((8, 3))}}, "other settings: params is '"),
        ({"network": lambda p, x: jnp.tanh(x @ p["weight"])}, "other settings: network is '"),
        ({"optimiser": optax.sgd(0.1)}, "other settings: optimiser is '"),
    ],
)
@pytest.mark.usefixtures("finished")
def test_another_training_is_refused(tune, options, difference):
    with pytest.raises(ValueError, match=difference):
        tune(**options)


def test_another_optimiser_is_refused(tune):
    tune(optimiser=optax.adam(0.1))
    for other in (optax.sgd(0.1), optax.adam(0.2)):
        with pytest.raises(ValueError, match="other settings: optimiser is '"):
            tune(optimiser=other)


def with_loss(held):
    return {"loss": lambda outputs, labels: jnp.mean((outputs - held) ** 2)}


def with_compiled_loss(held):
    return {"loss": jax.jit(lambda outputs, labels: jnp.mean((outputs - held) ** 2))}


def with_constraint(held):
    return {"optimiser": amsim.Optimiser(constrain=lambda params: jax.tree.map(lambda one: one * held, params))}


def with_each_epoch(held):
    return {"optimiser": amsim.Optimiser(each_epoch=lambda params: jax.tree.map(lambda one: one * float(held), params))}


def with_first_state(held):
    return {"optimiser": optax.adagrad(0.1, initial_accumulator_value=float(held))}


def with_network(held):
    return {"network": lambda p, x: jax.jit(lambda y: y * held)(x) @ p["weight"]}


def with_derivative(held):
    @jax.custom_vjp
    def scaled(x):
        return x

    scaled.defvjp(lambda x: (x, None), lambda _, slope: (jax.jit(lambda one: one * held)(slope),))
    return {"network": lambda p, x: scaled(x @ p["weight"])}


def with_hardware(held):
    class Scaled(circuits.Exact):
        keeps_product = False

        def multiply(self, *arguments, **options):
            return super().multiply(*arguments, **options) * held

    return {"hardware": Scaled()}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "held",
    [
        with_loss, with_compiled_loss, with_constraint, with_each_epoch, with_first_state, with_network,
        with_derivative, with_hardware,
    ],
)  # fmt: skip
def test_one_bit_of_what_a_training_holds_is_another_training(tune, held):
    first = tune(**held(np.float32(0.5)))
    again = tune(**held(np.float32(0.5)))
    np.testing.assert_array_equal(first.params["weight"], again.params["weight"])
    with pytest.raises(ValueError, match="of a training with other settings"):
        tune(**held(np.nextafter(np.float32(0.5), np.float32(1))))


def test_keys_of_another_kind_are_another_training(tune):
    tune(key=jax.random.key(3, impl="rbg"))
    with pytest.raises(ValueError, match="key_kind is 'rbg' there and 'unsafe_rbg' here"):
        tune(key=jax.random.key(3, impl="unsafe_rbg"))


@pytest.mark.usefixtures("finished")
def test_a_damaged_file_is_refused(tune, tmp_path):
    path = tmp_path / "checkpoint"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be used"):
        tune()
    np.savez(path.with_suffix(".npz"), weight=np.zeros(3))
    path.write_bytes(path.with_suffix(".npz").read_bytes())
    with pytest.raises(ValueError, match="cannot be used: 'header'"):
        tune()


def test_divergence_keeps_the_last_good_checkpoint(tune, tmp_path):
    path, good = tmp_path / "checkpoint", []

    def each_epoch(params):
        if not path.exists():
            return params
        good.append((path.read_bytes(), params))
        return {"weight": jnp.full((8, 3), jnp.nan)}

    with pytest.raises(amsim.TrainingDivergedError, match=r"not finite after epoch 2.*keeps the state after epoch 1"):
        tune(epochs=4, optimiser=amsim.Optimiser(each_epoch=each_epoch))
    assert path.read_bytes() == good[0][0]


def test_a_loss_that_is_not_finite_stops_at_its_step(tune):
    def loss(outputs, labels):
        return jnp.where(jnp.all(outputs == 0), jnp.inf, jnp.sum(outputs))

    constrained = amsim.Optimiser(constrain=lambda params: {"weight": 0 * params["weight"]})
    with pytest.raises(
        amsim.TrainingDivergedError, match=r"inf, not finite, at step 1; lower.*No checkpoint"
    ) as raised:
        tune(loss=loss, optimiser=constrained, checkpoint=None)
    assert isinstance(raised.value, FloatingPointError)
    assert not np.any(raised.value.params["weight"])


def test_a_gradient_that_is_not_finite_stops_before_it_is_used(tune, tmp_path):
    with pytest.raises(amsim.TrainingDivergedError, match=r"at step 0.*There is no epoch to keep") as raised:
        tune(loss=lambda outputs, labels: jnp.mean(outputs**2) + jnp.sqrt(0.0 * jnp.sum(outputs)))
    assert np.isfinite(raised.value.params["weight"]).all()
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("path", ["", "folder/" * 1000 + "file", "/proc/file", "/dev/null"])
def test_a_checkpoint_that_cannot_be_written_is_found_out_before_the_first_step(tmp_path, path):
    with pytest.raises(ValueError, match="`checkpoint` must be a file"):
        training(checkpoint=tmp_path / path, progress=lambda *step: pytest.fail("a step was done"))


def test_two_lambdas_are_two_trainings(tune):
    """Loss, constraint and per-epoch function that differ in their code alone, and data of the same shape."""

    def options(constrain=0.5, each_epoch=0.5, power=2):
        parts = amsim.Optimiser(
            constrain=(lambda p: {"weight": p["weight"] * 0.5}) if constrain else (lambda p: {"weight": p["weight"]}),
            each_epoch=(lambda p: {"weight": p["weight"] + 1}) if each_epoch else (lambda p: {"weight": p["weight"]}),
        )
        loss = (lambda y, labels: jnp.mean(y**2)) if power == 2 else (lambda y, labels: jnp.mean(y**4))
        return {"optimiser": parts, "loss": loss}

    tune(**options())
    for other in (options(constrain=0), options(each_epoch=0), options(power=4)):
        with pytest.raises(ValueError, match="of a training with other settings"):
            tune(**other)
    rng = np.random.default_rng(1)
    data = Split(np.sign(rng.standard_normal((16, 8))).astype(np.float32), rng.integers(0, 3, 16))
    with pytest.raises(ValueError, match="other settings: train is "):
        tune(**options(), data=data)


def test_a_saved_history_is_a_result(finished, tmp_path):
    finished.history.to_netcdf(tmp_path / "history.nc")
    opened = open_result(tmp_path / "history.nc")
    np.testing.assert_array_equal(opened["loss"], finished.history["loss"])
    assert provenance_lines(opened)
    assert result_tables(opened)
