"""Derivatives by every continuous parameter of every family against central differences, in float64.

Parameters are listed from the macros, so that a new one is checked or named here as one whose rule is no derivative.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits, workloads
from amsim.circuits import Adc, Comparator, DigitalBinary, Drivers, Layout, Leakage, MultiPrecision, SwitchedCapacitor
from amsim.circuits.charge.reset_switch import ResetSwitch
from amsim.noise.gradients import decision
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.settings import continuous_settings

ROWS, COLUMNS, ITEMS = 7, 3, 4
KEYS = jax.random.split(jax.random.key(0), 6)

APPROXIMATE = {
    # Whether a cell is stuck is a step in the probability, for a die's fixed draws.
    "macro.faults.stuck_high",
    "macro.faults.stuck_low",
    "macro.faults.dead_columns",
    # The chosen code is a constant to a derivative, but a step in these.
    "macro.comparator.trim.range",
    "macro.comparator.trim.averages",
    # It decides which code stands for a threshold; the code is rounded straight through, and nothing dithers it.
    "macro.bias_dac.lsb",
}
"""Parameters without a derivative on one die; of those, only the last is in an array below."""


def array(*, adc: bool) -> SwitchedCapacitor:
    """An array with every effect that has a derivative; noise of about a count, so that decisions and codes dither."""
    comparator = Comparator(noise=15e-3, offset_sigma=5e-3, trim=None, kickback=0.02)
    layout = Layout(0.01, 0.01, 0.01, 3.0, 0.01, dummies=False)
    return SwitchedCapacitor(
        rows=8,
        columns=4,
        comparator=comparator,
        adc=Adc(bits=4, range=2.0) if adc else None,
        bias_dac=circuits.BiasDac(bits=3),
        drivers=Drivers(resistance=3e6, spread=0.05),
        reset=ResetSwitch(resistance=3e6),
        leakage=Leakage(hold_time=1e-6),
        supply_noise=5e-3 if adc else None,
        layout=layout,
        bottom_parasitic=0.1e-15,
        reference_tracking=0.7,
    )


def moved(hardware: Any, logs: jax.Array) -> Any:
    """Hardware with each parameter times an exponential; without checks, which take long to compile."""
    leaves, structure = jax.tree.flatten(hardware)
    return jax.tree.unflatten(structure, [leaf * jnp.exp(log) for leaf, log in zip(leaves, logs, strict=True)])


def doubled(part: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), part)


def differences(function: Callable[[Any], Any], count: int, width: float) -> list[np.ndarray]:
    """Central differences by each logarithm."""
    steps = width * np.eye(count)
    return [(np.asarray(function(one)) - np.asarray(function(-one))) / (2 * width) for one in steps]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "macro",
    [array(adc=True), SwitchedCapacitor(rows=8, columns=4), DigitalBinary(rows=8), MultiPrecision()],
    ids=["array with all effects", "default array", "digital binary", "multi-precision"],
)
def test_energy_time_and_area(macro: circuits.Macro) -> None:
    with jax.enable_x64(True):
        hardware = doubled(Accelerator(macro))
        # Away from kinks: a load as wide as a memory's word, say.
        hardware = moved(hardware, jnp.asarray(0.003 * (np.arange(len(jax.tree.leaves(hardware))) % 7)))
        values = continuous_settings(hardware)
        layers = workloads.binary_image_network(filters=64).layers[:2]

        def costs(logs: Any) -> jax.Array:
            found = system_cost(moved(hardware, jnp.asarray(logs)), layers)
            energy, seconds = jnp.sum(found.energy), jnp.sum(found.seconds)
            return jnp.stack([energy / 1e-9, seconds / 1e-3, jnp.sum(found.area) / 1e-6])

        compiled = jax.jit(costs)
        slopes = np.asarray(jax.jit(jax.jacfwd(costs))(jnp.zeros(len(values)))).T
        for path, got, want in zip(values, slopes, differences(compiled, len(values), 2e-5), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8 * float(np.abs(slopes).max()), err_msg=path)
        assert np.any(slopes != 0, axis=0).all()


def network(params: dict[str, jax.Array], inputs: jax.Array) -> jax.Array:
    return decision(inputs @ params["w"] + params["b"][None], "clipped")


def numbers(params: dict[str, jax.Array], inputs: jax.Array) -> jax.Array:
    return inputs @ params["w"]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("readout", ["decision", pytest.param("number", marks=pytest.mark.slow)])
def test_expected_loss(readout: str) -> None:
    """Linear in what is read, where the rules are exact: physical for decisions, straight through dithered codes."""
    with jax.enable_x64(True):
        params = {
            "w": jnp.where(jax.random.normal(KEYS[0], (ROWS, COLUMNS)) >= 0, 1.0, -1.0),
            "b": jnp.asarray([0.6, -1.7, 0.3]),
        }
        inputs = jnp.where(jax.random.normal(KEYS[1], (ITEMS, ROWS)) >= 0, 1.0, -1.0)
        weights = jax.random.normal(KEYS[2], (ITEMS, COLUMNS))
        macro = doubled(array(adc=readout == "number"))
        values = continuous_settings(macro)
        function = network if readout == "decision" else numbers

        def loss(logs: Any, key: Any) -> jax.Array:
            hardware = moved(macro, jnp.asarray(logs))
            chip = amsim.deploy(function, params, hardware, key=KEYS[3], decision_rule="physical")
            return jnp.sum(weights * chip(inputs, key=key))

        reads = jax.random.split(KEYS[4], 400)
        losses = jax.jit(jax.vmap(loss, in_axes=(None, 0)))
        slopes = np.asarray(jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(jnp.zeros(len(values)), reads[:100]))
        scale = np.abs(slopes.mean(axis=0)).max()
        wrong, jump = {}, 2 * float(jnp.abs(weights).max()) / 0.1
        wanted = differences(lambda logs: losses(logs, reads), len(values), 0.05)
        for path, got, want in zip(values, slopes.T, wanted, strict=True):
            # A flipped answer or code is a jump; where none was seen, the sample does not know its own error.
            rare = math.sqrt(abs(got.mean()) * jump / len(want))
            error = math.hypot(got.std() / math.sqrt(len(got)), max(want.std() / math.sqrt(len(want)), rare))
            # The width of the difference leaves 2 %.
            if abs(got.mean() - want.mean()) > 5 * error + 0.02 * abs(want.mean()) + 1e-4 * scale:
                wrong[path] = (got.mean(), want.mean(), error)
        assert set(wrong) <= APPROXIMATE, wrong
        assert (np.abs(slopes.mean(axis=0)) > 1e-9 * scale).sum() > len(values) / 2
