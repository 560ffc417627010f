"""Cascades of small networks on small circuits, data that they tell apart, and random loads."""

import jax
import jax.numpy as jnp
import numpy as np

import amsim
from amsim import circuits, workloads
from amsim.cascade import Load, Stage, StageCost, StatedDetector

ITEMS = 120


def _scores(weights, inputs):
    return jnp.asarray(inputs, jnp.float32) @ weights


def labelled_inputs(items=ITEMS, seed=0):
    """Items of eight numbers whose sum tells events from background, with an overlap; a third are events."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(items) % 3 == 0).astype(int)
    inputs = rng.normal(size=(items, 8)) + 0.6 * labels[:, None]
    return inputs.astype(np.float32), labels


def small_chip(seed=0, columns=1, bits=4, key=None):
    """A layer that adds its inputs, not quite evenly."""
    rng = np.random.default_rng(seed)
    weights = (np.ones((8, columns)) + 0.3 * rng.normal(size=(8, columns))).astype(np.float32)
    macro = circuits.DigitalBinary(rows=16, columns=4, weight_bits=bits, input_bits=bits)
    return amsim.deploy(_scores, weights, macro, key=key)


def small_cascade(thresholds=(0.05, 2.03), rate=100.0, **second):
    """Two stages of such layers."""
    return amsim.Cascade(
        [
            Stage("watch", small_chip(0, bits=2), thresholds[0], rate=rate),
            Stage("identify", small_chip(1, bits=8), thresholds[1], **second),
        ]
    )


def stated_cascade(rate=100.0, other_power=None, **last):
    """Two stages whose rates are stated."""
    network = workloads.Workload("small", (workloads.dense("dense", 64, 10),))
    first = StatedDetector(circuits.DigitalBinary(), network, recall=0.9, false_positive_rate=0.1)
    second = StatedDetector(circuits.MultiPrecision(), network, recall=0.8, false_positive_rate=0.05)
    return amsim.Cascade([Stage("first", first, rate=rate), Stage("second", second, **last)], other_power=other_power)


def load(costs, event_pass, background_pass, item_rate=1.0, event_rate=0.1):
    """A load of stages with such costs (inference, service, wake-up, set-up time, sleep)."""
    names = tuple(f"stage {number}" for number in range(len(costs)))
    rows = tuple(
        StageCost(energy, service, wake, 0.5 * wake, set_up, sleep, 0.0, 0.0)
        for energy, service, wake, set_up, sleep in costs
    )
    passes = (np.asarray(event_pass, float), np.asarray(background_pass, float))
    return Load(names, rows, *passes, item_rate, event_rate, {})


def random_keys(count):
    return jax.random.split(jax.random.key(0), count)
