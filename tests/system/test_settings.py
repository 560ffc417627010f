"""Dotted paths reach every setting of a macro and of an accelerator, and nothing else."""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from amsim import circuits
from amsim.circuits import Drivers, SarAdc
from amsim.system.accelerator import Accelerator
from amsim.system.settings import continuous_settings, setting, static_settings, with_settings

MACRO = circuits.SwitchedCapacitor(rows=8, columns=4)
TWO = Accelerator({"conv.*": MACRO, r"layers\.0": MACRO, ".*": circuits.DigitalBinary()})


def test_every_listed_setting_can_be_read_and_changed() -> None:
    analog = circuits.SwitchedCapacitor(rows=8, columns=4, adc=SarAdc(bits=4), drivers=Drivers())
    hardware = Accelerator(analog, inferences_per_load=2.0)
    listed = continuous_settings(hardware)
    leaves = jax.tree.leaves(eqx.filter(hardware, eqx.is_inexact_array))
    assert len(listed) == len(leaves)
    changed = with_settings(hardware, {path: 0.99 * value for path, value in listed.items()})
    for path, value in listed.items():
        assert setting(hardware, path) is value
        assert float(setting(changed, path)) == pytest.approx(0.99 * float(value), rel=1e-6, abs=0)


def test_every_family_lists_all_its_continuous_parameters() -> None:
    for macro in (circuits.SwitchedCapacitor(), circuits.DigitalBinary(), circuits.MultiPrecision()):
        assert len(continuous_settings(macro)) == len(jax.tree.leaves(eqx.filter(macro, eqx.is_inexact_array)))


def test_static_settings_are_checked_again() -> None:
    assert static_settings(MACRO)["macro.adc.bits"] == 8
    assert with_settings(MACRO, {"macro.adc.bits": 4}).adc.levels == 16
    with pytest.raises(ValueError, match="`bits` must be an integer from 1 to 16, but is 40"):
        with_settings(MACRO, {"macro.adc.bits": 40})
    with pytest.raises(ValueError, match="`unit_capacitance` must be finite and above 0"):
        with_settings(MACRO, {"macro.unit_capacitance": -1.0})


def test_macro_stands_for_all_macros_that_have_the_setting() -> None:
    changed = with_settings(TWO, {"macro.unit_capacitance": 3e-15, "macro.supply": 0.7})
    assert [float(macro.supply) for macro in changed.macros] == pytest.approx([0.7] * 3)
    assert [float(macro.unit_capacitance) for macro in changed.macros[:2]] == pytest.approx(
        [3e-15] * 2, rel=1e-6, abs=0
    )
    assert float(setting(TWO, "macro.comparator.noise")) == pytest.approx(float(MACRO.comparator.noise), abs=0)
    with pytest.raises(ValueError, match=r"macros differ in 'macro.supply'.*macros\.conv\.\*\.supply"):
        setting(TWO, "macro.supply")


def test_a_rule_is_named_by_pattern_or_site() -> None:
    changed = with_settings(TWO, {"macros.conv.*.supply": 0.5, "macros.layers.0.supply": 0.9})
    assert [float(macro.supply) for macro in changed.macros] == pytest.approx([0.5, 0.9, 0.66])
    assert "macros.layers.0.supply" in continuous_settings(TWO)


def test_accelerator_and_tuples() -> None:
    changed = with_settings(MACRO.ideal(), {"macro.supply": 0.7})
    assert isinstance(changed, circuits.SwitchedCapacitor)
    changed = with_settings(TWO, {"weight_memory.supply": 0.7, "spreads.1.count": 2})
    assert float(changed.weight_memory.supply) == pytest.approx(0.7)
    assert changed.spreads[1].count == 2
    precision = with_settings(circuits.MultiPrecision(), {"macro.modes.0.supply": 0.61})
    assert float(precision.modes[0].supply) == pytest.approx(0.61)


@pytest.mark.parametrize(
    ("hardware", "path", "message"),
    [
        (MACRO, "macro.comparator.nois", "Did you mean 'macro.comparator.noise'"),
        (MACRO, "macro.unit_capacitence", "Did you mean 'macro.unit_capacitance'"),
        (MACRO, "macro.drivers.resistance", "'macro.drivers' is None"),
        (TWO, "macros.conv1.supply", r"no setting 'macros.conv1.supply'.*macros\.conv\.\*\.supply"),
        (TWO, "macro.unit_capacitence", "Did you mean 'macro.unit_capacitance'"),
        (TWO, "", "no setting ''"),
        (TWO, "macro.modes.9.supply", "no setting"),
    ],
)
def test_unknown_paths_name_near_ones(hardware: object, path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        setting(hardware, path)
    with pytest.raises(ValueError, match=message if path else "macro|no setting"):
        with_settings(hardware, {path: 1.0})


def test_nothing_is_set_twice() -> None:
    with pytest.raises(ValueError, match="nothing twice"):
        with_settings(TWO, {"macro.supply": 0.7, "macros.conv.*.supply": 0.6})
    with pytest.raises(ValueError, match="nothing twice"):
        with_settings(MACRO, {"macro.adc": circuits.Adc(), "macro.adc.bits": 4})
    with pytest.raises(ValueError, match=r"begin with `macro\.`"):
        with_settings(MACRO, {"weight_memory.supply": 0.7})


def test_traced_values_pass_through_grad_and_vmap() -> None:
    def area_and_energy(supply: jax.Array) -> jax.Array:
        changed = with_settings(MACRO, {"macro.supply": supply})
        return changed.comparator.energy() + changed.supply**2

    assert float(jax.jit(jax.grad(area_and_energy))(jnp.asarray(0.6))) == pytest.approx(1.2, rel=1e-6)
    assert jax.vmap(area_and_energy)(jnp.linspace(0.5, 0.7, 3)).shape == (3,)


def test_a_whole_part_may_be_set() -> None:
    changed = with_settings(MACRO, {"macro.drivers": Drivers(), "macro.comparator.trim": None})
    assert changed.drivers is not None
    assert changed.comparator.trim is None
    assert dataclasses.replace(changed, drivers=None).drivers is None


def test_none_leaves_out_what_can_be_left_out() -> None:
    changed = with_settings(TWO, {"dram": None, "power.rate": None})
    assert changed.dram is None
    assert changed.power.rate is None
    # A default would take the place of the last ones without a word.
    for path in ("macro.supply", "macros.conv.*.rows", "macro.clock", "weight_memory", "power", "technology"):
        with pytest.raises(ValueError, match=f"`values` must give '{re.escape(path)}' a value: it cannot be left out"):
            with_settings(TWO, {path: None})
