"""Every quantity of every part at both ends of the range that its field declares: finite results, or a refusal."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import (
    Comparator,
    DenseProduct,
    DigitalBinary,
    Dram,
    Drivers,
    Faults,
    FlashAdc,
    Layout,
    Leakage,
    Measured,
    MultiPrecision,
    Operands,
    Process,
    RegisterFile,
    ResetSwitch,
    RowDac,
    SarAdc,
    SerialAccumulation,
    SingleSlopeAdc,
    Sram,
    SramCell,
    SwitchedCapacitor,
    Technology,
    Trim,
    Wire,
    Work,
)
from amsim.circuits.fields import field_label
from amsim.circuits.technology.technology import GATES

WIDE, UNITS = 1e3, {"V": 10.0, "K": 2.0, "F^0.5": 10.0}
"""Where a range has no end, the value is that many times the usual one, or its inverse; less where exponentials follow
it (supply, temperature), and where capacitors would turn negative (mismatch)."""
ROWS, COLUMNS = 4, 2
COUNTS = np.arange(-ROWS, ROWS + 1)
EVERY_PART = {
    "drivers": Drivers(supply_resistance=1e3),
    "reset": ResetSwitch(),
    "leakage": Leakage(),
    "supply_noise": 1e-3,
    "layout": Layout(linear_gradient=0.01, correlated_sigma=0.01),
    "faults": Faults(stuck_high=0.01, stuck_low=0.01, dead_column=0.01),
    "comparator": Comparator(kickback=1e-3, trim=Trim()),
}
MACROS = {
    "switched-capacitor": SwitchedCapacitor(rows=ROWS, columns=COLUMNS, adc=SarAdc(bits=3), **EVERY_PART),
    "flash": SwitchedCapacitor(rows=ROWS, columns=COLUMNS, adc=FlashAdc(levels=5)),
    "single-slope": SwitchedCapacitor(rows=ROWS, columns=COLUMNS, adc=SingleSlopeAdc(bits=3)),
    "joined digits": SwitchedCapacitor(
        rows=ROWS, columns=COLUMNS, input_bits=4, adc=SarAdc(bits=3), row_dac=RowDac(noise=1e-3),
        serial_accumulation=SerialAccumulation(off_resistance=1e9),
    ),
    "digital binary": DigitalBinary(rows=ROWS, columns=COLUMNS, weight_cells=SramCell()),
    "multi-precision": MultiPrecision(weight_bits=4, input_bits=4),
    "measured": Measured(
        COUNTS, COUNTS[None] * 1.0, np.ones((1, COUNTS.size)), evaluation_energy=1e-12, evaluation_time=1e-9,
        array_area=1e-9, supply=0.6, rows=ROWS, columns=COLUMNS,
    ),
}  # fmt: skip


def quantities(part, path=()):
    """Paths and labels of all quantities of a part and of the parts in it."""
    for field in dataclasses.fields(part):
        value, label = getattr(part, field.name), field_label(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from quantities(value, (*path, field.name))
        elif label is not None and eqx.is_inexact_array(value) and value.shape == ():
            yield (*path, field.name), label


def at(part, path, value):
    """The part made anew with this value, so that its checks run."""
    name, *rest = path
    changed = value if not rest else at(getattr(part, name), rest, value)
    return dataclasses.replace(part, **{name: changed})


def ends(macro, path, label, units):
    usual = macro
    for name in path:
        usual = getattr(usual, name)
    usual = float(usual) or 1e-3
    wide = units.get(label.unit, WIDE)
    lowest = usual / wide if label.positive else 0.0
    return lowest, usual * wide if label.at_most is None else label.at_most


BITS, LENGTH, SUPPLY, TEMPERATURE = jnp.asarray(64.0), 1e-3, 0.8, 350.0
PARTS = {
    "sram": (Sram(capacity=8.0 * 2**13), lambda part: [
        part.energy(BITS), part.write_energy(BITS), part.latency(TEMPERATURE), part.bandwidth(TEMPERATURE),
        part.leakage_power(TEMPERATURE), part.bit_error_rate(), part.area(),
    ]),
    "dram": (Dram.standard("LPDDR4"), lambda part: [
        part.energy(BITS), part.transfer_time(BITS), part.background_energy(BITS), part.energy_per_bit(BITS / 128),
    ]),
    "register file": (RegisterFile(), lambda part: [
        part.write_energy(BITS), part.read_energy(BITS), part.clock_energy(BITS), part.latency(TEMPERATURE),
        part.leakage_power(TEMPERATURE), part.area(),
    ]),
    "process": (Process(threshold=0.35, alpha=1.3), lambda part: [
        part.energy_ratio(SUPPLY), part.delay_ratio(SUPPLY, TEMPERATURE), part.leakage_ratio(SUPPLY, TEMPERATURE),
    ]),
    "technology": (Technology(), lambda part: [
        (part.capacitance(gate), part.area(gate), part.energy(gate, SUPPLY), part.delay(gate, SUPPLY, TEMPERATURE),
         part.leakage_power(gate, SUPPLY, TEMPERATURE)) for gate in GATES
    ]),
    "wire": (Wire(), lambda part: [part.energy(LENGTH, SUPPLY), part.delay(LENGTH)]),
}  # fmt: skip


@eqx.filter_jit
def results(macro, key):
    """Outputs of a die with noise, and costs."""
    inputs = jnp.ones((2, ROWS)).at[0, 1].set(-1.0)
    weights = jnp.ones((ROWS, COLUMNS)).at[2, 0].set(-1.0)
    operands, product = Operands(DenseProduct(ROWS, COLUMNS), inputs, weights), DenseProduct(ROWS, COLUMNS)
    die = macro.fabricate(key)
    found = {"outputs": macro.matmul(inputs, weights, die=die, key=key), "area": macro.area}
    return found | {
        "cost": macro.cost(Work(product, 3, 12, 1.0), macro.report(operands)),
        "leakage": macro.leakage_power(),
    }


def wrong(macro):
    found = jax.tree_util.tree_leaves_with_path(results(macro, jax.random.key(0)))
    names = [jax.tree_util.keystr(path) for path, leaf in found if not np.all(np.isfinite(leaf))]
    # A macro that holds no weights has an infinite occupancy, one without registers shares their reads without end.
    return [name for name in names if not name.endswith(("occupancy", "sharing"))]


def not_finite_at_ends(part, wrong, units=UNITS):
    """What is not finite at either end of each quantity, by its path and value; `wrong(part)` names it."""
    found = {}
    assert not wrong(part)
    for path, label in quantities(part):
        for value in ends(part, path, label, units):
            try:
                names = wrong(at(part, path, value))
            except (ValueError, eqx.EquinoxRuntimeError) as refusal:
                assert path[-1] in str(refusal)  # noqa: PT017
                continue
            if names:
                found[".".join(path), value] = names
    return found


@pytest.mark.parametrize("name", MACROS)
def test_results_are_finite_at_both_ends(name):
    assert not not_finite_at_ends(MACROS[name], wrong)


@pytest.mark.parametrize("name", PARTS)
def test_technology_and_memories_are_finite_at_both_ends(name):
    part, results_of = PARTS[name]
    compiled = eqx.filter_jit(results_of)

    def wrong(part):
        found = jax.tree_util.tree_leaves_with_path(compiled(part))
        return [jax.tree_util.keystr(path) for path, leaf in found if not np.all(np.isfinite(leaf))]

    # Numbers without a unit are exponents here.
    assert not not_finite_at_ends(part, wrong, UNITS | {"1": 10.0})
    assert len(list(quantities(part))) >= 2


def test_every_quantity_of_a_macro_is_tried():
    tried = {path for macro in MACROS.values() for path, _ in quantities(macro)}
    assert len(tried) > 60
    assert ("drivers", "supply_resistance") in tried
