"""Cost at many points: each the same as that of the hardware built there, in batches, with errors by name."""

import dataclasses

import numpy as np
import pytest

from amsim import chips, workloads
from amsim.system import PowerManagement, cost_at_points, with_settings

WORKLOAD = workloads.binary_image_network(64)
PATHS = ("macro.supply", "weight_memory.capacity", "activation_memory.supply")


@pytest.fixture(scope="module")
def drawn():
    generator = np.random.default_rng(0)
    present = (0.66, 261.5 * 8192, 0.8)
    return {path: value * generator.uniform(0.9, 1.1, 7) for path, value in zip(PATHS, present, strict=True)}


@pytest.fixture(scope="module")
def hardware():
    return chips.binareye2018()


@pytest.fixture(scope="module")
def found(hardware, drawn):
    return cost_at_points(hardware, WORKLOAD, drawn, batch=3)


@pytest.mark.parametrize("point", [0, 3, 6])
def test_each_point_is_the_hardware_built_there(hardware, drawn, found, point):
    alone = with_settings(hardware, {path: float(values[point]) for path, values in drawn.items()}).cost(WORKLOAD)
    here = found.isel(point=point)
    np.testing.assert_allclose(here["energy"], alone["energy"].sum("site"), rtol=1e-5)
    np.testing.assert_allclose(float(here["latency"]), float(alone["latency"].sum()), rtol=1e-6)
    np.testing.assert_allclose(float(here["area"]), float(alone["area"]), rtol=1e-6)
    assert bool(here["fits"])
    assert bool(here["keeps_rate"])
    for path in PATHS:
        np.testing.assert_allclose(float(here[path]), drawn[path][point], rtol=1e-6)


def test_points_that_accelerators_refuse_are_marked(hardware):
    slow = dataclasses.replace(hardware, power=PowerManagement(rate=1.0))
    values = {"weight_memory.capacity": [1e3, 1e7, 1e7], "power.rate": [1.0, 1.0, 1e6]}
    found = cost_at_points(slow, WORKLOAD, values)
    np.testing.assert_array_equal(found["fits"], [False, True, True])
    np.testing.assert_array_equal(found["keeps_rate"], [True, True, False])
    for point, message in ((0, "does not fit"), (2, "rate")):
        there = with_settings(slow, {path: one[point] for path, one in values.items()})
        with pytest.raises(ValueError, match=message):
            there.cost(WORKLOAD)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "`values` must have at least one setting"),
        ({"macro.suply": [0.6]}, "macro.supply"),
        ({"macro.rows": [64.0]}, "`values` must name continuous settings, but 'macro.rows'"),
        ({"macro.supply": [0.6, float("nan")]}, r"`values\['macro.supply'\]` must be finite numbers"),
        ({"macro.supply": np.zeros(0)}, r"`values\['macro.supply'\]` must be finite numbers"),
        ({"macro.supply": 0.6}, r"`values\['macro.supply'\]` must be numbers along 1 axes"),
        ({"macro.supply": [0.6, -0.6]}, "`supply` must be"),
        ({"macro.supply": [0.6], "weight_memory.capacity": [1e6, 2e6]}, "one value of each setting for each point"),
    ],
)
def test_wrong_values_are_refused_by_name(hardware, values, message):
    with pytest.raises(ValueError, match=message):
        cost_at_points(hardware, WORKLOAD, values)
