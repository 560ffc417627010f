"""Choice of the loops that fill an array of units at a site: fewest cycles, then least traffic."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int

from amsim.circuits.contract.work import MacroCost
from amsim.system.hardware import AcceleratorParts, bits_per_cycle


def undominated(costs: Sequence[tuple[MacroCost, MacroCost]]) -> list[int]:
    """Numbers of the ways to fill units that no other one equals or beats in all counts at once.

    They alone can take the fewest cycles, whatever clock, memories and instructions are: fuller units, fewer weights
    and fewer inputs never take longer. Most sites keep one or two, so that little is left to compile.

    Args:
        costs: Cost of a site and of its largest part, for each way.
    """
    counts = [
        tuple(count for one in both for count in (-one.filled, one.weight_bits, one.input_bits)) for both in costs
    ]

    def beats(other: int, number: int) -> bool:
        no_worse = all(a <= b for a, b in zip(counts[other], counts[number], strict=True))
        return no_worse and (counts[other] != counts[number] or other < number)

    numbers = range(len(counts))
    return [number for number in numbers if not any(beats(other, number) for other in numbers)]


def fewest_cycles(
    accelerator: AcceleratorParts, ways: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], Int[Array, ""] | int]:
    """Counts of the way to fill the units that takes the fewest cycles.

    Units compute, weights stream in and activations move at the same time, so that a way takes as long as the slowest
    of the three: units that wait for weights gain nothing from being full. Of ways that take as long, the one that
    moves the fewest bits; of those again, the first.

    Args:
        accelerator: The hardware.
        ways: Counts of one run of a site by name, as in `SiteCounts`, one for each way.

    Returns:
        Its counts, and its number among the ways. Piecewise constant in all parameters.
    """
    if len(ways) == 1:
        return dict(ways[0]), 0
    counts = {name: jnp.stack([jnp.asarray(way[name], float) for way in ways]) for name in ways[0]}
    weights, activations = counts["weight_bits"], counts["input_bits"] + counts["output_bits"]
    cycles = jnp.maximum(
        counts["compute_cycles"] + counts["overhead_cycles"],
        jnp.maximum(
            weights / bits_per_cycle(accelerator.weight_memory),
            activations / bits_per_cycle(accelerator.activation_memory),
        ),
    )
    best = jnp.argmin(jnp.where(cycles == jnp.min(cycles), weights + activations, jnp.inf))
    return {name: values[best] for name, values in counts.items()}, best
