"""Traffic of the memory hierarchy: the place of each tensor, and the bits that each memory moves because of it.

Weights that do not stay in cells fill the weight memory first, then the global memory, then DRAM; a site's working set
that does not fit in the activation memory passes through the global memory, then through DRAM. Weights further out are
fetched once for all inferences of a batch; activations are written and read back.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.noise.finite_slopes import quotient
from amsim.system.hardware import MEMORIES, AcceleratorParts, bits_per_cycle
from amsim.system.site_counts import SiteCounts


class Traffic(NamedTuple):
    """Bits read and written at each of `MEMORIES` per inference, shape (sites, memories).

    Attributes:
        read: Bits read.
        written: Bits written.
    """

    read: Float[Array, "sites memories"]
    written: Float[Array, "sites memories"]


def traffic(accelerator: AcceleratorParts, counts: SiteCounts) -> Traffic:
    """Bits that each memory moves per inference, by site.

    Args:
        accelerator: The hardware.
        counts: Counts of its sites, from `amsim.system.site_counts.site_counts`.

    Returns:
        Bits, shape (sites, memories).
    """
    batch = accelerator.inferences_per_load
    shared, outside = _spilled_outputs(accelerator, counts)
    # The global memory keeps room for the largest feature maps that pass through it.
    room = _global_capacity(accelerator) - batch * jnp.max(shared)
    in_memories = counts.stored_bits - counts.cell_bits
    stored = jnp.sum(in_memories)
    missing = jnp.maximum(stored - accelerator.weight_memory.capacity, 0.0)
    weights_shared = jnp.minimum(missing, room)
    share = quotient(in_memories, stored) / batch
    from_shared, from_outside = share * weights_shared, share * (missing - weights_shared)
    shared, outside = shared * counts.repeats, outside * counts.repeats
    # A batch runs site by site: weights that stay in cells are loaded once, those that stream are not.
    fetched = counts.weight_bits * jnp.where(counts.streams > 0, 1.0, 1.0 / batch)
    read = (fetched, counts.input_bits, from_shared + shared, from_outside + outside)
    written = (from_shared + from_outside, counts.output_bits, shared, outside)
    return Traffic(jnp.stack(read, axis=-1), jnp.stack(written, axis=-1))


def _spilled_outputs(accelerator: AcceleratorParts, counts: SiteCounts) -> tuple[Array, Array]:
    """Output bits of one run of each site, per inference, that pass through the global memory and through DRAM."""
    batch = accelerator.inferences_per_load
    outputs = batch * counts.output_bits / jnp.where(counts.repeats > 0, counts.repeats, 1.0)
    spilled = jnp.clip(batch * counts.working_set_bits - accelerator.activation_memory.capacity, 0.0, outputs)
    shared = jnp.minimum(spilled, _global_capacity(accelerator))
    return shared / batch, (spilled - shared) / batch


def _global_capacity(accelerator: AcceleratorParts) -> Float[Array, ""]:
    return jnp.zeros(()) if accelerator.global_memory is None else accelerator.global_memory.capacity


def memory_energies(accelerator: AcceleratorParts, moved: Traffic) -> list[Float[Array, " sites"]]:
    """Energy of the traffic at each memory, J, in the order of `MEMORIES`.

    Args:
        accelerator: The hardware.
        moved: The bits, from `traffic`.

    Returns:
        One array per memory, shape (sites,), J.
    """
    nothing = jnp.zeros_like(moved.read[:, 0])
    energies = [
        nothing if memory is None else memory.energy(moved.read[:, i]) + memory.write_energy(moved.written[:, i])
        for i, memory in enumerate(accelerator.on_chip_memories.values())
    ]
    dram = accelerator.dram
    return [*energies, nothing if dram is None else dram.energy(moved.read[:, 3] + moved.written[:, 3])]


def transfer_cycles(
    accelerator: AcceleratorParts, moved: Traffic, clock: Float[Array, " sites"]
) -> Float[Array, "sites memories"]:
    """Clock cycles that each memory needs; every bank of an SRAM reads or writes one word per cycle.

    Args:
        accelerator: The hardware.
        moved: The bits.
        clock: At each site, Hz.

    Returns:
        In the order of `MEMORIES`, shape (sites, memories), 1.
    """
    bits = moved.read + moved.written
    nothing = jnp.zeros_like(bits[:, 0])
    cycles = [
        nothing if memory is None else bits[:, i] / bits_per_cycle(memory)
        for i, memory in enumerate(accelerator.on_chip_memories.values())
    ]
    dram = accelerator.dram
    return jnp.stack([*cycles, nothing if dram is None else dram.transfer_time(bits[:, 3]) * clock], axis=-1)


def bandwidths(accelerator: AcceleratorParts, clock: Float[Array, " sites"]) -> Float[Array, "sites memories"]:
    """Bits per second that each of `MEMORIES` can move; infinite where that takes no time or the memory is absent.

    Args:
        accelerator: The hardware.
        clock: At each site, Hz.

    Returns:
        Shape (sites, memories), bit/s.
    """
    one_bit = jnp.ones((clock.shape[0], len(MEMORIES)), clock.dtype)
    cycles = transfer_cycles(accelerator, Traffic(one_bit, jnp.zeros_like(one_bit)), clock)
    return jnp.where(cycles > 0, clock[:, None] / jnp.where(cycles > 0, cycles, 1.0), jnp.inf)
