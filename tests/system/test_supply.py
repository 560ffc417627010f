"""Minimum-energy supply against a loop over accelerators, closed forms and a minimiser of SciPy."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from amsim import chips, workloads
from amsim.circuits import DigitalBinary, SwitchedCapacitor
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.exact import Exact
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.sram import Sram
from amsim.system import supply
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.hardware import PowerManagement
from amsim.system.organisation import SystolicArray
from amsim.workloads import Workload, dense

NETWORK = Workload("two", (dense("one", 256, 64, 16), dense("two", 64, 10)))


def hot(accelerator, kelvin=350.0, **power):
    return dataclasses.replace(accelerator, power=PowerManagement(temperature=kelvin, **power))


def small(**settings):
    """A digital array whose leakage matters."""
    memory = Sram(capacity=64 * 1024.0)
    array = DigitalBinary(rows=256, columns=64, supply=0.8, clock=50e6)
    return hot(Accelerator(array, weight_memory=memory, activation_memory=memory, dram=None), **settings)


def test_vmapped_supplies_equal_a_loop():
    design = supply.scaled_to_supply(small())
    found = supply.minimum_energy_supply(design, NETWORK, low=0.55, high=1.0, points=7)
    np.testing.assert_allclose(found["supply"].values, np.linspace(0.55, 1.0, 7), rtol=1e-6)
    for volts in found["supply"].values:
        cost, one = design(volts).cost(NETWORK), found.sel(supply=volts)
        np.testing.assert_allclose(one["energy"].values, cost["energy"].sum("site").values, rtol=1e-5, atol=1e-18)
        assert float(one["latency"]) == pytest.approx(float(cost["latency"].sum()), rel=1e-5)
        assert float(one["rate"]) == pytest.approx(1 / float(cost["latency"].sum()), rel=1e-5)
    assert found["energy"].dims == ("supply", "component")
    assert all({"units", "long_name"} <= set(one.attrs) for one in found.variables.values())


def test_the_minimum_is_that_of_a_brute_force_search():
    design = supply.scaled_to_supply(small())
    found = supply.minimum_energy_supply(design, NETWORK).attrs
    assert found["minimum_kind"] == "inside"
    fine = np.linspace(0.5, 1.1, 61)
    totals = [float(design(volts).cost(NETWORK)["energy"].sum()) for volts in fine[5:30]]
    assert abs(found["minimum_supply"] - fine[5:30][int(np.argmin(totals))]) < 0.011
    assert found["minimum_energy"] <= min(totals) * (1 + 1e-6)
    assert found["minimum_energy"] > 0.999 * min(totals)


@pytest.mark.parametrize("points", [5, 61])
def test_the_minimum_of_capacitance_and_leakage_by_scipy(points):
    """`E = C V^2 + I V t(V) 10^(eta (V - 0.8) / S)` with one event a cycle, fitted from two costs by hand."""
    with jax.enable_x64(True):
        # Nothing but the array's gates switches or leaks.
        nothing = Sram(capacity=64 * 1024.0, access_energy=0.0, leakage=0.0)
        array = DigitalBinary(rows=256, columns=64, supply=0.8, clock=50e6)
        idle = SystolicArray(control_capacitance=0.0)
        accelerator = Accelerator(
            array, weight_memory=nothing, activation_memory=nothing, organisation=idle, dram=None,
            power=PowerManagement(temperature=350.0),
        )  # fmt: skip
        cost = accelerator.cost(NETWORK)["energy"].sum("site")
        dynamic, leaking = float(cost.sel(component="mac")), float(cost.sel(component="leakage"))
        assert float(cost.sum()) == pytest.approx(dynamic + leaking)
        threshold, alpha = 0.388, 2.0  # 28 nm, the package's table

        def energy(volts):
            delay = volts / (volts - threshold) ** alpha / (0.8 / (0.8 - threshold) ** alpha)
            lowering = 10 ** (0.1 * (volts - 0.8) / 85e-3)
            return dynamic * (volts / 0.8) ** 2 + leaking * delay * lowering * volts / 0.8

        best = optimize.minimize_scalar(energy, bounds=(0.5, 1.1), method="bounded", options={"xatol": 1e-10})
        assert 0.52 < best.x < 1.0, "a minimum inside makes the test worth something"
        found = supply.minimum_energy_supply(supply.scaled_to_supply(accelerator), NETWORK, points=points)
        np.testing.assert_allclose(found["energy"].sum("component").values, energy(found["supply"].values), rtol=1e-9)
        assert found.attrs["minimum_supply"] == pytest.approx(best.x, abs=1e-6)
        assert found.attrs["minimum_energy"] == pytest.approx(best.fun, rel=1e-9)


def test_everything_moves_with_the_supply():
    programmable = chips.envision2017(4)
    at = supply.scaled_to_supply(programmable)(0.7)
    delay = Process().delay_ratio
    for before, after in zip(programmable.macros[0].modes, at.macros[0].modes, strict=True):
        assert float(after.supply) == pytest.approx(0.7)
        assert float(after.clock) == pytest.approx(float(before.clock * delay(before.supply) / delay(0.7)))
    memories = (at.weight_memory, at.activation_memory, at.organisation.instruction_memory, at.organisation.registers)
    assert all(float(part.supply) == pytest.approx(0.7) for part in memories)
    network = workloads.quantised_image_network()
    before, after = (one.cost(network)["energy"].sum("site").sel(component="mac") for one in (programmable, at))
    # The mode of 4 bit ran at 0.65 V.
    assert float(after / before) == pytest.approx((0.7 / 0.65) ** 2, rel=1e-5)


def test_an_analog_array_keeps_its_energies_in_the_square_of_the_supply():
    mixed = chips.bankman2018()
    at = supply.scaled_to_supply(mixed)(0.9)
    array, moved = mixed.macros[1], at.macros[1]
    assert isinstance(array, SwitchedCapacitor)
    assert isinstance(moved.comparator, Comparator)
    assert float(moved.comparator.noise) == float(array.comparator.noise), "stated at 0.6 V as before"
    noise = [float(one.decision_noise_counts / one.counts_per_volt) for one in (array, moved)]
    assert noise[1] / noise[0] == pytest.approx(1.228, rel=1e-3)
    network = workloads.binary_image_network(64)
    before, after = (one.cost(network)["energy"].sum("site") for one in (mixed, at))
    assert float(after.sel(component="mac") / before.sel(component="mac")) == pytest.approx(1.5**2, rel=1e-5)
    assert float(after.sel(component="control") / before.sel(component="control")) == pytest.approx(1.5**2, rel=1e-5)
    memory = float(after.sel(component="weight_memory") / before.sel(component="weight_memory"))
    assert memory == pytest.approx((0.9 / 0.8) ** 2, rel=1e-5)


def test_the_present_supply_changes_nothing():
    accelerator = small()
    same = supply.scaled_to_supply(accelerator)(0.8)
    np.testing.assert_allclose(same.cost(NETWORK)["energy"], accelerator.cost(NETWORK)["energy"], rtol=1e-6)
    assert float(same.macros[0].clock) == pytest.approx(50e6)


def test_edges_of_the_range_are_named():
    cold = supply.minimum_energy_supply(supply.scaled_to_supply(small(kelvin=250.0)), NETWORK, points=9).attrs
    assert (cold["minimum_supply"], cold["minimum_kind"]) == (0.5, "lowest supply")
    design = supply.scaled_to_supply(small(kelvin=399.0))
    edge = supply.minimum_energy_supply(design, NETWORK, high=0.6, points=9).attrs
    assert (edge["minimum_supply"], edge["minimum_kind"]) == (pytest.approx(0.6), "highest supply")


def test_a_rate_rules_slow_supplies_out():
    free = supply.minimum_energy_supply(supply.scaled_to_supply(small(kelvin=250.0)), NETWORK, points=25)
    rate = float(free["rate"].interp(supply=0.71))
    accelerator = small(kelvin=250.0, rate=rate)
    found = supply.minimum_energy_supply(supply.scaled_to_supply(accelerator), NETWORK, points=25)
    assert found.attrs["minimum_kind"] == "slowest supply for the rate"
    assert found.attrs["minimum_latency"] * rate == pytest.approx(1.0, rel=1e-3)
    assert found.attrs["minimum_supply"] == pytest.approx(0.71, abs=2e-3)
    np.testing.assert_array_equal(found["keeps_rate"].values, found["rate"].values >= rate)
    # What is fast enough waits and leaks until the next inference, as in the cost itself.
    design = supply.scaled_to_supply(accelerator)
    cost = design(1.0).cost(NETWORK)["energy"].sum("site")
    np.testing.assert_allclose(found["energy"].interp(supply=1.0), cost, rtol=1e-3, atol=1e-18)


def test_other_designs_and_other_nodes():
    def lower_memories(volts):
        memory = Sram(capacity=64 * 1024.0, supply=jnp.maximum(volts, 0.7))
        return dataclasses.replace(supply.scaled_to_supply(small())(volts), weight_memory=memory)

    found = supply.minimum_energy_supply(lower_memories, NETWORK, points=5)
    plain = supply.minimum_energy_supply(supply.scaled_to_supply(small()), NETWORK, points=5)
    memory = [float(one["energy"].sel(component="weight_memory").isel(supply=0)) for one in (found, plain)]
    assert memory[0] / memory[1] == pytest.approx((0.7 / 0.5) ** 2, rel=1e-5)
    slow = supply.scaled_to_supply(small(), Process("65nm"))(1.2).macros[0].clock
    assert float(slow) == pytest.approx(
        50e6 * float(Process("65nm").delay_ratio(0.8) / Process("65nm").delay_ratio(1.2))
    )


def test_energy_is_differentiable_in_the_supply():
    with jax.enable_x64(True):
        design = supply.scaled_to_supply(small())

        def total(volts):
            return jnp.sum(system_cost(design(volts), NETWORK.layers).energy)

        slope = float(jax.grad(total)(0.8))
        assert slope == pytest.approx(float(total(0.8 + 1e-5) - total(0.8 - 1e-5)) / 2e-5, rel=1e-6)


def scaled(*arguments, **settings):
    return inspect.unwrap(supply.scaled_to_supply)(*arguments, **settings)


def minimum(design, workload=NETWORK, **settings):
    return inspect.unwrap(supply.minimum_energy_supply)(design, workload, **settings)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaled(small())(0.45), "`supply` must be finite and from 0.5 to 1.1 V at 28nm .* but is 0.45"),
        (lambda: scaled(Accelerator(DigitalBinary(supply=0.4))), "`supply` must be .* but is 0.4"),
        (
            lambda: scaled(Accelerator(Exact())),
            "Exact has no `supply` and `clock`, so it cannot",
        ),
        (lambda: scaled(DigitalBinary()), "`accelerator` must be of type Accelerator"),
        (lambda: minimum(scaled(small()), low=0.45), "from 0.5 to 1.1 V"),
        (lambda: minimum(scaled(small()), low=0.9, high=0.6), "`low` must be above 0 and below `high` = 0.6"),
        (lambda: minimum(scaled(small()), points=2), "`points` must be an integer of at least 3, but is 2"),
        (lambda: minimum(lambda volts: volts), "`at_supply` must be of type Accelerator"),
        (lambda: minimum(scaled(small()), [dense("a", 4, 4)]), "`workload` must be of type Workload"),
        (lambda: minimum(scaled(small(rate=1e9))), "`rate` must be at most"),
        (lambda: minimum(scaled(small()), Workload("large", (dense("a", 4096, 4096),))), "does not fit"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
