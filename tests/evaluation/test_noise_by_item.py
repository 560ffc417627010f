"""`batch` bounds the memory and changes nothing else: each item has noise of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split
from amsim.evaluation.fixed_reads import FixedReads
from amsim.noise import item_key
from amsim.noise.gradients import decision
from amsim.repairs.bench import Bench

KEY = jax.random.key(1)
ITEMS = 22
DRAWS = np.random.default_rng(0)
NOISE = circuits.Comparator(noise=3e-3)
TWO_BITS = {"rows": 16, "columns": 8, "weight_bits": 2, "input_bits": 2, "comparator": NOISE}
ONE_BIT = {"rows": 32, "columns": 8, "comparator": NOISE}
ARRAY = circuits.SwitchedCapacitor(**TWO_BITS)


def weights(*shape):
    return jnp.asarray(DRAWS.normal(size=shape), jnp.float32)


def dense(params, x):
    return jax.nn.relu(x @ params["a"]) @ params["b"]


def signs(params, x):
    return decision(decision(x) @ decision(params["a"])) @ decision(params["b"])


def maps(params, x):
    pictures = x.reshape(-1, 4, 6, 1)
    found = jax.lax.conv_general_dilated(
        pictures, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(found).reshape(len(x), -1) @ params["flat"]


def recurrent(params, x):
    def step(hidden, now):
        return jnp.tanh(now @ params["in"] + hidden @ params["again"]), None

    start = jnp.zeros((len(x), 6), x.dtype)
    return jax.lax.scan(step, start, jnp.swapaxes(x.reshape(-1, 4, 6), 0, 1))[0] @ params["out"]


def attention(params, x):
    tokens = x.reshape(-1, 4, 6)
    queries, keys, values = (tokens @ params[name] for name in ("in", "again", "own"))
    mixed = jax.nn.softmax(jnp.einsum("bqd,bkd->bqk", queries, keys)) @ values
    return mixed.mean(axis=1) @ params["out"]


def item_by_item(params, x):
    return jax.vmap(lambda item: params["b"].T @ jax.nn.relu(params["a"].T @ item))(x)


PARAMS = {
    "a": weights(24, 16), "b": weights(16, 4), "kernel": weights(3, 3, 1, 3), "flat": weights(72, 4),
    "in": weights(6, 6), "again": weights(6, 6), "own": weights(6, 6), "out": weights(6, 4),
}  # fmt: skip
DATA = Split(DRAWS.normal(size=(ITEMS, 24)).astype(np.float32), DRAWS.integers(0, 4, ITEMS))
MEASURED = circuits.Measured(
    mean=np.arange(-16.0, 17.0)[None], sigma=np.full((1, 33), 2.0), counts=tuple(range(-16, 17)),
    evaluation_energy=2e-12, evaluation_time=3e-7, array_area=4e-8, supply=0.7, rows=16, columns=8, weight_bits=2,
    input_bits=2,
)  # fmt: skip
CASES = {
    "converter": (dense, ARRAY),
    "successive": (dense, circuits.SwitchedCapacitor(**ONE_BIT, adc=circuits.SarAdc())),
    "flash": (dense, circuits.SwitchedCapacitor(**ONE_BIT, adc=circuits.FlashAdc())),
    "supply": (dense, circuits.SwitchedCapacitor(**ONE_BIT, adc=circuits.Adc(), supply_noise=0.05)),
    "table": (dense, MEASURED),
    "comparators": (signs, circuits.SwitchedCapacitor(rows=32, columns=16, comparator=circuits.Comparator(noise=9e-3))),
    "maps": (maps, ARRAY),
    "loop": (recurrent, ARRAY),
    "activations": (attention, amsim.Accelerator(ARRAY, activation_products=True)),
    "items": (item_by_item, ARRAY),
}


# Two programs each: these compile longest, and others beside them read the same products with noise.
SLOW_CASES = {"converter", "successive", "activations"}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW_CASES)) for n in CASES])
def test_a_part_is_read_as_in_the_whole(name):
    network, hardware = CASES[name]
    chip = amsim.deploy(network, PARAMS, hardware, key=KEY)
    whole = np.asarray(chip(DATA.inputs, key=KEY))
    part = chip(DATA.inputs[9:14], key=item_key(KEY, 9, 5))
    np.testing.assert_allclose(part, whole[9:14], rtol=1e-5, atol=1e-5)
    as_the_first = np.asarray(chip(DATA.inputs[9:14], key=item_key(KEY, 0, 5)))
    assert np.any(np.abs(whole[9:14] - as_the_first) > 0.1)


def test_accuracy_is_that_of_one_read_of_all_items():
    die_key, read_key = jax.random.split(KEY)
    chip = amsim.deploy(dense, PARAMS, ARRAY, key=jax.random.fold_in(die_key, 0))
    for read in range(2):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(read_key, 0), read), 0)
        right = np.argmax(np.asarray(chip(DATA.inputs, key=key)), axis=-1) == DATA.labels
        for batch in (5, 64):
            found = amsim.evaluate(dense, PARAMS, ARRAY, DATA, key=KEY, dies=1, reads=2, batch=batch)
            assert float(found["accuracy"][0, read]) == pytest.approx(np.mean(right), abs=1e-12)


def swept(batch):
    study = amsim.study(dense, PARAMS, ARRAY, DATA, quantities=["accuracy"], batch=batch)
    return amsim.sweep(study, {"macro.supply": [0.6, 0.8]}, key=KEY, dies=2)["accuracy"]


def detected(batch):
    labels = (np.arange(ITEMS) % 2).astype(int)
    return amsim.evaluate_detector(
        lambda params, x: (x @ params["a"])[:, 0],
        PARAMS,
        ARRAY,
        Split(DATA.inputs, labels),
        key=KEY,
        dies=2,
        batch=batch,
    )["score"]


def losses(batch):
    reads = FixedReads.of(DATA, batch, KEY, 1)
    return sum(float(one.cross_entropy(one.logits(dense, PARAMS, amsim.Accelerator(ARRAY)))) for one in reads.all())


def column_means(batch):
    chip = amsim.deploy(dense, PARAMS, ARRAY, key=KEY)
    return Bench(chip, DATA, batch, KEY).means(chip, 0)["a"]


def statistics(batch):
    def shifted(params, x):
        return params | {"mean": jnp.mean(x @ params["a"], axis=0)}

    chip = amsim.deploy(lambda params, x: x @ params["a"] - params["mean"], PARAMS | {"mean": jnp.zeros(16)}, ARRAY)
    return amsim.reestimate_statistics(chip, shifted, DATA, key=KEY, batch=batch).params["mean"]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("measured", [swept, detected, losses, column_means, statistics])
def test_every_measurement_over_items(measured):
    np.testing.assert_allclose(measured(6), measured(30), rtol=2e-5, atol=1e-5)


def test_items_do_not_share_noise():
    """The same item many times, in batches and across them, is answered anew each time."""
    repeated = Split(np.repeat(DATA.inputs[:1], 40, axis=0), np.zeros(40, int))
    scores = amsim.evaluate_detector(
        lambda params, x: (x @ params["a"])[:, 0], PARAMS, ARRAY, Split(repeated.inputs, np.arange(40) % 2), key=KEY,
        dies=1, batch=8,
    )["score"].values[0]  # fmt: skip
    assert len(np.unique(scores)) > 8
