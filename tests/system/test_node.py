"""Whole systems moved to another node: identities, published fits, and what must not change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import chips, workloads
from amsim.circuits import DigitalBinary, Exact, Sram, SwitchedCapacitor
from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.technology import Technology
from amsim.system.cost import system_cost
from amsim.system.settings import continuous_settings, setting, with_settings
from amsim.workloads import Workload, convolution, dense

NETWORK = Workload("two", (convolution("conv", 64, 64, 8, 8, 2), dense("dense", 256, 10)))
AREA = {"65nm": 1.5, "28nm": 2 / 3 * 0.46 + 1 / 3 * 0.21, "16nm": 0.19}
PRESETS = {
    "bankman2018": "28nm", "binareye2018": "28nm", "envision2017": "28nm", "envision2016": "40nm", "valavi2019": "65nm",
    "jia2020": "65nm", "jia2021": "16nm", "c3sram2020": "65nm", "laika2018": "65nm", "vocell2019": "65nm",
    "asilomar2017": "40nm",
}  # fmt: skip


def energy(hardware):
    return amsim.Accelerator.of(hardware).cost(NETWORK)["energy"].sum("site").values


def published_energy(node, supply):
    table = {"16nm": (0.2958, -0.1241, 0.03024), "32nm": (0.8367, -0.4341, 0.1701), "20nm": (0.373, -0.1582, 0.04104)}
    if node == "28nm":
        return 2 / 3 * published_energy("32nm", supply) + 1 / 3 * published_energy("20nm", supply)
    return np.polyval(table[node], supply)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("name", "node"), PRESETS.items())
def test_a_preset_at_its_own_node_is_the_preset(name, node):
    chip = getattr(chips, name)()
    assert bool(eqx.tree_equal(amsim.at_node(chip, node), chip))
    processes = jax.tree.leaves(chip, is_leaf=lambda part: isinstance(part, Process))
    assert {part.node for part in processes if isinstance(part, Process)} == {node}


@pytest.mark.parametrize(("name", "other"), [("bankman2018", "16nm"), ("jia2020", "16nm"), ("envision2017", "40nm")])
def test_a_move_repeated_changes_nothing_and_one_back_restores_every_cost(name, other):
    chip = getattr(chips, name)()
    moved = amsim.at_node(chip, other)
    assert bool(eqx.tree_equal(amsim.at_node(moved, other), moved))
    back = amsim.at_node(moved, PRESETS[name])
    np.testing.assert_allclose(energy(back), energy(chip), rtol=2e-6, atol=1e-20)
    np.testing.assert_allclose(back.component_area, chip.component_area, rtol=2e-6)
    for one, two in zip(chip.macros, back.macros, strict=True):
        clocks = [getattr(macro, "clock", None) or macro.modes[0].clock for macro in (one, two)]
        assert float(clocks[0]) == pytest.approx(float(clocks[1]), rel=1e-6)
    assert np.all(np.abs(energy(moved) / np.where(energy(chip) > 0, energy(chip), 1) - 1)[[0, 2, 3, 6]] > 0.1)


def test_at_one_supply_too():
    chip = chips.bankman2018()
    moved = amsim.at_node(chip, "16nm", supply=0.7)
    assert bool(eqx.tree_equal(amsim.at_node(moved, "16nm", supply=0.7), moved))
    assert {float(part.supply) for part in (*moved.macros, moved.weight_memory, moved.activation_memory)} == {
        float(jnp.asarray(0.7))
    }
    delay = [Process("28nm").delay_ratio(0.6), Process("16nm").delay_ratio(0.7)]
    assert float(moved.macros[1].clock) == pytest.approx(10e6 * float(delay[0] / delay[1]), rel=1e-5)
    far = amsim.at_node(chips.jia2020(1.2), "16nm", supply=0.8)
    assert float(far.macros[0].supply) == pytest.approx(0.8), "the old supply need not lie in the new fits"


def test_the_area_of_an_array_by_hand():
    """Jia'20 in 16 nm: cells, comparators and search logic by the node, capacitors of the converters not."""
    moved, chip = amsim.at_node(chips.jia2020(), "16nm"), chips.jia2020()
    ratio, converter, capacitors = AREA["16nm"] / AREA["65nm"], 0.497e-6 / 256, 256e-15 / 2e-3
    cells = 2.91e-6 * ratio
    search = 256 * ((converter - capacitors) * ratio + capacitors)
    decide = 256 * 20e-12 * AREA["16nm"] / AREA["28nm"]
    assert float(moved.component_area[0]) == pytest.approx(cells + search + decide, rel=3e-3)
    assert float(chip.component_area[0]) == pytest.approx(3.407e-6, rel=0.02)


def test_the_energy_of_gates_by_hand():
    array = DigitalBinary(rows=256, columns=64, supply=0.8)
    sixteen = amsim.at_node(array, "16nm")
    wanted = published_energy("16nm", 0.8) / published_energy("28nm", 0.8)
    assert energy(sixteen)[0] / energy(array)[0] == pytest.approx(wanted, rel=1e-5)
    assert float(sixteen.area / array.area) == pytest.approx(AREA["16nm"] / AREA["28nm"], rel=1e-6)
    system = amsim.Accelerator(array)
    control = energy(amsim.at_node(system, "16nm"))[6] / energy(system)[6]
    assert control == pytest.approx(wanted, rel=1e-5)


def test_a_node_set_by_its_path_has_its_effect():
    for hardware, path in (
        (DigitalBinary(rows=256, supply=0.8), "macro.technology.process.node"),
        (SwitchedCapacitor(rows=64, columns=8, supply=0.8), "macro.process.node"),
        (chips.envision2017(16), "macro.process.node"),
    ):
        moved = with_settings(hardware, {path: "16nm"})
        before, after = (amsim.Accelerator.of(one) for one in (hardware, moved))
        assert float(after.component_area[0]) < 0.9 * float(before.component_area[0])
    array = with_settings(SwitchedCapacitor(rows=64, columns=8, supply=0.8), {"macro.process.node": "16nm"})
    assert energy(array)[0] < energy(SwitchedCapacitor(rows=64, columns=8, supply=0.8))[0]


def test_hardware_keeps_its_type_and_its_parts_move_together():
    array = SwitchedCapacitor(rows=64, columns=8, drivers=Drivers())
    rules = {"dense": DigitalBinary(), ".*": array}
    moved = amsim.at_node(rules, 16e-9)
    assert list(moved) == list(rules)
    assert type(amsim.at_node(array, "16nm")) is SwitchedCapacitor
    system = amsim.at_node(amsim.Accelerator(rules), "16nm")
    assert isinstance(system, amsim.Accelerator)
    leaves = jax.tree.leaves(system, is_leaf=lambda part: isinstance(part, Process))
    assert {part.node for part in leaves if isinstance(part, Process)} == {"16nm"}
    assert system.weight_memory.process is not None
    # A memory without a process costs at its supply what it did, with that of 28 nm.
    plain = Sram(capacity=65536.0, supply=0.7)
    stated = plain.stated_by_process()
    for cost in (lambda one: one.energy(jnp.ones(())), lambda one: one.leakage_power(), lambda one: one.area()):
        assert float(cost(stated)) == pytest.approx(float(cost(plain)), rel=1e-6)


def test_what_does_not_scale_stays():
    array = SwitchedCapacitor(rows=64, columns=8, drivers=Drivers(), adc=amsim.circuits.SarAdc())
    for hardware in (array, chips.envision2017(), amsim.Accelerator(array)):
        listed, moved = amsim.what_does_not_scale(hardware), amsim.at_node(hardware, "40nm")
        assert all(len(reason) > 10 for reason in listed.values())
        for path in listed:
            if not (path.endswith("memory.leakage") and setting(hardware, path.replace("leakage", "process")) is None):
                assert setting(moved, path) == setting(hardware, path), path
    listed = amsim.what_does_not_scale(amsim.Accelerator(array))
    assert {
        "macro.unit_capacitance",
        "macro.comparator.noise",
        "macro.adc.capacitor_density",
        "dram.access_energy",
    } <= set(listed)
    assert "macro.comparator.kickback" not in listed, "a part that is off"


def test_gradients_stay_finite():
    moved = amsim.at_node(
        amsim.Accelerator(SwitchedCapacitor(rows=64, columns=8, drivers=Drivers(), supply=0.8)), "16nm"
    )
    numbers = {path: value for path, value in continuous_settings(moved).items() if value.shape == ()}

    @jax.jit
    @jax.grad
    def slopes(values):
        one = amsim.system.settings.with_numbers(moved, values)
        cost = system_cost(one, NETWORK.layers)
        return (
            1e6 * jnp.sum(cost.energy) + jnp.sum(cost.seconds) + 1e6 * jnp.sum(cost.area) + one.macros[0].noise_counts
        )

    found = slopes(numbers)
    assert all(np.isfinite(float(value)) for value in found.values())
    assert float(found["macro.supply"]) != 0
    assert float(found["macro.adc.area"]) > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: amsim.at_node(chips.bankman2018(), "12nm"), "`node` must be one of"),
        (lambda: amsim.at_node(chips.jia2020(1.2), "16nm"), "`supply` must be finite and from 0.5 to 1 V at 16nm"),
        (lambda: amsim.at_node(SwitchedCapacitor(), "65nm"), "into the fits of 65nm, 0.75 to 1.3 V, but `macro`"),
        (lambda: amsim.at_node(Exact(), "16nm"), "Exact has no process"),
        (lambda: amsim.at_node("x", "16nm"), "`hardware` must"),
        (lambda: amsim.at_node({}, "16nm"), "`hardware` must have at least one rule"),
        (lambda: amsim.at_node(SwitchedCapacitor(), "16nm", supply=[0.7, 0.8]), "`supply` must"),
        (
            lambda: amsim.at_node(DigitalBinary(technology=Technology(process=Process(threshold=0.3))), "16nm"),
            "a `threshold` or `alpha` of its own",
        ),
        (
            lambda: amsim.at_node(
                amsim.Accelerator(SwitchedCapacitor(supply=0.8), weight_memory=Sram(8e4, supply=1.1)), "16nm"
            ),
            "but `weight_memory` runs at 1.1 V",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_published_networks_run_in_the_new_node():
    cost = amsim.at_node(chips.envision2017(), "16nm", supply=0.8).cost(workloads.alexnet())
    assert float(cost["area"]) < 0.7 * float(chips.envision2017().area)
