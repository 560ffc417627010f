"""Cost of one workload at very many settings of a hardware, computed side by side."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float

from amsim.circuits.checks import integer_between, part_of, real_numbers
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.system.accelerator import Accelerator
from amsim.system.cost import RATE_MARGIN, bits_from_dram, busy_seconds, unchecked_cost
from amsim.system.hardware import COMPONENTS
from amsim.system.quantities import LABELS
from amsim.system.settings import continuous_setting, setting_label, with_numbers, with_settings
from amsim.workloads import Layer, Workload


class _Point(eqx.Module):
    """Cost of one point: energy by component, time and area of an inference, and whether it is possible."""

    energy: Float[Array, "*points components"]
    latency: Float[Array, " *points"]
    area: Float[Array, " *points"]
    fits: Bool[Array, " *points"]
    keeps_rate: Bool[Array, " *points"]


def cost_at_points(hardware: Any, workload: Workload, values: Mapping[str, Any], *, batch: int = 4096) -> xr.Dataset:
    """Energy, latency and area of one inference at many points, each as `Accelerator.cost` of the hardware there.

    The program is compiled once and runs on `batch` points at a time, so that memory does not grow with their number.

    Args:
        hardware: A macro, an `Accelerator` or rules.
        workload: Of one inference: `chip.workload(x)`, `amsim.network_workload(...)` or one of `amsim.workloads`.
        values: Values of each continuous setting by its path (`amsim.system.continuous_settings`), one for each point.
        batch: Points computed side by side.

    Returns:
        Dataset over `point` with the settings as coordinates: `energy` (point, component) in J, `latency` in s, `area`
        in m^2, and the truth values `fits` (the network fits the memories, or there is a DRAM) and `keeps_rate` (an
        inference is done before the next one). Where one of them is false `Accelerator.cost` refuses the point.

    Raises:
        ValueError: A path that leads to no continuous setting, values that are not finite numbers along one axis, are
            not allowed or differ in number, no setting, or a batch below 1.
    """
    part_of("workload", workload, Workload)
    part_of("values", values, Mapping)
    integer_between("batch", batch, 1)
    accelerator = Accelerator.of(hardware)
    points = _checked_points(accelerator, values)
    found = _costs(accelerator, workload.layers, points, batch)
    variables: dict[str, Any] = {
        "energy": (("point", "component"), np.asarray(found.energy)),
        **{name: (("point",), np.asarray(getattr(found, name))) for name in ("latency", "area", "fits", "keeps_rate")},
    }
    coordinates: dict[str, Any] = {"component": list(COMPONENTS)}
    coordinates |= {path: ("point", np.asarray(numbers)) for path, numbers in points.items()}
    labels = LABELS | {path: setting_label(accelerator, path) for path in points}
    attributes = provenance(accelerator=accelerator) | {"workload": workload.name}
    return labelled(variables, coordinates, attributes, labels=labels)


def _checked_points(accelerator: Accelerator, values: Mapping[str, Any]) -> dict[str, Array]:
    """Values of each setting, once the smallest and the largest of them are found to be allowed."""
    if not values:
        raise ValueError("Argument `values` must have at least one setting, but is empty.")
    found: dict[str, Array] = {}
    for path, given in values.items():
        present = continuous_setting(accelerator, "values", path)
        numbers = real_numbers(f"values[{path!r}]", given, (1,))
        if not numbers.size or not np.all(np.isfinite(numbers)):
            raise ValueError(f"Argument `values[{path!r}]` must be finite numbers, one for each point.")
        # Allowed values of a field form an interval.
        for end in (numbers.min(), numbers.max()):
            with_settings(accelerator, {path: float(end)})
        found[path] = jnp.asarray(numbers, present.dtype)
    sizes = {path: one.size for path, one in found.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Argument `values` must have one value of each setting for each point, but has {sizes}.")
    return found


@eqx.filter_jit
def _costs(accelerator: Accelerator, layers: tuple[Layer, ...], points: dict[str, Array], batch: int) -> _Point:
    return jax.lax.map(partial(_one_point, accelerator, layers), points, batch_size=batch)


def _one_point(accelerator: Accelerator, layers: tuple[Layer, ...], values: dict[str, Array]) -> _Point:
    there = with_numbers(accelerator, values)
    cost = unchecked_cost(there, layers)
    rate = there.power.rate
    return _Point(
        energy=jnp.sum(cost.energy, axis=0),
        latency=jnp.sum(cost.seconds),
        area=jnp.sum(cost.area),
        fits=jnp.asarray(True) if there.dram is not None else bits_from_dram(cost) == 0,
        keeps_rate=jnp.asarray(True) if rate is None else busy_seconds(there, cost) * rate <= RATE_MARGIN,
    )
