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
    Drivers,
    Faults,
    FlashAdc,
    Layout,
    Leakage,
    Measured,
    MultiPrecision,
    Operands,
    ResetSwitch,
    RowDac,
    SarAdc,
    SerialAccumulation,
    SingleSlopeAdc,
    SramCell,
    SwitchedCapacitor,
    Trim,
    Work,
)
from amsim.circuits.fields import field_label

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


def ends(macro, path, label):
    usual = macro
    for name in path:
        usual = getattr(usual, name)
    usual = float(usual) or 1e-3
    wide = UNITS.get(label.unit, WIDE)
    lowest = usual / wide if label.positive else 0.0
    return lowest, usual * wide if label.at_most is None else label.at_most


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


@pytest.mark.parametrize("name", MACROS)
def test_results_are_finite_at_both_ends(name):
    macro, not_finite = MACROS[name], {}
    assert not wrong(macro)
    for path, label in quantities(macro):
        for value in ends(macro, path, label):
            try:
                found = wrong(at(macro, path, value))
            except (ValueError, eqx.EquinoxRuntimeError) as refusal:
                assert path[-1] in str(refusal)  # noqa: PT017
                continue
            if found:
                not_finite[".".join(path), value] = found
    assert not not_finite


def test_every_quantity_of_a_macro_is_tried():
    tried = {path for macro in MACROS.values() for path, _ in quantities(macro)}
    assert len(tried) > 60
    assert ("drivers", "supply_resistance") in tried
