"""Every quantity of a macro and of the parts in it moves something of a chip, or `what_has_no_effect` lists it.

The support matrix holds the same for arrays with all their parts (`tests/docs/test_support_matrix.py`), by derivatives.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim.circuits import (
    DenseProduct,
    FlashAdc,
    Measured,
    Neuron,
    Operands,
    SingleSlopeAdc,
    SwitchedCapacitor,
    ValueRange,
    Work,
)
from amsim.system import settings, what_has_no_effect

GENERATOR = np.random.default_rng(0)
REAL = GENERATOR.normal(size=(3, 20)), GENERATOR.normal(size=(20, 3))
BITS = tuple(np.sign(one) for one in REAL)
SIGNS = ValueRange(-1.0, 1.0)
FACTORS = (1.02, 1.5, 0.6, 1e-3)
MACROS = {
    "flash": SwitchedCapacitor(rows=24, columns=8, adc=FlashAdc(levels=8)),
    "single slope": SwitchedCapacitor(rows=24, columns=8, adc=SingleSlopeAdc(bits=3)),
    "measured": Measured(
        counts=(-24, 0, 24),
        mean=np.array([[[-22.0, 1.0, 25.0]], [[-23.0, 1.0, 25.0]]]),
        sigma=np.ones((2, 1, 3)),
        evaluation_energy=1e-12,
        evaluation_time=1e-8,
        array_area=1e-9,
        supply=0.6,
        rows=24,
        columns=8,
    ),
}


def outputs(macro):
    """All that a chip has of a macro: a read and a decision on a die, energy, time, area, leakage, error budgets."""
    one_bit = macro.weight_bits == macro.input_bits == 1
    inputs, weights = BITS if one_bit else REAL
    die, key = None if macro.deterministic else macro.fabricate(jax.random.key(1)), jax.random.key(2)
    found = {"read": macro.matmul(inputs, weights, die=die, key=key), "supply": macro.operating_supply}
    work, operands = Work(DenseProduct(20, 3), 4, 80, 1.0), Operands.dense(inputs, weights)
    costs = {"number": macro.cost(work, macro.report(operands))}
    if macro.decides:
        given = Operands(operands.product, operands.inputs, operands.matrix, SIGNS, SIGNS)
        neuron = Neuron(jnp.ones(3), jnp.asarray([0.0, 2.0, -3.0]))
        found["margin"] = macro.margin(given, neuron, die=die, key=key)
        costs["decision"] = macro.cost(work, macro.report(given, neuron=neuron))
    for name, cost in costs.items():
        found |= {f"energy of a {name}": cost.energy, f"time of a {name}": cost.seconds}
        found |= {f"loading for a {name}": jnp.asarray(cost.load_cycles)}
    found |= {"area": macro.area, "leakage": macro.leakage_power(jnp.asarray(310.0))}
    for readout in ("adc", "comparator"):
        try:
            variances = macro.error_variances(rows=20, readout=readout)
        except ValueError:  # no closed forms, or no such readout
            continue
        found |= {f"{name}, {readout}": value for name, value in variances.items()}
    return found


def moved(before, after):
    """Names of what differs by a bit."""
    return {name for name in before if not np.array_equal(before[name], after.get(name), equal_nan=True)}


@pytest.mark.parametrize("name", MACROS)
def test_every_quantity(name):
    macro = MACROS[name]
    accelerator, values = amsim.Accelerator.of(macro), settings.continuous_settings(macro)
    run = jax.jit(lambda given: outputs(settings.with_numbers(accelerator, given).macros[0]))
    before, still = run(values), set()
    for path, value in values.items():
        others = (jnp.where(value == 0, 0.05 * factor, value * factor).astype(value.dtype) for factor in FACTORS)
        if not any(moved(before, run(values | {path: one})) for one in others):
            still.add(path)
    assert still == set(what_has_no_effect(macro)) & set(values)
