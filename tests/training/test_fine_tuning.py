"""Fine-tuning: what a step computes, which dies it meets, and what is refused."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split
from amsim.networks import ImageNetwork
from amsim.networks.image_network import ConvolutionLayer
from amsim.training.fine_tuning.dies import DieStream
from amsim.training.losses import distillation
from amsim.training.optimiser import initial_state, update

KEY = jax.random.key(0)
SMALL = ImageNetwork(bits=1, input_maps=2, layers=(ConvolutionLayer(7, 7, 4, 1),))
STILL = circuits.SwitchedCapacitor(
    rows=16, columns=4, mismatch_coefficient=3e-9, temperature=0.0, comparator=circuits.Comparator(noise=0.0)
)
"""Dies differ by large mismatch; reads of one die do not differ."""


@pytest.fixture(scope="module")
def blobs() -> Split:
    """Three classes of points of +-1 around three corners of a cube."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 48)
    corners = np.sign(rng.standard_normal((3, 12)))
    flipped = rng.random((48, 12)) < 0.2
    return Split(np.where(flipped, -1, 1).astype(np.float32) * corners[labels].astype(np.float32), labels)


@pytest.fixture(scope="module")
def weights() -> dict:
    return {"weight": jnp.asarray(np.random.default_rng(1).standard_normal((12, 3)), jnp.float32)}


def linear(params, inputs):
    return inputs @ params["weight"]


def softmax(scores):
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def test_steps_are_gradient_descent_of_softmax_regression(blobs, weights):
    tuned = amsim.fine_tune(
        linear, weights, circuits.Exact(), blobs, key=KEY, epochs=3, batch=48, optimiser=optax.sgd(0.5)
    )
    expected, target = np.asarray(weights["weight"], float), np.eye(3)[blobs.labels]
    losses = []
    for _ in range(3):
        probability = softmax(blobs.inputs @ expected)
        losses.append(-np.mean(np.log(probability[np.arange(48), blobs.labels])))
        expected -= 0.5 * blobs.inputs.T @ (probability - target) / 48
    np.testing.assert_allclose(tuned.params["weight"], expected, atol=1e-5)
    np.testing.assert_allclose(tuned.history["loss"], losses, rtol=1e-5)
    assert np.isnan(tuned.history["learning_rate"]).all()
    assert tuned.best_epoch == 3


def test_a_step_meets_the_calibrated_codes(blobs, weights):
    macro = circuits.DigitalBinary(weight_bits=3, input_bits=3)
    chosen = amsim.calibrate(linear, weights, macro, blobs.inputs, method="percentile", coverage=0.8, steps=False)

    def loss(params, calibration):
        scores = amsim.deploy(linear, params, macro, calibration=calibration)(blobs.inputs)
        return optax.softmax_cross_entropy_with_integer_labels(scores, jnp.asarray(blobs.labels)).mean()

    tuned = amsim.fine_tune(
        linear, weights, macro, blobs, key=KEY, epochs=1, batch=48, optimiser=optax.sgd(0.5),
        dies=amsim.TrainingDies(calibration=chosen.calibration),
    )  # fmt: skip
    step, other = (jax.grad(loss)(weights, one)["weight"] for one in (chosen.calibration, None))
    np.testing.assert_allclose(tuned.params["weight"], weights["weight"] - 0.5 * step, atol=1e-5)
    assert not np.allclose(step, other, atol=1e-3)


def test_distillation_is_the_softened_divergence():
    rng = np.random.default_rng(2)
    outputs, teacher = jnp.asarray(rng.standard_normal((2, 5, 4)), jnp.float32)
    p, q = softmax(np.asarray(teacher) / 3.0), softmax(np.asarray(outputs) / 3.0)
    expected = 9.0 * np.mean(np.sum(p * np.log(p / q), axis=-1))
    assert float(distillation(outputs, teacher, 3.0)) == pytest.approx(expected, rel=1e-4, abs=0)
    same = jax.grad(lambda x: distillation(x, teacher, 3.0))(teacher)
    np.testing.assert_allclose(same, 0.0, atol=1e-6)


def test_the_teacher_is_the_plain_network(blobs, weights):
    """On exact hardware the student starts as the teacher, so that pure distillation changes nothing."""
    tuned = amsim.fine_tune(
        linear,
        weights,
        circuits.Exact(),
        blobs,
        key=KEY,
        epochs=1,
        batch=16,
        loss=amsim.Distillation(1.0),
        optimiser=optax.sgd(1.0),
    )
    np.testing.assert_allclose(tuned.params["weight"], weights["weight"], atol=1e-6)
    assert float(tuned.history["loss"][0]) == pytest.approx(0.0, abs=1e-6)


def test_dies_by_kind():
    def words(key):
        return tuple(np.ravel(jax.random.key_data(key)))

    redrawn, ensemble = DieStream.of("redrawn", KEY), DieStream.of(3, KEY)
    assert len({words(redrawn.at(step)) for step in range(10)}) == 10
    assert [words(ensemble.at(step)) for step in range(3)] * 2 == [words(ensemble.at(step)) for step in range(6)]
    held = DieStream.of(jax.random.key(7), KEY)
    assert words(held.at(5)) == words(jax.random.key(7))
    assert DieStream.of("nominal", KEY).at(3) is None
    assert [words(one) for one in redrawn.met(10, 2)] == [words(redrawn.at(8)), words(redrawn.at(9))]
    assert [words(one) for one in ensemble.met(10, 2)] == [words(ensemble.at(0)), words(ensemble.at(1))]
    for dies in (redrawn, ensemble):
        trained = {words(dies.at(step)) for step in range(100)}
        assert not trained & {words(one) for one in dies.for_validation(50)}
        fresh = jax.random.split(dies.unseen)[0]
        assert not trained & {words(jax.random.fold_in(fresh, number)) for number in range(50)}
    assert words(held.for_validation(2)[0]) == words(held.at(0))


def cross_entropy_on(blobs, weights, die_key):
    scores = np.asarray(amsim.deploy(linear, weights, STILL, key=die_key)(blobs.inputs), float)
    return -np.mean(np.log(softmax(scores)[np.arange(48), blobs.labels]))


def test_a_step_meets_its_die_and_noise_scale_in_one_compilation(blobs, weights):
    traces = []

    def counted(params, inputs):
        traces.append(1)
        return linear(params, inputs)

    own, after_step = jax.random.key(7), []
    on_own, nominal = cross_entropy_on(blobs, weights, own), cross_entropy_on(blobs, weights, None)
    assert abs(on_own - nominal) > 1e-3
    tuned = amsim.fine_tune(
        counted,
        weights,
        STILL,
        blobs,
        key=KEY,
        epochs=3,
        batch=48,
        dies=amsim.TrainingDies(own, noise=optax.linear_schedule(1.0, 0.0, 2)),
        optimiser=0.0,
        progress=lambda phase, step, steps: after_step.append((step, steps, len(traces))),
    )
    np.testing.assert_allclose(tuned.history["loss"][[0, 2]], [on_own, nominal], rtol=1e-5)
    assert abs(float(tuned.history["loss"][1]) - on_own) > 1e-4
    np.testing.assert_allclose(tuned.history["noise_scale"], [1.0, 0.5, 0.0])
    assert after_step == [(step, 3, after_step[0][2]) for step in (0, 1, 2, 3)]
    assert np.array_equal(tuned.params["weight"], weights["weight"])


def test_the_default_learning_rate_follows_a_cosine(blobs, weights):
    tuned = amsim.fine_tune(linear, weights, circuits.Exact(), blobs, key=KEY, epochs=3, batch=16)
    np.testing.assert_allclose(
        tuned.history["learning_rate"], 0.015 * (1 + np.cos(np.pi * np.arange(9) / 9)) / 2, rtol=1e-5
    )


@pytest.fixture(scope="module")
def images() -> Split:
    return amsim.load_dataset().train[:64]


def test_statistics_of_a_reference_network_stay_and_latent_weights_keep_inside(images):
    params = SMALL.initial_params(KEY)
    tuned = amsim.fine_tune(SMALL, params, circuits.Exact(), images, key=KEY, epochs=1, batch=32, optimiser=1.0)
    for name, layer in tuned.params.items():
        assert float(np.abs(layer["kernel"]).max()) <= 1.0
        for part, value in layer.items():
            changed = not np.array_equal(value, params[name][part])
            assert changed == (part not in ("mean", "variance")), (name, part)
    assert json_of(tuned)["trainable"] == [
        f"{layer}.{part}" for layer in params for part in ("gain", "kernel", "shift")
    ]


def json_of(tuned):
    return json.loads(tuned.history.attrs["record"])


def test_modules_keep_what_is_no_array(blobs):
    model = eqx.nn.MLP(12, 3, 8, 1, key=KEY)
    tuned = amsim.fine_tune(
        lambda model, x: jax.vmap(model)(x),
        model,
        circuits.Exact(),
        blobs,
        key=KEY,
        epochs=1,
        batch=16,
        optimiser=amsim.Optimiser(trainable=lambda name: name.startswith("layers.1")),
    )
    assert tuned.params.activation is model.activation
    assert np.array_equal(tuned.params.layers[0].weight, model.layers[0].weight)
    assert not np.array_equal(tuned.params.layers[1].weight, model.layers[1].weight)


def test_the_best_epoch_counts_and_patience_ends(blobs, weights):
    steps = []
    tuned = amsim.fine_tune(
        linear,
        weights,
        circuits.Exact(),
        blobs[:32],
        key=KEY,
        epochs=9,
        batch=8,
        optimiser=amsim.Optimiser(0.0, each_epoch=lambda params: steps.append(1) or params),
        validation=amsim.HeldOut(blobs[32:], patience=2),
    )
    assert tuned.best_epoch == 0
    assert len(steps) == 2
    assert dict(tuned.history.sizes) == {"step": 8, "epoch": 3}
    assert json_of(tuned)["epochs_done"] == 2
    right = np.argmax(blobs.inputs[32:] @ np.asarray(weights["weight"]), axis=1) == blobs.labels[32:]
    np.testing.assert_allclose(tuned.history["validation_accuracy"], right.mean())
    better = amsim.fine_tune(
        linear, weights, circuits.Exact(), blobs, key=KEY, epochs=4, batch=8, optimiser=0.1, validation=0.25
    )
    found = better.history["validation_accuracy"].values
    assert better.best_epoch == int(np.argmax(found)) > 0


def test_the_hook_of_each_epoch_changes_any_parameter(blobs, weights):
    params = weights | {"count": jnp.zeros(())}
    tuned = amsim.fine_tune(
        linear,
        params,
        circuits.Exact(),
        blobs,
        key=KEY,
        epochs=3,
        batch=16,
        optimiser=amsim.Optimiser(
            trainable="weight", each_epoch=lambda params: params | {"count": params["count"] + 1}
        ),
    )
    assert float(tuned.params["count"]) == 3


def test_refusals(blobs, weights, tmp_path):
    def tune(**options):
        data = options.pop("data", blobs)
        return amsim.fine_tune(linear, weights, circuits.Exact(), data, **({"key": KEY, "batch": 16} | options))

    cases = [
        ({"data": blobs[:0]}, "`data` must have at least one item"),
        ({"batch": 49}, "`batch` must be an integer from 1 to 48, but is 49"),
        ({"epochs": 0}, "`epochs` must be an integer of at least 1, but is 0"),
        ({"dies": "fresh"}, "`dies` must be 'redrawn', 'nominal', a number .* but is 'fresh'"),
        ({"dies": 0}, "`dies` must be an integer of at least 1, but is 0"),
        ({"dies": True}, "`dies` must be 'redrawn'"),
        ({"dies": amsim.TrainingDies(noise=-1.0)}, "`noise` must be .* at least 0"),
        ({"dies": amsim.TrainingDies(noise=lambda step: float("nan"))}, "`noise` must be"),
        ({"optimiser": float("nan")}, "`optimiser` must be finite and at least 0, but is nan"),
        (
            {"optimiser": amsim.Optimiser(trainable="bias")},
            r"`trainable` must match parameters, but 'bias' matches none of \['weight'\]",
        ),
        ({"optimiser": amsim.Optimiser(trainable="(")}, "`trainable` must have regular expressions"),
        ({"optimiser": amsim.Optimiser(trainable=lambda name: False)}, "`trainable` must choose at least one"),
        ({"decision_rule": "tan"}, "`decision_rule` must be one of .* Did you mean 'tanh'"),
        ({"validation": 0.001}, "`validation` must leave items on both sides"),
        ({"validation": blobs[:0]}, "`validation` must have at least one item"),
        ({"checkpoint": tmp_path / "none" / "file"}, "`checkpoint` must be a file in a folder that exists"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            tune(**options)
    parts = [
        (lambda: amsim.Distillation(1.5), "`weight` must be a number from 0 to 1, but is 1.5"),
        (lambda: amsim.Distillation(0.5, temperature=0.0), "`temperature` must be a number from 0.001"),
        (lambda: amsim.Optimiser("adam"), "`rule` must be finite and at least 0, but is 'adam'"),
        (lambda: amsim.HeldOut(0.5, dies=0), "`dies` must be an integer of at least 1, but is 0"),
        (lambda: amsim.HeldOut(0.5, patience=0), "`patience` must be an integer of at least 1, but is 0"),
        (lambda: amsim.HeldOut(patience=2), "`items` must be given for `patience`=2"),
    ]
    for part, message in parts:
        with pytest.raises(ValueError, match=message):
            part()
    bad = {"weight": weights["weight"].at[0, 0].set(jnp.nan)}
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        amsim.fine_tune(linear, bad, circuits.Exact(), blobs, key=KEY, batch=16)


def test_result_is_data(blobs, weights):
    tuned = amsim.fine_tune(linear, weights, circuits.Exact(), blobs, key=KEY, epochs=1, batch=16)
    for name in [*tuned.history.data_vars, *tuned.history.coords]:
        assert tuned.history[name].attrs["units"] == "1"
        assert tuned.history[name].attrs["long_name"]
    record = json_of(tuned)
    assert record == tuned.record
    assert {"params", "hardware", "train", "key", "epochs", "batch", "versions"} <= record.keys()
    with pytest.raises(dataclasses.FrozenInstanceError):
        tuned.params = weights


def test_default_steps_are_a_share_of_the_size_of_each_parameter():
    """Adam's first step is the sign of the gradient; a parameter of zeros moves as one of size 0.1."""
    params = {"large": jnp.asarray([3.0, -4.0]), "small": jnp.asarray([0.3, 0.4]), "none": jnp.zeros(2)}
    rule = amsim.Optimiser().transformation(100)
    gradient = jax.tree.map(lambda leaf: leaf + 1.0, params)
    after, state = update(rule, gradient, initial_state(rule, params), params)
    for name, values in params.items():
        size = max(np.sqrt(np.mean(np.square(values))), 0.1)
        expected = values - 0.015 * size * np.sign(gradient[name])
        np.testing.assert_allclose(after[name], expected, rtol=1e-4)
    # Half way down the cosine.
    for _ in range(50):
        state = update(rule, gradient, state, params)[1]
    assert float(state.hyperparams["learning_rate"]) == pytest.approx(0.015 / 2, rel=1e-4)
