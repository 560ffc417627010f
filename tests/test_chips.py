"""Presets against the published figures; each says whether the figure was calibrated on or is predicted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import chips, deploy
from amsim.circuits import Work
from amsim.circuits.products import DenseProduct
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
    assert float(cost_of(chips.binareye2018(), 64)["energy"].sum()) == pytest.approx(0.92e-6, rel=0.3)


def test_array_and_system_ratios(bankman, binareye):
    ours, theirs = bankman["energy"].sum("site"), binareye["energy"].sum("site")
    assert float((theirs / ours).sel(component="mac")) == pytest.approx(12.9, rel=0.1)
    assert float(theirs.sum() / ours.sum()) == pytest.approx(4, rel=0.15)


def envision_power(bits, zeros):
    """Power at 76 GOPS, W, of a long product with the given share of zero operands."""
    accelerator = chips.envision2017(bits)
    product = DenseProduct(1152, 256)
    work = Work(product, positions=4096, input_words=128 * 4096, window_fetches=3.0)
    cost = accelerator.macros[0].cost(work, {"nonzero": jnp.asarray(1.0 - zeros)})
    energies, seconds = accelerator.cost([(0, cost)])
    # The weights of the published layers stream through; DRAM is not in the published power.
    on_chip = float(jnp.sum(energies)) - float(energies[0, 3])
    assert 2 * work.macs / float(seconds[0]) == pytest.approx(76e9, rel=0.01)
    return on_chip / float(seconds[0])


def test_envision_power():
    # 16 bit is calibrated; dense 4 bit is predicted (18-25 mW recalled, facts 3).
    assert envision_power(16, 0.0) == pytest.approx(0.290, rel=0.1)
    assert 0.015 < envision_power(4, 0.0) < 0.033


@pytest.mark.xfail(reason="first-order control does not skip with zeros: about 22 mW against the published 7.6 mW")
def test_envision_sparse_power():
    assert envision_power(4, 0.6) == pytest.approx(7.6e-3, rel=0.3)


def test_binary_word_length_can_be_changed():
    wider = chips.with_word_length(chips.binareye2018(), 4)
    assert (wider.macros[0].weight_bits, wider.macros[0].input_bits) == (4, 4)
    assert np.isclose(float(wider.weight_memory.capacity), 8 * 261.5 * 1024)
