"""Digits of a calibration against those that the cells of an array hold."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import Calibration, SiteRanges
from amsim.circuits import SwitchedCapacitor
from amsim.circuits.selection.codes import IntegerCode

RNG = np.random.default_rng(0)
WEIGHTS = {"layer": RNG.integers(-1, 2, (16, 4)).astype(np.float32)}
INPUTS = RNG.integers(0, 4, (3, 16)).astype(np.float32)
ARRAY = SwitchedCapacitor(rows=16, columns=8, weight_bits=2, input_bits=2)
TERNARY = IntegerCode(jnp.ones(()), 2, True, digit_set="ternary")
TWOS_COMPLEMENT = IntegerCode(jnp.ones(()), 2, True)
UNIPOLAR = IntegerCode(jnp.ones(()), 2, False, digit_set="unipolar")


def network(params, inputs):
    return inputs @ params["layer"]


def coding(array, **codes):
    calibration = Calibration({"layer": SiteRanges(**codes)})
    return amsim.deploy(network, WEIGHTS, array, calibration=calibration).sites(INPUTS)[0].coding


@pytest.mark.parametrize(
    ("fields", "codes", "words"),
    [
        ({}, {"weights": TERNARY}, "ternary digits of weights, where `weight_coding` is 'bipolar'"),
        ({}, {"inputs": UNIPOLAR}, "unipolar digits of inputs, where `input_coding` is 'bipolar'"),
        (
            {"weight_coding": "ternary"},
            {"weights": TWOS_COMPLEMENT},
            "bipolar digits of weights, where `weight_coding` is 'ternary'",
        ),
    ],
)
def test_digits_that_cells_do_not_hold_are_refused(fields, codes, words):
    with pytest.raises(amsim.DeploymentError, match="site `layer` hold, but has " + words):
        coding(dataclasses.replace(ARRAY, **fields), **codes)


@pytest.mark.parametrize("weights", [TERNARY, TWOS_COMPLEMENT])
def test_an_array_of_either_digits_takes_what_is_chosen(weights):
    either = dataclasses.replace(ARRAY, weight_coding="auto", input_coding="auto")
    assert coding(either, inputs=UNIPOLAR, weights=weights) == f"unipolar x {weights.digit_set}"


def test_one_signed_bit_is_one_digit_in_every_coding():
    array = dataclasses.replace(ARRAY, weight_bits=1, weight_coding="ternary")
    assert coding(array, weights=IntegerCode(jnp.ones(()), 1, True)) == "bipolar x bipolar"
