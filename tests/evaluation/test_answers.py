"""What counts as a right answer: degenerate logits never do, one logit tells two classes apart, labels are classes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split
from amsim.evaluation.accuracy import plain_accuracy
from amsim.evaluation.answers import are_right, class_scores
from amsim.training.losses import Distillation, cross_entropy

KEY = jax.random.key(0)
MACRO = circuits.DigitalBinary(rows=8, columns=8, weight_bits=8, input_bits=8)
NOISY = circuits.SwitchedCapacitor(rows=8, columns=8, weight_bits=2, input_bits=2)
NAN, INF = np.nan, np.inf


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    ("logits", "answer"),
    [
        ([1.0, 3.0, 2.0], 1),
        ([3.0, 3.0, 2.0], 0),  # the first of equal ones
        ([-INF, -2.0, -INF], 1),
        ([0.0, INF, 1.0], 1),
        ([NAN, NAN, NAN], None),
        ([1.0, NAN, 0.0], None),
        ([0.0, 1.0, NAN], None),
        ([-INF, -INF, -INF], None),
        ([0.5], 1),
        ([-0.5], 0),
        ([0.0], 0),
        ([NAN], None),
        ([INF], 1),
    ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_one_answer_at_most(logits, answer, dtype):
    right = [bool(are_right(jnp.asarray(logits, dtype), jnp.asarray(label))) for label in range(-1, 3)]
    assert right == [label == answer for label in range(-1, 3)]


def test_whole_numbers_are_scores_too():
    assert are_right(jnp.asarray([[1, 4], [9, 4]]), jnp.asarray([1, 1])).tolist() == [True, False]


def test_one_logit_is_the_sigmoid_in_every_loss():
    logits, labels = jnp.asarray([[-1.5], [0.3], [2.0]]), jnp.asarray([0, 1, 0])
    expected = optax.sigmoid_binary_cross_entropy(logits[:, 0], labels).mean()
    assert float(cross_entropy(logits, labels)) == pytest.approx(float(expected), rel=1e-6)
    two = class_scores(logits)
    teacher = jnp.asarray([[0.2], [-0.4], [1.0]])
    mixed = Distillation(0.9)
    found, same = mixed(logits, labels, teacher), mixed(two, labels, class_scores(teacher))
    assert float(found) == pytest.approx(float(same), rel=1e-6)
    assert float(found) > 0.1 * float(expected)


def linear(params, x):
    return x @ params["w"]


def diverged(params, x):
    return jnp.log(-1.0 - jnp.abs(x @ params["w"]))


INPUTS = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
WEIGHTS = {"w": jnp.eye(4)}


def searched(fn, params, data):
    return amsim.design_circuit(
        fn, params, NOISY, data, key=KEY, variables={"macro.comparator.noise": (0.1e-3, 2e-3)}, accuracy=0.9, steps=2,
        dies=1, check=amsim.FinalCheck(dies=1),
    ).accuracy  # fmt: skip


FRONT_DOORS = {
    "evaluate": lambda fn, params, data: amsim.evaluate(fn, params, MACRO, data, key=KEY, dies=1).accuracy_mean,
    "noisy": lambda fn, params, data: amsim.evaluate(fn, params, NOISY, data, key=KEY, dies=2).accuracy_mean,
    "sweep": lambda fn, params, data: amsim.sweep(
        amsim.study(fn, params, MACRO, data, quantities=["accuracy"]), {"macro.supply": [0.65]}, key=KEY, dies=1
    ).accuracy,
    "unseen dies": lambda fn, params, data: amsim.unseen_dies_report(
        fn, params, MACRO, data, key=KEY, dies=1
    ).accuracy_mean,
    "calibrate": lambda fn, params, data: amsim.calibrate(fn, params, MACRO, INPUTS, test=data).steps.accuracy_mean,
    "repair": lambda fn, params, data: amsim.repair(
        fn, params, NOISY, data, data, key=KEY, dies=1, repairs=()
    ).report.accuracy,
    "sensitivity": lambda fn, params, data: amsim.sensitivity(
        fn, params, NOISY, data, key=KEY, dies=1, sources=["comparator noise"]
    ).attrs["accuracy"],
    "design": searched,
    "validation": lambda fn, params, data: amsim.fine_tune(
        fn, params, MACRO, Split(INPUTS, np.zeros(16)), key=KEY, epochs=1, batch=16, validation=data,
        loss=lambda outputs, labels: jnp.mean(jnp.where(jnp.isnan(outputs), 0.0, outputs)) * 0.0, optimiser=0.0,
    ).history.validation_accuracy,
    "plain": lambda fn, params, data: plain_accuracy(fn, params, data),
}  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("door", [name for name in FRONT_DOORS if name != "design"])
@pytest.mark.filterwarnings("ignore")
def test_no_logit_is_right_where_all_are_nan(door):
    """Also where every label is 0, the first of equal ones."""
    found = np.asarray(FRONT_DOORS[door](diverged, WEIGHTS, Split(INPUTS, np.zeros(16, int))))
    np.testing.assert_array_equal(found, np.zeros_like(found))


def test_a_search_does_not_go_on_from_nan():
    with pytest.raises(FloatingPointError, match="not finite"):
        FRONT_DOORS["design"](diverged, WEIGHTS, Split(INPUTS, np.zeros(16, int)))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("door", FRONT_DOORS)
@pytest.mark.parametrize(
    ("labels", "columns", "text"),
    [
        (np.arange(16) % 4, 2, "must have labels of classes that the network knows, but has 3"),
        (np.arange(16) % 3, 1, "but has 2, and `fn` gives 1 logit per item, which tells classes 0 and 1 apart"),
    ],
)
def test_labels_have_a_logit(door, labels, columns, text):
    with pytest.raises(ValueError, match=text):
        FRONT_DOORS[door](linear, {"w": jnp.eye(4)[:, :columns]}, Split(INPUTS, labels))


@pytest.mark.sampled(8)
@pytest.mark.parametrize("door", [name for name in FRONT_DOORS if name != "plain"])
@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.full(16, -1), "must have labels from 0 to 2"),
        (np.zeros(16), "must have whole numbers as labels.* float64"),
        (np.zeros((16, 4), int), r"one label for each item, but its labels have shape \(16, 4\)"),
        (np.full(16, 2**40), "must have labels from 0 to 2"),
        (np.array(["a"] * 16), "in its labels must be real numbers"),
    ],
)
def test_labels_are_classes(door, labels, text):
    with pytest.raises(ValueError, match=text):
        FRONT_DOORS[door](linear, WEIGHTS, Split(INPUTS, labels))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("door", ["evaluate", "sweep", "unseen dies", "calibrate", "validation", "plain"])
def test_one_logit_tells_two_classes_apart(door):
    labels = (INPUTS[:, 0] > 0).astype(int)
    found = [
        np.asarray(FRONT_DOORS[door](linear, {"w": weights}, Split(INPUTS, labels)))
        for weights in (jnp.eye(4)[:, :1], jnp.stack([jnp.zeros(4), jnp.eye(4)[:, 0]], axis=1))
    ]
    np.testing.assert_array_equal(*found)
    assert np.max(found[0]) > 0.9


def test_training_learns_from_one_logit():
    labels = (INPUTS[:, 0] + INPUTS[:, 1] > 0).astype(int)
    tuned = amsim.fine_tune(
        linear,
        {"w": jnp.zeros((4, 1))},
        circuits.Exact(),
        (INPUTS, labels),
        key=KEY,
        epochs=20,
        batch=16,
        optimiser=0.1,
    )
    assert float(tuned.history["loss"][-1]) < 0.4
    assert float(tuned.history["training_accuracy"][-1]) > 0.8
    with pytest.raises(ValueError, match="labels of classes that the network knows, but has 5"):
        amsim.fine_tune(linear, WEIGHTS, circuits.Exact(), (INPUTS, labels * 5), key=KEY, batch=16)
    with pytest.raises(ValueError, match="whole numbers as labels"):
        amsim.fine_tune(linear, WEIGHTS, circuits.Exact(), (INPUTS, labels * 0.5), key=KEY, batch=16)


def test_a_detector_of_nan_has_no_area():
    data = Split(INPUTS, np.arange(16) % 2)
    found = amsim.evaluate_detector(lambda p, x: diverged(p, x)[:, 0], WEIGHTS, MACRO, data, key=KEY, dies=1)
    assert np.isnan(found["auc"]).all()
