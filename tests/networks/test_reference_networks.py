"""The trained reference networks on every family: exact without errors, and a smooth loss with them."""

import dataclasses

import jax
import numpy as np
import pytest

from amsim import circuits, deploy, evaluate, load_dataset, networks
from amsim.chips.designs import design


@pytest.fixture(scope="module")
def images():
    return load_dataset().test[:200]


def plain_logits(name, images):
    net, params = networks.load(name)
    return net, params, np.asarray(jax.jit(net)(params, images.inputs))


@pytest.mark.sampled(1)
@pytest.mark.parametrize("hardware", ["comparators and ADC", "comparators, digital classifier", "ADC alone", "digital"])
def test_binary_network_is_exact_without_errors(images, hardware):
    array = circuits.SwitchedCapacitor().ideal()
    accelerator = {
        "comparators and ADC": array,
        "comparators, digital classifier": design("switched-capacitor-1b").accelerator().ideal(),
        # Two input bits leave the fused neuron out of reach: every sum goes through the ADC.
        "ADC alone": dataclasses.replace(array, input_bits=2),
        "digital": design("digital-binary-1b").accelerator(),
    }[hardware]
    net, params, expected = plain_logits("binary-fashion", images)
    chip = deploy(net, params, accelerator, key=jax.random.key(0))
    logits = np.asarray(chip(images.inputs, key=jax.random.key(1)))
    if hardware == "ADC alone":
        # -1 and +1 are no codes of a two-bit word: the product is that of the digital family at two bits.
        wide = dataclasses.replace(circuits.DigitalBinary(), input_bits=2)
        expected = np.asarray(deploy(net, params, wide)(images.inputs))
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("bits", [2, pytest.param(4, marks=pytest.mark.slow)])  # the same program at other grids
def test_multi_bit_networks_are_exact_without_errors(images, bits):
    net, params, expected = plain_logits(f"{bits}-bit-fashion", images)
    few = images.inputs[:50]
    analog = deploy(net, params, design(f"switched-capacitor-{bits}b").accelerator().ideal(), key=jax.random.key(0))
    digital = deploy(net, params, design(f"multi-precision-{bits}b").accelerator())
    # Activations are rounded to their grid after every layer, so that round-off does not spread.
    np.testing.assert_allclose(digital(few), expected[:50], atol=1e-4)
    np.testing.assert_allclose(analog(few, key=jax.random.key(1)), expected[:50], atol=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        "noise",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("offset", "mismatch")),
    ],  # the same beside noise
)
def test_accuracy_falls_smoothly_with_each_error(images, error):
    images = images[:100]
    net, params, _ = plain_logits("binary-fashion", images)
    digital, array = design("switched-capacitor-1b").accelerator().macros

    def accuracies(change, values):
        found = []
        for value in values:
            rules = {"dense": digital, ".*": change(value)}
            result = evaluate(net, params, rules, images, dies=3, batch=100, key=jax.random.key(0))
            found.append(float(result["accuracy_mean"]))
        return np.array(found)

    def with_comparator(**settings):
        return dataclasses.replace(array, comparator=circuits.Comparator(**settings))

    sweeps = {
        "noise": (lambda v: with_comparator(noise=v), [0.0, 0.4e-3, 1.6e-3, 20e-3]),
        "offset": (lambda v: with_comparator(offset_sigma=v, trim=None), [0.0, 1e-3, 4e-3, 60e-3]),
        "mismatch": (
            lambda v: dataclasses.replace(array, mismatch_coefficient=v * 1e-15**0.5),
            [0.0, 0.0085, 0.3, 2.0],
        ),
    }
    found = accuracies(*sweeps[error])
    # 100 images and 3 dies: rises of up to 2 points are chance.
    assert np.all(np.diff(found) < 0.02), found
    assert found[0] > 0.85, found
    assert found[0] - found[1] < 0.05, found
    assert found[-1] < 0.6, found
