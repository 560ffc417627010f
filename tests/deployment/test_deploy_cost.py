"""What a chip costs: by hand, conserved, and independent of how many inferences are counted together."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import amsim
from amsim import circuits
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import COMPONENTS

LAYOUT = ("NHWC", "HWIO", "NHWC")
ARRAY = circuits.SwitchedCapacitor(rows=64, columns=8)
MACROS = [
    ARRAY,
    circuits.SwitchedCapacitor(rows=64, columns=8, weight_bits=3, input_bits=2),
    circuits.DigitalBinary(rows=64, columns=8),
    circuits.MultiPrecision(),
]
IDS = ["capacitors", "capacitors, multi-bit", "DigitalBinary", "MultiPrecision"]
Params = dict[str, dict[str, jax.Array]]


def signs(values: jax.Array) -> jax.Array:
    return jnp.where(values >= 0, 1.0, -1.0)


def network(params: Params, images: jax.Array) -> jax.Array:
    sums = jax.lax.conv_general_dilated(images, params["conv"]["w"], (2, 2), "SAME", dimension_numbers=LAYOUT)
    hidden = jax.nn.relu(sums).reshape(len(images), -1)
    return hidden @ params["dense"]["w"]


def new_params() -> Params:
    keys = jax.random.split(jax.random.key(0), 2)
    return {
        "conv": {"w": signs(jax.random.normal(keys[0], (3, 3, 4, 6)))},
        "dense": {"w": signs(jax.random.normal(keys[1], (54, 10)))},
    }


IMAGES = signs(jax.random.normal(jax.random.key(1), (4, 6, 6, 4)))


def dense(params: Params, inputs: jax.Array) -> jax.Array:
    return inputs @ params["dense"]["w"]


def dense_cost(hardware: Any, inputs: jax.Array, rows: int = 54, columns: int = 10) -> xr.Dataset:
    params = {"dense": {"w": jnp.ones((rows, columns))}}
    return amsim.deploy(dense, params, hardware).cost(inputs)


@pytest.mark.parametrize("macro", MACROS, ids=IDS)
def test_the_dataset_is_labelled_and_of_one_inference(macro: circuits.Macro) -> None:
    chip = amsim.deploy(network, new_params(), macro)
    cost = chip.cost(IMAGES)
    assert cost["energy"].dims == ("site", "component")
    assert cost["latency"].dims == cost["macs"].dims == ("site",)
    assert cost["area"].dims == ()
    assert list(cost["site"].values) == ["conv", "dense"]
    assert list(cost["component"].values) == list(COMPONENTS)
    for name in [*cost.data_vars, *cost.coords]:
        assert cost[name].attrs["long_name"]
        assert cost[name].attrs["units"]
    assert {n: cost[n].attrs["units"] for n in ("energy", "latency", "area")} == {
        "energy": "J",
        "latency": "s",
        "area": "m2",
    }
    assert cost.attrs["amsim_version"]
    assert type(macro).__name__ in cost.attrs["accelerator"]
    np.testing.assert_allclose(float(cost["energy"].sum()), float(chip.energy(IMAGES)), rtol=1e-6)
    assert bool((cost["energy"] >= 0).all())
    assert bool((cost["energy"].sel(component="mac") > 0).all())
    assert bool((cost["latency"] > 0).all())
    assert "clipped_inputs" in cost
    # Positions times kernel rows times filters; 3 x 3 positions of stride 2.
    assert list(cost["macs"].values) == [3 * 3 * (3 * 3 * 4) * 6, 54 * 10]
    alone = [chip.cost(IMAGES[index : index + 1]) for index in range(4)]
    for name in ("energy", "latency", "area", "macs"):
        np.testing.assert_allclose(cost[name], sum(one[name] for one in alone) / 4, rtol=2e-5, err_msg=name)
    repeated = chip.cost(np.repeat(np.asarray(IMAGES[:1]), 4, axis=0))
    np.testing.assert_allclose(repeated["energy"], alone[0]["energy"], rtol=2e-5)


def test_macs_of_every_kind_of_site() -> None:
    params = {
        "grouped": jnp.ones((3, 3, 2, 6)),
        "einsum": jnp.ones((4, 3, 5)),
        "transposed": jnp.ones((2, 2, 4, 3)),
        "left": jnp.ones((5, 6)),
    }

    def function(params: Any, images: jax.Array) -> Any:
        return (
            jax.lax.conv_general_dilated(
                images, params["grouped"], (1, 1), "VALID", dimension_numbers=LAYOUT, feature_group_count=2
            ),
            jnp.einsum("bhwc,cdk->bhwdk", images, params["einsum"]),
            jax.lax.conv_transpose(images, params["transposed"], (2, 2), "VALID", dimension_numbers=LAYOUT),
            jnp.einsum("kh,bhwc->bwck", params["left"], images),
        )

    cost = amsim.deploy(function, params, circuits.DigitalBinary()).cost(IMAGES)
    macs = {str(site): int(cost["macs"].sel(site=site)) for site in cost["site"].values}
    assert macs == {
        "grouped": 4 * 4 * (3 * 3 * 2) * 6,
        "einsum": 6 * 6 * 4 * 15,
        "transposed": 12 * 12 * (2 * 2 * 4) * 3,
        "left": 6 * 4 * 6 * 5,
    }


def test_capacitor_array_by_hand() -> None:
    macro = ARRAY
    energy = dense_cost(macro, jnp.ones((2, 54)))["energy"].squeeze("site")
    supply, total = 0.6, float(macro.total_units)
    # All 54 cells go high, on each of 10 columns; then one conversion.
    switched = 54 * (1 - 54 / total) * 1e-15
    conversion = (100e-15 * 8 + 1e-18 * 4**8) * supply**2 + 8 * (5e-15 + 1e-20 / 0.4e-3**2)
    by_hand = 10 * (switched * supply**2 + 54 * 2.1e-15 * supply**2 + conversion)
    np.testing.assert_allclose(energy.sel(component="mac"), by_hand, rtol=1e-5)
    memory = Accelerator(macro).weight_memory
    np.testing.assert_allclose(energy.sel(component="weight_memory"), memory.energy(jnp.asarray(540.0)), rtol=1e-6)
    # 10 filters take 2 passes over 8 columns: inputs are fetched twice, outputs written once.
    buffer = Accelerator(macro).activation_memory
    moved = buffer.energy(jnp.asarray(2 * 54.0)) + buffer.write_energy(jnp.asarray(10.0))
    np.testing.assert_allclose(energy.sel(component="activation_memory"), moved, rtol=1e-6)
    cycles = 2 * 2 + 540 / 256
    cost = dense_cost(macro, jnp.ones((2, 54)))
    np.testing.assert_allclose(cost["latency"], [cycles / 10e6], rtol=1e-6)
    np.testing.assert_allclose(energy.sel(component="control"), cycles * 70e-12 * supply**2, rtol=1e-5)
    leakage = memory.leakage_power() + buffer.leakage_power() + macro.leakage_power()
    np.testing.assert_allclose(energy.sel(component="leakage"), cycles / 10e6 * leakage, rtol=1e-5)
    np.testing.assert_allclose(cost["area"], macro.area + memory.area() + buffer.area(), rtol=1e-6)


def test_two_equal_sites_cost_twice_one() -> None:
    weight = signs(jax.random.normal(jax.random.key(3), (54, 10)))
    inputs = IMAGES.reshape(4, -1)[:, :54]
    one = amsim.deploy(lambda p, x: x @ p["a"], {"a": weight}, ARRAY).cost(inputs)
    two = amsim.deploy(lambda p, x: (x @ p["a"], x @ p["b"]), {"a": weight, "b": weight}, ARRAY).cost(inputs)
    np.testing.assert_allclose(two["energy"].sum("site"), 2 * one["energy"].sum("site"), rtol=1e-6)
    np.testing.assert_allclose(two["latency"].sum(), 2 * one["latency"].sum(), rtol=1e-6)
    np.testing.assert_allclose(two["area"], one["area"])


def test_weights_beyond_the_memory_come_from_dram_once() -> None:
    def dram(capacity: float, function: Any, params: Any) -> float:
        # Too few columns to keep the weights in the cells, which would need no memory.
        hardware = Accelerator(circuits.DigitalBinary(columns=8), weight_memory=circuits.Sram(capacity=capacity))
        cost = amsim.deploy(function, params, hardware).cost(jnp.ones((2, 20)))
        return float(cost["energy"].sel(component="dram").sum())

    pair = {"a": jnp.ones((20, 20)), "b": jnp.ones((20, 10))}
    each = float(circuits.Dram().access_energy)

    def two(params: Any, inputs: jax.Array) -> jax.Array:
        return inputs @ params["a"] @ params["b"]

    assert dram(600, two, pair) == 0
    np.testing.assert_allclose(dram(500, two, pair), 100 * each, rtol=1e-5)
    np.testing.assert_allclose(dram(1, two, pair), 599 * each, rtol=1e-5)
    # A weight that two sites use is stored once.
    np.testing.assert_allclose(dram(300, lambda p, x: x @ p["a"] @ p["a"], pair), 100 * each, rtol=1e-5)


def test_activations_beyond_the_memory_go_to_dram_and_back() -> None:
    hardware = Accelerator(circuits.DigitalBinary(), activation_memory=circuits.Sram(capacity=61))
    energy = dense_cost(hardware, jnp.ones((2, 54)))["energy"].sel(component="dram")
    # 54 inputs and 10 outputs at the same time are 3 bits too many.
    np.testing.assert_allclose(energy, [2 * 3 * float(circuits.Dram().access_energy)], rtol=1e-5)


@pytest.mark.parametrize("macro", [MACROS[0], MACROS[2]], ids=["capacitors", "DigitalBinary"])
def test_energy_rises_with_the_supply(macro: Any) -> None:
    totals = []
    for supply in (0.6, 0.7, 0.9):
        cost = dense_cost(dataclasses.replace(macro, supply=supply), IMAGES.reshape(4, -1)[:, :54])
        totals.append(cost["energy"].sel(component=["mac", "control"]).sum("site"))
    assert bool((totals[0] < totals[1]).all())
    assert bool((totals[1] < totals[2]).all())


def test_energy_rises_with_precision_and_falls_with_zeros() -> None:
    inputs = jnp.linspace(-1, 1, 54)[None]
    mac = [
        float(dense_cost(circuits.MultiPrecision(weight_bits=bits, input_bits=bits), inputs)["energy"][0, 0])
        for bits in (2, 4, 8, 16)
    ]
    assert mac == sorted(mac)
    half = jnp.where(jnp.arange(54) % 2 == 0, 1.0, 0.0)[None]
    full, sparse = (dense_cost(circuits.MultiPrecision(), x)["energy"][0, 0] for x in (jnp.ones((1, 54)), half))
    np.testing.assert_allclose(sparse, full / 2, rtol=1e-6)


def test_a_decision_is_cheaper_than_a_conversion() -> None:
    params = {"dense": {"w": jnp.ones((53, 10))}}
    inputs = jnp.ones((1, 53))
    read = amsim.deploy(dense, params, ARRAY).cost(inputs)
    decided = amsim.deploy(lambda p, x: signs(dense(p, x)), params, ARRAY).cost(inputs)
    assert float(decided["energy"][0, 0]) < float(read["energy"][0, 0])
    assert "clipped_adc" in read
    assert "clipped_thresholds" not in read
    assert "clipped_adc" not in decided
    assert float(decided["clipped_thresholds"][0]) == 0


def test_sites_on_different_macros_and_what_only_one_of_them_reports() -> None:
    hardware = {"conv": circuits.DigitalBinary(), "dense": circuits.MultiPrecision()}
    cost = amsim.deploy(network, new_params(), hardware).cost(IMAGES)
    saturated = cost["clipped_accumulator"]
    assert np.isnan(saturated.sel(site="conv"))
    assert float(saturated.sel(site="dense")) == 0
    both = amsim.deploy(network, new_params(), circuits.DigitalBinary()).cost(IMAGES)
    for component in ("mac", "control"):
        got, want = (one["energy"].sel(site="conv", component=component) for one in (cost, both))
        np.testing.assert_allclose(got, want, rtol=1e-6)
    areas = [float(macro.area) for macro in Accelerator(hardware).macros]
    np.testing.assert_allclose(float(cost["area"] - both["area"]), areas[1], rtol=1e-3)


def test_what_is_no_circuit_costs_nothing() -> None:
    exact = amsim.deploy(network, new_params(), circuits.Exact()).cost(IMAGES)
    assert float(exact["energy"].sum()) == 0
    assert float(exact["latency"].sum()) == 0
    integers = amsim.deploy(lambda p, x: x.astype(int) @ p, jnp.ones((4, 3), int), ARRAY)
    assert integers.cost(IMAGES)["energy"].sizes == {"site": 0, "component": 8}
    assert float(integers.energy(IMAGES)) == 0


def test_cost_sees_the_data() -> None:
    chip = amsim.deploy(dense, {"dense": {"w": jnp.ones((54, 10))}}, ARRAY)
    alike, mixed = jnp.ones((1, 54)), signs(jnp.arange(54.0)[None] % 2 - 0.5)
    assert float(chip.energy(alike)) != float(chip.energy(mixed))
    jitted = eqx.filter_jit(lambda chip, inputs: chip.energy(inputs))
    np.testing.assert_allclose(jitted(chip, mixed), chip.energy(mixed), rtol=1e-6)


@pytest.mark.parametrize("inputs", [(), (jnp.ones(()),), (jnp.ones((0, 54)),)], ids=["none", "scalar", "empty"])
def test_cost_needs_inferences_to_count(inputs: tuple[jax.Array, ...]) -> None:
    chip = amsim.deploy(
        lambda p, *x: jnp.ones((2, 3)) @ p * jnp.sum(jnp.asarray(x)), jnp.ones((3, 3)), circuits.Exact()
    )
    with pytest.raises(ValueError, match=r"leading axis|no product"):
        chip.cost(*inputs)
