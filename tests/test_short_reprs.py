"""What objects print of themselves: one to three lines, and no array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import amsim
from amsim.calibration.post_training import Calibrated
from amsim.chips.designs import design
from amsim.circuits import Exact, SwitchedCapacitor
from amsim.deployment.site_ranges import Calibration, SiteRanges
from amsim.repairs.population import Repaired
from amsim.search.designed import DesignedCircuit
from amsim.training.fine_tuning.result import FineTuned

SITES = {f"layer{n}": SiteRanges(readout=0.5, offset=jnp.zeros(500)) for n in range(9)}


def network(params, inputs):
    return inputs @ params["w"]


def chip(**options):
    return amsim.deploy(
        network, {"w": jnp.ones((300, 200))}, SwitchedCapacitor(rows=512), key=jax.random.key(0), **options
    )


def means(dim, names):
    return xr.Dataset({"accuracy_mean": (dim, np.linspace(0.9, 0.8, len(names)))}, coords={dim: list(names)})


TEXTS = {
    "chip": (chip, "Chip(network on SwitchedCapacitor; one die)"),
    "calibrated chip": (
        lambda: chip(calibration=Calibration({"w": SiteRanges(readout=0.5)})),
        "Chip(network on SwitchedCapacitor; one die, 1 sites calibrated)",
    ),
    "calibration": (
        lambda: Calibration(SITES),
        "Calibration(9 sites: layer0, layer1, layer2, layer3, layer4, ... layer8)",
    ),
    "ranges": (lambda: SITES["layer0"], "SiteRanges(readout, offset)"),
    "design": (lambda: design("digital-binary-1b"), "Design(family='digital-binary', bits=1)"),
    "accelerator": (
        lambda: amsim.Accelerator({"first": Exact(), ".*": SwitchedCapacitor(rows=512)}, dram=None),
        "Accelerator('first': Exact, '.*': SwitchedCapacitor; SystolicArray, no DRAM)",
    ),
    "calibrated": (
        lambda: Calibrated(chip(), xr.Dataset(), means("step", ("plain", "quantised", "noise"))),
        "Calibrated(Chip(network on SwitchedCapacitor; one die);\n  accuracy 90.00 % plain, 80.00 % with noise)",
    ),
    "repaired": (
        lambda: Repaired((chip(), chip()), means("repair", ("none", "trim"))),
        "Repaired(2 dies; accuracy 90.00 % before, 80.00 % after trim)",
    ),
    "fine-tuned": (
        lambda: FineTuned({}, xr.Dataset({"loss": ("step", [2.0, 1.0, 0.25])}), {}, 2, None),
        "FineTuned(3 steps, loss 2 -> 0.25; parameters of epoch 2)",
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_objects_print_few_lines(kind, as_a_user_runs_it):
    make, text = TEXTS[kind]
    assert repr(make()) == text


def test_a_designed_circuit_prints_its_energy(as_a_user_runs_it):
    settings = {f"macro.setting{n}": 1.23456e-3 * n for n in range(6)}
    empty = xr.Dataset()
    found = DesignedCircuit(None, {}, settings, 1.584e-7, 0.9031, True, empty, empty, empty, 67)
    assert repr(found).splitlines() == [
        "DesignedCircuit(158 nJ, 90.31 % in the search, the limit surely reached on unseen items;",
        "  macro.setting0 = 0, macro.setting1 = 0.00123, macro.setting2 = 0.00247, macro.setting3 = 0.0037, 2 more)",
    ]


def test_a_chip_in_a_traced_function_prints_too():
    texts = []
    jax.jit(lambda one: texts.append(repr(one)) or 0.0)(chip())
    assert texts == ["Chip(network on SwitchedCapacitor; one die)"]
