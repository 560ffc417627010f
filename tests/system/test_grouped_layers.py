"""Groups of a convolution cost what as many layers cost, one after another, on every family and organisation."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from amsim import chips
from amsim.circuits import DigitalBinary, Measured, MultiPrecision, RegisterFile, Sram, SwitchedCapacitor
from amsim.circuits.contract.work import SHARED_BY
from amsim.system.accelerator import Accelerator
from amsim.system.organisation import Processor, Spread, SystolicArray
from amsim.system.site_counts import site_counts
from amsim.workloads import Layer, Workload, convolution, dense

PLENTY = Sram(2.0**30)
TABLE = {"counts": np.array([-32, 32]), "mean": jnp.array([[-32.0, 32.0]]), "sigma": jnp.zeros((1, 2))}
BENCH = {"evaluation_energy": 2e-12, "evaluation_time": 3e-7, "array_area": 4e-8, "supply": 0.7}
FAMILIES = {
    "digital": DigitalBinary(rows=32, columns=12, weight_bits=3, input_bits=2),
    "weights stay": DigitalBinary(rows=1024, columns=512, weight_bits=2, input_bits=2),
    "capacitors": SwitchedCapacitor(rows=64, columns=8, weight_bits=4, input_bits=3),
    "units": MultiPrecision(rows=4, columns=4),
    "measured": Measured(**TABLE, **BENCH, rows=32, columns=8, weight_bits=2),
}
ORGANISATIONS = {
    "lines": SystolicArray(),
    "pipelined": SystolicArray(registers=RegisterFile()),
    "processor": Processor(vector_width=7.0),
}
SHAPES = {"few": (3, 9, 6), "depthwise": (12, 12, 12), "two filters a group": (12, 12, 24)}
"""Groups, maps and filters, all groups together."""

OTHER = dense("other", 32, 64)

OF_ALL_GROUPS = ("peak_macs", "clock", "supply", "streams", "leakage", "repeats", "working_set_bits")
"""Counts that groups do not multiply; the working set is that of all groups."""


def whole_and_part(groups: int, channels: int, filters: int, stride: int = 1) -> tuple[Layer, Layer]:
    def layer(name: str, channels: int, filters: int, groups: int) -> Layer:
        made = convolution(name, 9, 7, channels, filters, 3 if stride == 1 else 2, stride, "SAME", groups)
        return dataclasses.replace(made, activity={"nonzero": 0.7, "toggling": 0.3})

    return layer("whole", channels, filters, groups), layer("part", channels // groups, filters // groups, 1)


def check_alike(accelerator: Accelerator, shape: tuple[int, int, int], stride: int = 1) -> None:
    # With the other layer no small array keeps its weights in cells, neither those of all groups nor of one.
    one, part = (site_counts(accelerator, (layer, OTHER)) for layer in whole_and_part(*shape, stride))
    for field in dataclasses.fields(one):
        times = 1 if field.name in OF_ALL_GROUPS else shape[0]
        got, want = getattr(one, field.name)[0], times * getattr(part, field.name)[0]
        if field.name != "working_set_bits":
            np.testing.assert_allclose(got, want, rtol=2e-6, err_msg=field.name)


@pytest.mark.sampled
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("macro", FAMILIES.values(), ids=FAMILIES)
def test_groups_cost_what_layers_cost(macro, shape):
    for organisation in ORGANISATIONS.values():
        check_alike(Accelerator(macro, organisation=organisation), shape)


@pytest.mark.parametrize("over", SHARED_BY)
@pytest.mark.parametrize("macro", [FAMILIES["digital"], FAMILIES["units"]], ids=["digital", "units"])
def test_groups_cost_what_layers_cost_on_several_copies(macro, over):
    for shape in (SHAPES["depthwise"], SHAPES["two filters a group"]):
        check_alike(Accelerator(macro, spreads=Spread(3, over)), shape, stride=3)


@pytest.mark.parametrize("make", [chips.envision2017, chips.asilomar2017], ids=["envision", "asilomar"])
def test_groups_cost_what_layers_cost_on_published_chips(make):
    check_alike(make(), (4, 64, 96))


def test_the_cost_of_groups_is_that_of_a_workload_of_layers():
    whole, part = whole_and_part(*SHAPES["few"])
    parts = tuple(dataclasses.replace(part, name=f"part{i}", weights=f"part{i}") for i in range(3))
    accelerator = Accelerator(FAMILIES["digital"], weight_memory=PLENTY, activation_memory=PLENTY)
    one, several = (accelerator.cost(Workload("w", layers)) for layers in ((whole,), parts))
    for name in ("energy", "latency", "cycles", "stalls", "macs", "bits_read", "bits_written", "stored_bits"):
        np.testing.assert_allclose(one[name].sum("site"), several[name].sum("site"), rtol=2e-5, err_msg=name)
    np.testing.assert_allclose(one["utilisation"][0], several["utilisation"].mean("site"), rtol=2e-5)


def test_groups_by_hand():
    # 12 groups of 2 filters of 3 bits: each takes 6 of 12 columns and one pass; 63 positions of 2 bits and 2 cycles.
    macro = FAMILIES["digital"]
    cost = macro.cost(whole_and_part(12, 12, 24)[0].work, {})
    assert float(cost.compute_cycles) == 63 * 2 * 12 * 2
    assert cost.input_bits == 63 * 12 * 2 * 3
    assert cost.additions == 63 * 24 * (3 * 2 - 1)
    assert cost.passes == 12
    # Filters of one group share their inputs: 24 * 3 columns side by side are 6 passes.
    assert float(macro.cost(convolution("c", 9, 7, 1, 24, 3).work, {}).compute_cycles) == 63 * 2 * 6 * 2
    # On units, one of 4 columns is in use.
    assert FAMILIES["units"].cost(whole_and_part(*SHAPES["depthwise"])[0].work, {}).passes == 12
