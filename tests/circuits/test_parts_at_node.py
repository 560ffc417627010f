"""Comparator, drivers and converters at other supplies and nodes against the published fits and simulated latches."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import SwitchedCapacitor
from amsim.circuits.adc import Adc, FlashAdc, SarAdc, SingleSlopeAdc
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.comparator_sizes import ComparatorSizes
from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.charge.latch_noise import current_over_transconductance, noise_ratio
from amsim.circuits.contract.products import DenseProduct
from amsim.circuits.contract.work import Work
from amsim.circuits.technology.process import Process

SIXTEEN = Process("16nm")
VOLTS = jnp.asarray(0.8)
PLANAR_AND_FIN = (0.8367, -0.4341, 0.1701), (0.373, -0.1582, 0.04104)


def published_energy(node, supply):
    """Stillmaker and Baas, relative; 28 nm is 2/3 of 32 and 1/3 of 20 nm."""
    table = {
        "16nm": (0.2958, -0.1241, 0.03024),
        "65nm": (3.755, -4.398, 1.975),
        "28nm": tuple(2 / 3 * a + 1 / 3 * b for a, b in zip(*PLANAR_AND_FIN, strict=True)),
    }
    return np.polyval(table[node], supply)


def delay(node, supply):
    constant, threshold, alpha = {"28nm": (2.134, 0.388, 2.0), "16nm": (4.073, 0.21, 1.4)}[node]
    return constant * supply / (supply - threshold) ** alpha


def test_noise_of_simulated_latches():
    """Integration of noise and input by a loop in time, until the nodes have fallen by a threshold."""
    rng = np.random.default_rng(0)
    capacitance, fall, gamma, kt, steps, runs = 2e-15, 0.4, 1.0, 1.380649e-23 * 300, 50, 20000
    found = {}
    for supply in (0.6, 1.0):
        ratio = float(current_over_transconductance(supply))
        current = 10e-6  # drops out
        transconductance, time = current / ratio, capacitance * fall / current
        node = np.zeros(runs)
        for _ in range(steps):
            charge = math.sqrt(4 * kt * gamma * transconductance * time / steps)
            node += charge * rng.standard_normal(runs) / capacitance
        found[supply] = node.std() / (transconductance * time / capacitance)
        wanted = math.sqrt(4 * gamma * kt / capacitance * ratio / fall)
        assert found[supply] == pytest.approx(wanted, rel=0.02)
    assert float(noise_ratio(1.0, 0.6)) == pytest.approx(found[1.0] / found[0.6], rel=0.03)


def test_limits_of_the_transistor():
    slope, threshold = 85e-3 / math.log(10), 0.388
    assert float(current_over_transconductance(0.01)) == pytest.approx(slope, rel=0.01)
    assert float(current_over_transconductance(8.0)) == pytest.approx((4.0 - threshold) / 2, rel=1e-4)
    supplies = np.linspace(0.3, 1.2, 30)
    assert np.all(np.diff([float(noise_ratio(volts, 0.6)) for volts in supplies]) > 0)
    assert float(noise_ratio(0.7, 0.7)) == 1.0
    assert np.isfinite(jax.grad(lambda volts: noise_ratio(volts, 0.6))(0.2))


def test_load_and_supply_of_a_sized_comparator_agree_with_a_moved_one():
    sizes = dict.fromkeys(("pair_width", "pair_length", "latch_width", "latch_length"), 0.3e-6)
    at = {volts: Comparator.sized(ComparatorSizes(**sizes, supply=volts), energy_floor=0.0) for volts in (0.6, 0.9)}
    low = at[0.6]
    assert float(low.noise_at(0.9)) == pytest.approx(float(at[0.9].noise), rel=1e-5)
    assert float(low.energy(0.9)) == pytest.approx(float(at[0.9].energy()), rel=1e-5)
    larger = ComparatorSizes(**(sizes | {"pair_width": 1.2e-6}))
    loads = float(larger.node_capacitance / ComparatorSizes(**sizes).node_capacitance)
    assert float(low.noise / larger.noise) == pytest.approx(math.sqrt(loads), rel=1e-5)


def test_a_comparator_keeps_its_figures_at_its_stated_supply_and_follows_elsewhere():
    given = Comparator(noise=1e-3, supply=0.9, kickback=0.1)
    assert float(given.noise_at(0.9, SIXTEEN)) == float(given.noise)
    assert float(given.energy(0.9)) == float(given.energy())
    assert float(given.noise_at(0.7)) == pytest.approx(1e-3 * float(noise_ratio(0.7, 0.9)), rel=1e-6)
    floor = 5e-15 * published_energy("16nm", 0.7) / published_energy("28nm", 0.7)
    wanted = (floor + 1e-20 / 1e-6) * (0.7 / 0.9) ** 2
    assert float(given.energy(0.7, SIXTEEN)) == pytest.approx(wanted, rel=1e-5)
    slower = delay("16nm", 0.7) / delay("28nm", 0.9)
    logarithm = math.log(0.6 * 0.7 / 0.9 / 2 / 5 / 1e-5)
    assert float(given.decision_time(1e-5, 0.7, SIXTEEN)) == pytest.approx(
        slower * (50e-12 + 20e-12 * logarithm), rel=1e-4
    )
    time = given.decision_time(1e-6 * 2e-3 / 2, 0.7, SIXTEEN)
    assert float(given.metastability(2e-3, time, 0.7, SIXTEEN)) == pytest.approx(1e-6, rel=1e-3)
    assert float(given.area_in(SIXTEEN)) == pytest.approx(20e-12 * 0.19 / (2 / 3 * 0.46 + 1 / 3 * 0.21), rel=1e-6)
    with pytest.raises(ValueError, match=r"`supply` must be from 0.5 to 1.1 V at 28nm"):
        given.decision_time(1e-5, 0.3)
    assert np.isfinite(float(Comparator().decision_time(1e-5, 0.3)))


def test_an_array_and_its_readout_have_one_supply():
    built = SwitchedCapacitor(rows=64, columns=4, supply=0.9, comparator=Comparator(noise=1e-3), drivers=Drivers())
    assert float(built.comparator.supply) == float(built.drivers.supply) == float(built.supply)
    assert float(built.decision_noise_counts) == float(built.comparator.noise * built.counts_per_volt)
    by_setting, by_move = dataclasses.replace(built, supply=0.7), built.at_supply(jnp.asarray(0.7), Process())
    for moved in (by_setting, by_move):
        noise = 1e-3 * float(noise_ratio(0.7, 0.9))
        assert float(moved.decision_noise_counts / moved.counts_per_volt) == pytest.approx(noise, rel=1e-5)
        resistance = 10e3 * delay("28nm", 0.7) / delay("28nm", 0.9)
        assert float(moved.working_drivers.resistance) == pytest.approx(resistance, rel=1e-4)
    own = dataclasses.replace(built, supply=0.7, comparator=Comparator(noise=1e-3, supply=0.7))
    assert float(own.comparator.noise_at(own.supply)) == pytest.approx(1e-3)
    work, supplied = Work(DenseProduct(64, 4), 1, 64, 1.0), dataclasses.replace(built, drivers=None)
    energies = [float(one.cost(work, {}).energy) for one in (supplied, dataclasses.replace(supplied, supply=0.6))]
    assert energies[1] / energies[0] == pytest.approx((0.6 / 0.9) ** 2, rel=1e-5)


def test_a_rail_holds_back_drivers_of_the_arrays_own_supply():
    railed = Drivers(resistance=300e3, supply=0.9, supply_resistance=3e3)
    built = SwitchedCapacitor(rows=64, columns=4, supply=0.9, clock=1e9, drivers=railed)
    moved = dataclasses.replace(built, supply=0.6)
    restated = dataclasses.replace(moved, drivers=dataclasses.replace(railed.at_supply(0.6), supply=0.6))
    high = jnp.asarray([8.0, 32.0, 60.0])
    np.testing.assert_allclose(moved.nominal.rail_gain(high), restated.nominal.rail_gain(high), rtol=1e-6)
    assert float(moved.nominal.rail_gain(high)[1]) < 0.99 * float(built.nominal.rail_gain(high)[1])


def test_drivers_in_another_node():
    """Delay over the capacitance of a gate."""
    moved = Drivers(supply=0.8).at_supply(0.7, SIXTEEN)
    capacitance = published_energy("16nm", 0.7) / published_energy("28nm", 0.7)
    assert float(moved.resistance) == pytest.approx(
        10e3 * delay("16nm", 0.7) / delay("28nm", 0.8) / capacitance, rel=1e-4
    )
    assert float(Drivers().at_supply(0.3).resistance) == pytest.approx(10e3)


@pytest.mark.parametrize("adc", [Adc(), SarAdc(), FlashAdc(), SingleSlopeAdc()], ids=lambda adc: type(adc).__name__)
def test_logic_of_converters_follows_the_node_and_capacitors_do_not(adc):
    logic = published_energy("16nm", 0.8) / published_energy("28nm", 0.8)
    silent = {
        Adc: {"linear_capacitance": 0.0}, SarAdc: {"linear_capacitance": 0.0}, FlashAdc: {"logic_capacitance": 0.0},
        SingleSlopeAdc: {"flip_flop_capacitance": 0.0},
    }[type(adc)]  # fmt: skip
    rest = dataclasses.replace(adc, **silent)
    plain, kept, moved = (
        float(one.energy(VOLTS, 1e-14, p)) for one, p in ((adc, None), (rest, SIXTEEN), (adc, SIXTEEN))
    )
    assert kept == pytest.approx(float(rest.energy(VOLTS, 1e-14)), rel=1e-6)
    assert moved - kept == pytest.approx((plain - kept) * logic, rel=1e-4)
    capacitors = 256e-15 / 2e-3 if isinstance(adc, SarAdc) else 0.0
    area = capacitors + (float(adc.area) - capacitors) * 0.19 / (2 / 3 * 0.46 + 1 / 3 * 0.21)
    assert float(adc.area_in(SIXTEEN)) == pytest.approx(area, rel=1e-5)
    assert float(adc.area_in(Process())) == float(adc.area)
    decisions = {Adc: 8, SarAdc: 8, FlashAdc: 1}.get(type(adc))
    twice = 2 * 256e-9 if decisions is None else decisions * (0.00653 * 128 + 2 * 0.64) * 1e-9
    assert float(adc.conversion_time(128.0, 2.0)) == pytest.approx(twice, rel=1e-4)


def test_an_array_beyond_the_fits_is_refused():
    array = SwitchedCapacitor(rows=64, columns=4, supply=1.2, process=Process("16nm"))
    with pytest.raises(ValueError, match=r"`supply` must be finite and from 0.5 to 1 V at 16nm"):
        array.cost(Work(DenseProduct(64, 4), 1, 64, 1.0), {})
