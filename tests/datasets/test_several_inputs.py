"""Networks of several inputs: the same numbers as one array that holds all of them, in everything that takes data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits, repairs
from amsim.characterisation.lines import site_line_values
from amsim.datasets import Split

KEY = jax.random.key(2)
ITEMS = 18
DRAWS = np.random.default_rng(0)
WHOLE = DRAWS.normal(size=(ITEMS, 8)).astype(np.float32)
LABELS = DRAWS.integers(0, 3, ITEMS)
PARAMS = {"w": jnp.asarray(DRAWS.normal(size=(8, 3)), jnp.float32), "mean": jnp.zeros(3)}
ARRAY = circuits.SwitchedCapacitor(rows=8, columns=8, weight_bits=2, input_bits=2)


def of_one(params, x):
    return x @ params["w"] - params["mean"][None]


def of_dict(params, x):
    return of_one(params, jnp.concatenate([x["left"]["first"], x["right"]], axis=1))


def of_two(params, left, right):
    return of_one(params, jnp.concatenate([left, right], axis=1))


NETWORKS = {
    "dict": (of_dict, {"left": {"first": WHOLE[:, :5]}, "right": WHOLE[:, 5:]}),
    "tuple": (of_two, (WHOLE[:, :5], WHOLE[:, 5:])),
}


def statistics_of(fn):
    return lambda params, *inputs: params | {"mean": jnp.mean(fn(params, *inputs), axis=0)}


def tuned(fn, data):
    found = amsim.fine_tune(
        fn, PARAMS, ARRAY, data, key=KEY, epochs=1, batch=9, validation=data, loss=amsim.Distillation(0.5)
    )
    return [*jax.tree.leaves(found.params), *found.history.data_vars.values()]


def designed(fn, data):
    found = amsim.design_circuit(
        fn, PARAMS, ARRAY, data, key=KEY, variables={"macro.comparator.noise": (0.1e-3, 2e-3)}, accuracy=0.3, steps=1,
        dies=1, check=amsim.FinalCheck(dies=1), weights=amsim.WeightTraining(1e-3),
    )  # fmt: skip
    return [found.energy, found.accuracy, found.check.accuracy.values]


def calibrated(fn, data):
    found = amsim.calibrate(fn, PARAMS, ARRAY, data, key=KEY, dies=1, statistics=statistics_of(fn))
    return [found.choice.input_high.values, found.steps.accuracy.values, *jax.tree.leaves(found.chip.params)]


def swept(fn, data):
    found = amsim.sweep(amsim.study(fn, PARAMS, ARRAY, data), {"macro.supply": [0.6, 0.8]}, key=KEY, dies=2)
    return [found[name].values for name in ("accuracy", "energy", "latency", "area")]


def mended(fn, data):
    some = (
        "trim",
        "offsets",
        ("layer", repairs.LastLayer("w", 1)),
        ("own", repairs.BatchStatistics(statistics_of(fn))),
    )
    untrimmed = amsim.with_settings(ARRAY, {"macro.comparator.trim": None})
    report = amsim.repair(fn, PARAMS, untrimmed, data, data, key=KEY, dies=1, repairs=some).report
    return [report[name].values for name in ("accuracy", "repair_energy", "stored_bits")]


FRONT_DOORS = {
    "evaluate": lambda fn, data: [
        amsim.evaluate(fn, PARAMS, ARRAY, data, key=KEY, dies=2, batch=7).accuracy.values
    ],
    "sweep": swept,
    "calibrate": calibrated,
    "fine_tune": tuned,
    "repair": mended,
    "design": designed,
    "sensitivity": lambda fn, data: [
        amsim.sensitivity(fn, PARAMS, ARRAY, data, key=KEY, dies=1, sources=["comparator noise"])[name].values
        for name in ("loss_increase", "energy")
    ],
    "detector": lambda fn, data: [
        amsim.evaluate_detector(
            lambda *given: fn(*given)[:, 0], PARAMS, ARRAY, Split(data.inputs, np.arange(ITEMS) % 2), key=KEY, dies=1
        ).score.values
    ],
    "lines": lambda fn, data: [
        site_line_values(amsim.deploy(fn, PARAMS, ARRAY), data.inputs, "w").occurrences.values
    ],
}  # fmt: skip


# They read data as the training and the evaluation do that are tested beside them, in programs that compile long.
SLOW_DOORS = {"design", "sensitivity"}


@pytest.fixture(scope="module")
def of_one_array():
    found = {}

    def measured(door):
        if door not in found:
            found[door] = FRONT_DOORS[door](of_one, Split(WHOLE, LABELS))
        return found[door]

    return measured


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("door", "kind"),
    [
        # Programs of their own: every door is tested with one kind, and with the other one among the slow tests.
        pytest.param(door, kind, marks=[pytest.mark.slow] if (number + place) % 2 or door in SLOW_DOORS else [])
        for number, door in enumerate(FRONT_DOORS)
        for place, kind in enumerate(NETWORKS)
    ],
)
def test_several_arrays_are_one(door, kind, of_one_array):
    network, inputs = NETWORKS[kind]
    found = FRONT_DOORS[door](network, Split(inputs, LABELS))
    for one, expected in zip(found, of_one_array(door), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)


def test_samples_without_labels():
    network, inputs = NETWORKS["dict"]
    chosen = [amsim.calibrate(fn, PARAMS, ARRAY, data).choice for fn, data in ((network, inputs), (of_one, WHOLE))]
    np.testing.assert_array_equal(chosen[0].input_high, chosen[1].input_high)
    chip = amsim.deploy(network, PARAMS, ARRAY)
    found = amsim.reestimate_statistics(chip, statistics_of(network), inputs, batch=7)
    plain = amsim.reestimate_statistics(amsim.deploy(of_one, PARAMS, ARRAY), statistics_of(of_one), WHOLE, batch=7)
    np.testing.assert_array_equal(found.params["mean"], plain.params["mean"])
    with pytest.raises(ValueError, match="Several inputs of a network stand together in a dict"):
        amsim.calibrate(of_two, PARAMS, ARRAY, (WHOLE[:, :5], 1.0))


def test_pairs_are_splits():
    """A tuple (inputs, labels) and a dict of both are data as a split is."""
    expected = FRONT_DOORS["evaluate"](of_one, Split(WHOLE, LABELS))
    for data in ((WHOLE, LABELS), {"inputs": WHOLE, "labels": LABELS}):
        np.testing.assert_array_equal(FRONT_DOORS["evaluate"](of_one, data), expected)
        assert amsim.calibrate(of_one, PARAMS, ARRAY, data, key=KEY, dies=1).steps is not None


def test_inputs_need_no_pictures_and_no_floats():
    """Whole numbers that a table turns into vectors, beside truth values."""

    def embedded(params, x):
        vectors = jnp.where(x["mask"][..., None], params["table"][x["tokens"]], 0.0)
        return vectors.mean(axis=1) @ params["w"]

    params = PARAMS | {"table": jnp.asarray(DRAWS.normal(size=(5, 8)), jnp.float32)}
    inputs = {"tokens": DRAWS.integers(0, 5, (ITEMS, 4)), "mask": DRAWS.random((ITEMS, 4)) > 0.3}
    digital = circuits.DigitalBinary(weight_bits=8, input_bits=8)
    labels = np.argmax(np.asarray(embedded(params, inputs)), axis=-1)
    found = amsim.evaluate(embedded, params, digital, (inputs, labels), key=KEY, dies=1, batch=5)
    assert float(found.accuracy_mean) > 0.9
    assert amsim.calibrate(embedded, params, digital, inputs).choice.sizes["site"] == 1
