"""Bench of a repair: the samples that a die is measured with, and the effort that this costs."""

import dataclasses
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from amsim.datasets.inputs import count_items, first_arguments
from amsim.datasets.split import Split
from amsim.deployment.chip import Chip, traced_chip
from amsim.deployment.input_shapes import shapes_of
from amsim.deployment.mapping.mapper import MappedSite
from amsim.deployment.observation import column_means
from amsim.deployment.site_ranges import Calibration, SiteRanges
from amsim.evaluation.batches import batch_key, batches

ENERGY_ITEMS = 16
"""Number of samples whose activity determines the energy of an inference."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """Cost of a repair on one die.

    Attributes:
        stored_bits: Bits that the die stores permanently.
        inferences: Inferences that the die runs for the repair.
        decisions: Further decisions of single comparators.
        energy: Energy of inferences and decisions, J.
    """

    stored_bits: float = 0.0
    inferences: int = 0
    decisions: float = 0.0
    energy: float = 0.0


@dataclasses.dataclass(frozen=True)
class Bench:
    """Samples and the ideal chip that a die is compared with.

    Attributes:
        ideal: The network on ideal hardware, whose columns are the target.
        samples: Labelled samples that the die is measured with.
        batch: Samples computed at once.
        key: Draws the dynamic noise of the measurement.
    """

    ideal: Chip
    samples: Split
    batch: int
    key: PRNGKeyArray

    def means(self, chip: Chip, reading: int) -> dict[str, Array]:
        """Mean over the samples of each column of each site, with the noise of one reading."""
        return self._means(chip, jax.random.fold_in(self.key, reading))

    @cached_property
    def target(self) -> dict[str, Array]:
        """Mean over the samples of each column of each site on ideal hardware."""
        return self._means(self.ideal, None)

    def sites(self, chip: Chip) -> list[MappedSite]:
        """Sites of a chip on macros that have errors, in the order in which they run."""
        mapped = traced_chip(chip, shapes_of(first_arguments(self.samples.inputs, self.batch))).sites
        return [one for one in mapped if not chip.accelerator.macros[one.macro].deterministic]

    def inferences(self, chip: Chip, passes: int, stored_bits: float) -> Effort:
        """Effort of this many passes over the samples."""
        count = passes * len(self.samples)
        joules = float(chip.energy(*first_arguments(self.samples.inputs, ENERGY_ITEMS))) if count else 0.0
        return Effort(stored_bits, count, 0.0, count * joules)

    def _means(self, chip: Chip, key: PRNGKeyArray | None) -> dict[str, Array]:
        total: dict[str, Array] = {}
        for number, part in enumerate(batches(self.samples.inputs, self.batch)):
            size = count_items(part)
            found = column_means(chip, part, batch_key(key, number * self.batch, size, len(self.samples)))
            share = size / len(self.samples)
            total = {name: total.get(name, jnp.zeros_like(mean)) + share * mean for name, mean in found.items()}
        return total


def with_ranges(chip: Chip, name: str, **values: Any) -> Chip:
    """Chip with other settings of one site."""
    sites = {} if chip.calibration is None else dict(chip.calibration.sites)
    sites[name] = dataclasses.replace(sites.get(name, SiteRanges()), **values)
    return dataclasses.replace(chip, calibration=Calibration(sites))
