"""Tiny case of a main function in float64: a program of its own, since JAX fixes its precision when it starts.

python -m tests.shared.double_precision design_circuit
"""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import amsim
from amsim import circuits
from amsim.datasets import Split

KEY = jax.random.key(0)
GENERATOR = np.random.default_rng(0)
MACRO = circuits.SwitchedCapacitor(rows=8, columns=4, comparator=circuits.Comparator(noise=5e-3))
PARAMS = {"kernel": jnp.asarray(GENERATOR.normal(size=(8, 3)), jnp.float32)}
INPUTS = GENERATOR.choice([-1.0, 1.0], (12, 8)).astype(np.float32)


def network(params: Any, inputs: Any) -> jax.Array:
    return inputs @ jnp.sign(params["kernel"])


DATA = Split(INPUTS, np.argmax(np.asarray(network(PARAMS, INPUTS)), axis=1).astype(np.int32))
CALL: tuple[Any, ...] = (network, PARAMS, MACRO)


def design_circuit() -> None:
    variables = {"macro.comparator.noise": (1e-3, 30e-3)}
    amsim.design_circuit(*CALL, DATA, key=KEY, variables=variables, accuracy=0.5, steps=1, dies=1, check=DATA[:4])


def yields() -> None:
    """At every exact limit, a fraction of answers right, `evaluate` and `sweep` agree with a count of answers."""
    options: dict[str, Any] = {"key": KEY, "dies": 6, "reads": 3}
    measure = amsim.study(*CALL, DATA, quantities=("accuracy",))
    swept = amsim.sweep(measure, {"macro.supply": [MACRO.supply.item()]}, **options)["accuracy"].isel(
        {"macro.supply": 0}
    )
    evaluated = amsim.evaluate(*CALL, DATA, **options)["accuracy"]
    answers = 3 * len(DATA)
    right = np.round(evaluated.values * len(DATA)).sum(axis=1).astype(int)
    for count in set(right.tolist()):
        for values in (evaluated, swept):
            found = amsim.statistics.yield_at(values, count / answers)["yield"]
            assert float(found) == np.mean(right >= count), (count, values.dtype)


CASES: dict[str, Callable[[], Any]] = {
    "design_circuit": design_circuit,
    "yields": yields,
    "evaluate": lambda: amsim.evaluate(*CALL, DATA, key=KEY, dies=2),
    "sweep": lambda: amsim.sweep(amsim.study(*CALL, DATA, cost_items=2), {"macro.supply": [0.5, 0.6]}, key=KEY, dies=2),
    "calibrate": lambda: amsim.calibrate(*CALL, INPUTS, steps=False),
    "fine_tune": lambda: amsim.fine_tune(*CALL, DATA, key=KEY, epochs=1, batch=6),
    "sensitivity": lambda: amsim.sensitivity(*CALL, DATA, key=KEY, dies=2),
    "repair": lambda: amsim.repair(*CALL, DATA, DATA, key=KEY, dies=2),
}

if __name__ == "__main__":
    assert jnp.result_type(float) == np.float64
    for name in sys.argv[1:]:
        CASES[name]()
        print(name, flush=True)
