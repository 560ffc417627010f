"""A processor with memories as large as its network, which is what leaks while a cascade waits."""

import dataclasses

import jax.numpy as jnp

from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE

SMALLEST_MEMORY = 0.25
"""Least memory, kB."""


def with_memories(
    accelerator: Accelerator, *, weights: int, activations: int, banks: tuple[int, int] = (1, 1)
) -> Accelerator:
    """The accelerator with other memories of the same kind and word width.

    Args:
        accelerator: Hardware.
        weights: Capacity of the weight memory, bit; rounded up to a quarter of a kilobyte.
        activations: Of the activation memory, bit.
        banks: Banks of either.
    """
    sized = []
    memories = (accelerator.weight_memory, accelerator.activation_memory)
    for memory, bits, count in zip(memories, (weights, activations), banks, strict=True):
        steps = -(-bits // (SMALLEST_MEMORY * KILOBYTE))
        organisation = dataclasses.replace(memory.organisation, banks=count)
        capacity = jnp.asarray(max(steps, 1.0) * SMALLEST_MEMORY * KILOBYTE, float)
        sized.append(dataclasses.replace(memory, capacity=capacity, organisation=organisation))
    return dataclasses.replace(accelerator, weight_memory=sized[0], activation_memory=sized[1])
