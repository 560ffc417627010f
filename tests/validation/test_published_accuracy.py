"""Rungs of accuracy: the loss against accuracies counted elsewhere, and what the rungs declare."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim.chips import jia2020
from amsim.circuits import Comparator, SwitchedCapacitor
from amsim.datasets import Split
from amsim.validation import all_rungs
from amsim.validation.published_accuracy import TOLERANCE, accuracy_loss, accuracy_rungs

RNG = np.random.default_rng(0)
WEIGHTS = RNG.choice([-1.0, 1.0], (64, 4)).astype(np.float32)
INPUTS = RNG.choice([-1.0, 1.0], (40, 64)).astype(np.float32)


def network(params, inputs):
    return inputs @ jnp.sign(params)


PLAIN = (INPUTS @ WEIGHTS).argmax(axis=1)
# A tenth of the labels is wrong, so that the plain network is not always right.
DATA = Split(INPUTS, np.where(np.arange(40) % 10 == 0, (PLAIN + 1) % 4, PLAIN))
NOISY = SwitchedCapacitor(rows=64, columns=4, comparator=Comparator(noise=20e-3))


def test_loss_is_that_of_accuracies_counted_elsewhere():
    found = accuracy_loss(network, WEIGHTS, NOISY, DATA, dies=3, seed=5)
    chips = amsim.evaluate(network, WEIGHTS, NOISY, DATA, dies=3, key=jax.random.key(5))
    plain = np.mean(DATA.labels == PLAIN)
    assert plain == 0.9
    assert found.mean == pytest.approx(100 * (plain - float(chips.accuracy_mean)), abs=1e-4)
    assert found.low < found.mean < found.high
    assert found.mean > 2


def test_hardware_without_errors_loses_nothing():
    ideal = NOISY.ideal()
    assert accuracy_loss(network, WEIGHTS, ideal, DATA) == (0, 0, 0)


def test_every_rung_states_its_tolerance_in_points():
    rungs = accuracy_rungs()
    assert {one.unit for one in rungs} == {"points"}
    assert {one.tolerance for one in rungs} == {TOLERANCE}
    assert all(one.absolute and one.kind == "predicted" and one.level == "published accuracy" for one in rungs)
    assert {one.name for one in rungs} <= {one.name for one in all_rungs()}
    # A point more or less than the tolerance is a miss.
    for one in rungs:
        assert not one.within(one.ends[0] + TOLERANCE + 1)
        assert not one.within(one.ends[0] - TOLERANCE - 1)
        assert not one.within(math.nan)


def test_digital_sites_of_jia2020_leave_its_array():
    chip = jia2020(weight_bits=4, input_bits=4, digital_sites="first")
    by_pattern = dict(zip(chip.patterns, chip.macros, strict=True))
    assert type(by_pattern["first"]).__name__ == "DigitalBinary"
    assert (by_pattern["first"].weight_bits, by_pattern["first"].input_bits) == (4, 4)
    assert by_pattern[".*"] == jia2020(weight_bits=4, input_bits=4).macros[-1]
