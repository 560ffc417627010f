"""Costs of one stage: an inference, a wake-up with its reload, and the power of sleep."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp

from amsim.cascade.stage import Stage, StatedDetector
from amsim.circuits.technology.dram import Dram
from amsim.circuits.technology.sram import Sram
from amsim.system.accelerator import Accelerator
from amsim.system.cost import RATE_MARGIN, idle_energy
from amsim.system.hardware import PowerManagement


class StageCost(NamedTuple):
    """Costs of a stage.

    Attributes:
        inference_energy: Energy per item, with the leakage of that time, J.
        service_time: Time per item, s.
        wake_up_energy: Energy per wake-up with the leakage of that time, without the reload, J.
        reload_energy: Energy per wake-up to reload lost weights, J.
        wake_up_time: Time per wake-up, with the reload, s.
        sleep_power: Power asleep, W.
        stored_bits: Bits of its weights.
        memory_bits: Bits of its on-chip memories.
    """

    inference_energy: float
    service_time: float
    wake_up_energy: float
    reload_energy: float
    wake_up_time: float
    sleep_power: float
    stored_bits: float
    memory_bits: float


def stage_cost(stage: Stage, arguments: tuple[Any, ...] | None = None) -> StageCost:
    """Costs of a stage.

    Args:
        stage: The stage.
        arguments: Inputs of its chip, whose activity counts; None for a `StatedDetector`.

    Returns:
        Its costs. The rate of its accelerator's `PowerManagement` does not count, since the stream decides it.

    Raises:
        ValueError: As `Chip.cost`, or a pace above what the stage sustains; the text names the stage.
    """
    accelerator = _without_rate(stage.accelerator)
    try:
        if isinstance(stage.chip, StatedDetector):
            cost = accelerator.cost(stage.chip.workload)
        else:
            cost = dataclasses.replace(stage.chip, accelerator=accelerator).cost(*(arguments or ()))
    except ValueError as error:
        raise ValueError(f"Stage {stage.name!r}: {error}") from error
    latency, stored = float(cost["latency"].sum()), float(cost["stored_bits"].sum())
    memories = [one for one in accelerator.on_chip_memories.values() if one is not None]
    reload_energy, reload_time = (0.0, 0.0) if stage.keeps_memory else _reload(stage, accelerator, stored)
    wake_up_time = float(stage.wake_up_latency) + reload_time
    awake = dataclasses.replace(accelerator, power=PowerManagement(temperature=accelerator.power.temperature))
    return StageCost(
        inference_energy=float(cost["energy"].sum()),
        service_time=latency,
        wake_up_energy=float(stage.wake_up_energy) + wake_up_time * float(awake.idle_leakage),
        reload_energy=reload_energy,
        wake_up_time=wake_up_time,
        sleep_power=_sleep_power(stage, accelerator),
        stored_bits=stored,
        memory_bits=float(sum(float(one.capacity) for one in memories)),
    )


def paced(stage: Stage, cost: StageCost) -> StageCost:
    """Costs of a later stage, which takes its items no faster than its pace; the time in between leaks as idle time.

    Raises:
        ValueError: A pace above what the stage sustains.
    """
    if stage.rate is None:
        return cost
    pace = float(stage.rate)
    if pace * cost.service_time > RATE_MARGIN:
        raise ValueError(
            f"Argument `rate` of stage {stage.name!r} must be at most {1 / cost.service_time:.4g} items per second, "
            f"which is what it sustains, but is {pace:g}."
        )
    waiting = max(1 / pace - cost.service_time, 0.0)
    leaked = waiting * float(_without_rate(stage.accelerator).idle_leakage)
    return cost._replace(inference_energy=cost.inference_energy + leaked, service_time=max(1 / pace, cost.service_time))


def _without_rate(accelerator: Accelerator) -> Accelerator:
    return dataclasses.replace(accelerator, power=dataclasses.replace(accelerator.power, rate=None))


def _sleep_power(stage: Stage, accelerator: Accelerator) -> float:
    if stage.retention_leakage is not None:
        return float(stage.retention_leakage)
    return float(jnp.sum(idle_energy(accelerator, jnp.asarray(1.0)))) if stage.keeps_memory else 0.0


def _reload(stage: Stage, accelerator: Accelerator, stored: float) -> tuple[float, float]:
    """Energy in J and time in s to reload the weights; what the weight memory does not hold is fetched anyway."""
    bits = jnp.asarray(min(stored, float(accelerator.weight_memory.capacity)), float)
    source, into = stage.reload_source, accelerator.weight_memory
    assert source is not None  # checked by the stage
    energy = source.energy(bits) + into.write_energy(bits)
    times = [_time(one, bits) for one in (source, into)]
    return float(energy), max(times)


def _time(memory: Dram | Sram, bits: Any) -> float:
    return float(memory.transfer_time(bits) if isinstance(memory, Dram) else bits / memory.bandwidth())
