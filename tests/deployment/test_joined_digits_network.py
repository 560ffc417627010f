"""Networks on arrays whose conversions read several input bits: products, sites, cost and slopes through `deploy`."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import amsim
from amsim.circuits import Adc, BiasDac, RowDac, SerialAccumulation, SwitchedCapacitor

PLAIN = SwitchedCapacitor(
    rows=40, columns=12, weight_bits=3, input_bits=4, weight_coding="auto", adc=Adc(bits=8), bias_dac=BiasDac(bits=3)
)
PARTS = {
    "row DACs": {"row_dac": RowDac(bits=4)},
    "both": {"row_dac": RowDac(bits=2), "serial_accumulation": SerialAccumulation(digits=2)},
}
GENERATOR = np.random.default_rng(0)
PARAMS = {
    "filters": jnp.asarray(GENERATOR.normal(size=(3, 3, 2, 5)), jnp.float32),
    "out": jnp.asarray(GENERATOR.normal(size=(20, 4)), jnp.float32),
}
IMAGES = jnp.asarray(GENERATOR.uniform(size=(3, 6, 6, 2)), jnp.float32)


def network(params, images):
    dimensions = ("NHWC", "HWIO", "NHWC")
    maps = jax.lax.conv_general_dilated(images, params["filters"], (2, 2), "VALID", dimension_numbers=dimensions)
    return jnp.clip(maps, 0, 4).reshape(len(images), -1) @ params["out"]


@eqx.filter_jit
def run(macro, key=None):
    return amsim.deploy(network, PARAMS, macro, key=jax.random.key(0))(IMAGES, key=key)


def test_ideal_arrays_give_what_separate_bits_give():
    separate = run(PLAIN.ideal())
    for parts in PARTS.values():
        joined = run(dataclasses.replace(PLAIN, **parts).ideal())
        np.testing.assert_allclose(joined, separate, rtol=1e-5, atol=1e-5)


def test_a_chip_converts_less_often():
    energy, latency = {}, {}
    for name, parts in ({"separate": {}} | PARTS).items():
        chip = amsim.deploy(network, PARAMS, dataclasses.replace(PLAIN, **parts), key=jax.random.key(0))
        cost = chip.cost(IMAGES)
        energy[name], latency[name] = float(cost["energy"].sel(component="mac").sum()), float(cost["latency"].sum())
    assert energy["row DACs"] < 0.6 * energy["separate"]
    assert energy["row DACs"] < energy["both"] < energy["separate"]
    assert latency["row DACs"] < latency["both"] < latency["separate"]


def test_noise_and_dies_reach_the_network():
    loud = dataclasses.replace(PLAIN, row_dac=RowDac(bits=4, mismatch=0.1, noise=1e-2))
    assert not np.array_equal(run(loud, jax.random.key(1)), run(loud, jax.random.key(2)))
    even = dataclasses.replace(loud, row_dac=RowDac(bits=4, mismatch=0.0, noise=1e-2))
    assert not np.array_equal(run(loud, jax.random.key(1)), run(even, jax.random.key(1)))


def test_slopes_with_respect_to_the_circuit():
    parts = {
        "row_dac": RowDac(bits=2, mismatch=0.05),
        "serial_accumulation": SerialAccumulation(digits=2, capacitor_ratio=1.1),
    }
    macro = dataclasses.replace(PLAIN, **parts)

    def loss(macro):
        chip = amsim.deploy(network, PARAMS, macro, key=jax.random.key(0))
        return jnp.sum(chip(IMAGES) ** 2)

    slopes = eqx.filter_jit(eqx.filter_grad(loss))(macro)
    for slope in (slopes.row_dac.mismatch, slopes.serial_accumulation.capacitor_ratio):
        assert np.isfinite(slope)
        assert slope != 0
