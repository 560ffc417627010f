"""Energy per inference against the supply, and the minimum-energy supply.

Below the minimum leakage lasts too long, above it every switched capacitor costs too much:
`E(V) = C V^2 + I_leak V t(V)`, with the delay `t(V) ~ V / (V - V_T)^alpha` of the process.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from amsim.circuits.checks import finite_number, function, integer_between, part_of
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.supply_scaling import with_supply
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.system.accelerator import Accelerator
from amsim.system.cost import RATE_MARGIN, idle_energy, system_cost
from amsim.system.hardware import COMPONENTS
from amsim.system.quantities import LABELS
from amsim.workloads import Workload

AcceleratorAtSupply = Callable[[Float[Array, ""]], Accelerator]
"""Function from a supply in V to an accelerator; it is traced, so that all supplies are done at once."""

RESOLUTION = 1e-6
"""Resolution of the refined supply, as a fraction of the distance between two points."""


def scaled_to_supply(accelerator: Accelerator, process: Process | None = None) -> AcceleratorAtSupply:
    """The same accelerator at any supply: one rail for macros, memories and registers, clocks as fast as it allows.

    `clock(V) = clock t(V_0) / t(V)` with `Process.delay_ratio` and the present supply `V_0` of each macro, so that a
    clock keeps its slack. Energies, noise and times follow the laws of each part: those of comparators, drivers and
    converters their array's supply. An SRAM without a process of its own has a leakage current that does not depend on
    the supply. Not scaled: DRAM. Neither the access time of the memories against the clock nor their bit errors
    (`Sram.bit_error_rate`) are checked.

    Args:
        accelerator: At its present supplies.
        process: Process whose delay the clocks follow. Default: that of the accelerator's `technology`; give it where
            that is an `equivalent` of another node. To change the node, use `amsim.at_node`. Range of validity: its
            `delay_window`, 0.5 to 1.1 V at 28 nm.

    Returns:
        Function of the supply in V; outside the window it raises ValueError, or at run time where the supply is traced.

    Raises:
        ValueError: A macro that cannot be moved (`Macro.at_supply`), or a present supply outside the window.
    """
    part_of("accelerator", accelerator, Accelerator)
    law = accelerator.technology.process if process is None else process
    part_of("process", law, Process)
    for macro in accelerator.macros:
        # Raises at once for a macro or a present supply that cannot be moved.
        macro.at_supply(macro.operating_supply, law)

    def at_supply(supply: Any) -> Accelerator:
        volts = jnp.asarray(supply, float)
        return dataclasses.replace(
            accelerator,
            macros=tuple(macro.at_supply(volts, law) for macro in accelerator.macros),
            organisation=accelerator.organisation.at_supply(volts),
            **{name: with_supply(memory, volts) for name, memory in accelerator.on_chip_memories.items()},
        )

    return at_supply


def minimum_energy_supply(
    at_supply: AcceleratorAtSupply, workload: Workload, *, low: float = 0.5, high: float = 1.1, points: int = 61
) -> xr.Dataset:
    """Energy, time and rate of an inference against the supply, and the minimum-energy supply.

    The lowest point is refined by the sign of `dE/dV` in ever finer intervals around it. Where the accelerator has a
    `rate`, supplies too slow for it are left out.

    Args:
        at_supply: Accelerator for a supply, such as `scaled_to_supply(accelerator)`.
        workload: The network.
        low: Lowest supply, V. Default 0.5 V, the edge of the 28 nm delay law.
        high: Highest supply, V.
        points: Number of equally spaced supplies.

    Returns:
        Dataset over `supply`: `energy` (by component, J), `latency` (without idle time, s), highest possible
        `rate` (1/s) and `keeps_rate`; attributes `minimum_supply` (V), `minimum_energy` (J), `minimum_latency` (s) and
        `minimum_kind`: "inside", "lowest supply", "highest supply" or "slowest supply for the rate".

    Raises:
        ValueError: `low` is not above 0 and below `high`, fewer than three points, `at_supply` gives no accelerator, no
            workload, a supply that is not allowed, or a network that does not fit or is too slow at the highest supply.
    """
    integer_between("points", points, 3)
    part_of("workload", workload, Workload)
    function("at_supply", at_supply, "(supply)")
    finite_number("low", low)
    finite_number("high", high)
    if not 0 < low < high:
        raise ValueError(f"Argument `low` must be above 0 and below `high` = {high}, but is {low}.")
    # Once each outside of `vmap`, where errors are raised at once and say more.
    part_of("at_supply", at_supply(jnp.asarray(low, float)), Accelerator)
    at_high = at_supply(jnp.asarray(high, float))
    at_high.cost(workload)
    sample = _sampler(at_supply, workload)

    supplies = jnp.linspace(low, high, points)
    found = sample(supplies)
    minimum, kind = _refine_minimum(sample, supplies, found)
    best = sample(jnp.full((points,), minimum, supplies.dtype))
    variables = {
        "energy": (("supply", "component"), np.asarray(found.energy, float)),
        "latency": (("supply",), np.asarray(found.seconds, float)),
        "rate": (("supply",), 1 / np.asarray(found.seconds, float)),
        "keeps_rate": (("supply",), np.asarray(found.keeps_rate)),
    }
    attributes = {
        "minimum_supply": minimum,
        "minimum_energy": float(jnp.sum(best.energy[0])),
        "minimum_latency": float(best.seconds[0]),
        "minimum_kind": kind,
        "workload": workload.name,
        **provenance(accelerator=at_high),
    }
    coordinates = {"supply": np.asarray(supplies, float), "component": list(COMPONENTS)}
    return labelled(variables, coordinates, attributes, labels=LABELS)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Samples:
    """Energy by component (J), its change with the supply (J/V), time (s) and whether the rate is kept."""

    energy: Array
    slope: Array
    seconds: Array
    keeps_rate: Array


def _sampler(at_supply: AcceleratorAtSupply, workload: Workload) -> Callable[[Array], _Samples]:
    def at(supply: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        accelerator = at_supply(supply)
        power, rate = accelerator.power, accelerator.power.rate
        # A rate that is too high is an error in `system_cost`; here it ends the search.
        steady = dataclasses.replace(accelerator, power=dataclasses.replace(power, rate=None))
        cost = system_cost(steady, workload.layers)
        energy, busy, keeps = jnp.sum(cost.energy, axis=0), jnp.sum(cost.seconds), jnp.asarray(True)
        if rate is not None:
            energy = energy + idle_energy(accelerator, jnp.maximum(1.0 / rate - busy, 0.0))
            keeps = busy * rate <= RATE_MARGIN
        return jnp.sum(energy), (energy, busy, keeps)

    def one(supply: Array) -> _Samples:
        _, slope, (energy, seconds, keeps) = jax.jvp(at, (supply,), (jnp.ones_like(supply),), has_aux=True)
        return _Samples(energy, slope, seconds, keeps)

    return jax.jit(jax.vmap(one))


def _refine_minimum(sample: Callable[[Array], _Samples], supplies: Array, found: _Samples) -> tuple[float, str]:
    """Supply of the least energy among those that keep the rate, and the kind of minimum."""
    keeps, rising = np.asarray(found.keeps_rate), _is_rising(found)
    total = np.where(keeps, np.asarray(found.energy).sum(axis=1), np.inf)
    least = int(np.argmin(total))
    first, last = max(least - 1, 0), min(least + 1, len(total) - 1)
    if rising[first]:
        return float(supplies[first]), "lowest supply"
    if not rising[last]:
        return float(supplies[last]), "highest supply"
    low, high = supplies[first], supplies[last]
    for _ in range(math.ceil(math.log(2 / RESOLUTION) / math.log(len(total) - 1))):
        inner = jnp.linspace(low, high, len(total)).astype(supplies.dtype)
        found = sample(inner)
        turn = max(int(np.argmax(_is_rising(found))), 1)
        low, high = inner[turn - 1], inner[turn]
    # The upper end keeps the rate. Where the lower one does not, the rate is what limits the energy.
    slow = not bool(np.asarray(found.keeps_rate)[turn - 1])
    return float(high), "slowest supply for the rate" if slow else "inside"


def _is_rising(found: _Samples) -> np.ndarray:
    """Whether the search goes to lower supplies: energy rises with the supply, and the rate is kept."""
    return np.asarray(found.keeps_rate) & (np.asarray(found.slope) > 0)
