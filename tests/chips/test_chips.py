"""Presets against the published figures; each says whether the figure was calibrated on or is predicted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import chips, deploy, workloads
from amsim.noise.gradients import decision

POSITIONS = 961 + 900 + 841 + 784 + 169 + 144 + 25 + 16


def network(params, inputs):
    """Eight 2x2 layers without padding (facts 1.1), random weights: only counts and activity matter here."""
    values = inputs
    for index in range(8):
        layout = ("NHWC", "HWIO", "NHWC")
        kernel = decision(params[f"conv{index}"]["kernel"])
        values = decision(jax.lax.conv_general_dilated(values, kernel, (1, 1), "VALID", dimension_numbers=layout))
        if index in (3, 5):
            batch, height, width, channels = values.shape
            values = values.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
    return values.reshape(values.shape[0], -1) @ decision(params["dense"]["kernel"])


def cost_of(accelerator, filters):
    keys = jax.random.split(jax.random.key(0), 10)
    params = {f"conv{i}": {"kernel": jax.random.normal(keys[i], (2, 2, filters, filters))} for i in range(8)}
    params["dense"] = {"kernel": jax.random.normal(keys[8], (16 * filters, 10))}
    inputs = jnp.sign(jax.random.normal(keys[9], (1, 32, 32, filters)))
    return deploy(network, params, accelerator).cost(inputs)


@pytest.fixture(scope="module")
def bankman():
    return cost_of(chips.bankman2018(), 256)


@pytest.fixture(scope="module")
def binareye():
    return cost_of(chips.binareye2018(), 256)


def test_macs_of_the_published_network(bankman):
    assert int(bankman["macs"].sum()) == POSITIONS * 4 * 256**2 + 16 * 256 * 10


def test_bankman_energy_is_calibrated_on_the_frame(bankman):
    energy = bankman["energy"].sum("site")
    assert float(energy.sum()) == pytest.approx(3.8e-6, rel=0.1)
    # The derived 25 / 75 split between array and everything else.
    assert float(energy.sel(component="mac") / energy.sum()) == pytest.approx(0.25, abs=0.05)


def test_bankman_frame_rate_and_area(bankman):
    # Predicted from 10 MHz, passes and weight loads; the cell area is calibrated.
    assert 1 / float(bankman["latency"].sum()) == pytest.approx(237, rel=0.15)
    assert float(bankman["area"]) == pytest.approx(6e-6, rel=0.1)


def test_binareye_is_predicted_but_for_its_array(binareye):
    energy = binareye["energy"].sum("site")
    assert float(energy.sum()) == pytest.approx(14.4e-6, rel=0.1)
    assert 1 / float(binareye["latency"].sum()) == pytest.approx(150, rel=0.1)
    # Predicted: 1.63 mm^2 against 1.4 mm^2 active.
    assert float(binareye["area"]) == pytest.approx(1.4e-6, rel=0.3)


def test_binareye_narrow_network_is_predicted():
    assert float(cost_of(chips.binareye2018(filters=64), 64)["energy"].sum()) == pytest.approx(0.92e-6, rel=0.3)
    with pytest.raises(ValueError, match="`filters` must be one of 128, 256, 64"):
        chips.binareye2018(filters=32)


def test_array_and_system_ratios(bankman, binareye):
    ours, theirs = bankman["energy"].sum("site"), binareye["energy"].sum("site")
    assert float((theirs / ours).sel(component="mac")) == pytest.approx(12.9, rel=0.1)
    assert float(theirs.sum() / ours.sum()) == pytest.approx(4, rel=0.15)


def on_chip(cost):
    """Energy without DRAM, which is not in the published power, J."""
    return float(cost["energy"].sum() - cost["energy"].sel(component="dram").sum())


def envision_power(bits, nonzero):
    """Power at 76 GOPS, W, of a large convolution with the given share of products without a zero operand."""
    layer = workloads.convolution("conv", 64, 64, 128, 256, 3)
    cost = chips.envision2017(bits).cost(workloads.Workload("one", (layer,)).with_activity(nonzero=nonzero))
    seconds = float(cost["latency"].sum())
    assert 2 * layer.macs / seconds == pytest.approx(76e9, rel=0.01)
    return on_chip(cost) / seconds


def test_envision_power_is_calibrated_at_both_ends():
    assert envision_power(16, 1.0) == pytest.approx(0.290, rel=0.1)
    assert envision_power(4, 0.28) == pytest.approx(7.6e-3, rel=0.1)
    assert float(chips.envision2017(4).area) == pytest.approx(1.87e-6, rel=0.1)


def test_envision_on_alexnet_is_predicted():
    cost = chips.envision2017(8).cost(workloads.alexnet())
    assert 1 / float(cost["latency"].sum()) == pytest.approx(47, rel=0.3)
    assert 47 * on_chip(cost) == pytest.approx(44e-3, rel=0.3)


def test_first_envision_is_predicted():
    layer = workloads.convolution("conv", 64, 64, 128, 256, 3)
    cost = chips.envision2016(16).cost(workloads.Workload("one", (layer,)))
    busy = on_chip(cost) / float(cost["latency"].sum())
    assert busy * 102 / 76 == pytest.approx(0.287, rel=0.3)  # at full utilisation


def test_binary_word_length_can_be_changed():
    wider = chips.with_word_length(chips.binareye2018(), 4)
    assert (wider.macros[0].weight_bits, wider.macros[0].input_bits) == (4, 4)
    assert np.isclose(float(wider.weight_memory.capacity), 8 * 261.5 * 1024)
