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
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.batches import batch_key, batches
from amsim.workloads.use_names import known_as, layer_of

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
        return [one for one in self._mapped(chip) if not chip.accelerator.macros[one.macro].deterministic]

    def by_use(self, chip: Chip) -> Chip:
        """The same chip with a choice of its own for each later use of a layer, so that each can be changed alone."""
        calibration = Calibration() if chip.calibration is None else chip.calibration
        coded = [one.site.name for one in self._mapped(chip) if not chip.accelerator.macros[one.macro].keeps_product]
        later = {name: calibration.of(name) for name in coded if layer_of(name) != name}
        return dataclasses.replace(chip, calibration=Calibration(later | calibration.sites)) if later else chip

    def inferences(self, chip: Chip, passes: int, stored_bits: float) -> Effort:
        """Effort of this many passes over the samples."""
        count = passes * len(self.samples)
        joules = float(chip.energy(*first_arguments(self.samples.inputs, ENERGY_ITEMS))) if count else 0.0
        return Effort(stored_bits, count, 0.0, count * joules)

    def _mapped(self, chip: Chip) -> tuple[MappedSite, ...]:
        return traced_chip(chip, shapes_of(first_arguments(self.samples.inputs, self.batch))).sites

    def _means(self, chip: Chip, key: PRNGKeyArray | None) -> dict[str, Array]:
        total: dict[str, Array] = {}
        for number, part in enumerate(batches(self.samples.inputs, self.batch)):
            size = count_items(part)
            found = column_means(chip, part, batch_key(key, number * self.batch, size, len(self.samples)))
            share = size / len(self.samples)
            total = {name: total.get(name, jnp.zeros_like(mean)) + share * mean for name, mean in found.items()}
        return total


def with_ranges(chip: Chip, name: str, **values: Any) -> Chip:
    """Chip with other settings of one site; for a layer of several uses, on a chip of `Bench.by_use`."""
    calibration = Calibration() if chip.calibration is None else chip.calibration
    own = known_as(name)[0]
    entry = {own if own in calibration.sites else name: dataclasses.replace(calibration.of(name), **values)}
    return dataclasses.replace(chip, calibration=Calibration(calibration.sites | entry))
