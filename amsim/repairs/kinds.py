"""Repairs by name: comparator trim, thresholds, offsets of results, batch statistics."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from amsim.calibration.batch_statistics import reestimate_statistics
from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.trim import Trim
from amsim.circuits.checks import LARGEST_COUNT, function, integer_between, is_real_number, part_of, shown
from amsim.circuits.contract.macro import Macro
from amsim.deployment.chip import Chip
from amsim.repairs.bench import Bench, Effort, with_ranges

Repair = Callable[[Chip, Bench], tuple[Chip, Effort]]
"""Measurement and repair of one die: from a chip on it to the repaired chip and the effort."""


@dataclasses.dataclass(frozen=True)
class Trimming:
    """Trims every comparator again, where the new trim is finer than its present one.

    Attributes:
        trim: The new trim, found by `Trim.decisions` decisions per comparator.
    """

    trim: Trim = dataclasses.field(default_factory=Trim)

    def __post_init__(self) -> None:
        """Check the trim."""
        part_of("trim", self.trim, Trim)

    def __call__(self, chip: Chip, bench: Bench) -> tuple[Chip, Effort]:
        """Chip with other trim codes; raw offsets and measurement errors are part of the die and stay."""
        bits, decisions, energy = 0.0, 0.0, 0.0
        macros: list[Macro] = []
        for macro in chip.accelerator.macros:
            if isinstance(macro, CapacitorArray) and self._is_finer(macro.comparator):
                assert macro.comparator is not None
                trimmed = dataclasses.replace(macro.comparator, trim=self.trim)
                bits += macro.columns * self.trim.bits
                decisions += macro.columns * float(self.trim.decisions)
                energy += macro.columns * float(self.trim.energy(trimmed.energy()))
                macros.append(dataclasses.replace(macro, comparator=trimmed))
            else:
                macros.append(macro)
        accelerator = eqx.tree_at(lambda one: one.macros, chip.accelerator, tuple(macros))
        return dataclasses.replace(chip, accelerator=accelerator), Effort(bits, 0, decisions, energy)

    def _is_finer(self, comparator: Comparator | None) -> bool:
        if comparator is None:
            return False
        present = comparator.trim
        return present is None or float(present.range) == 0 or float(self.trim.step) < float(present.step)


@dataclasses.dataclass(frozen=True)
class ThresholdTuning:
    """Moves the thresholds of fused neurons through their bias DACs until each fires as often as in the ideal network.

    Site after site in the order in which they run, all columns of a site at once, by successive approximation
    from `span / 2` counts down to `span / 2**steps`; of all thresholds tried, the first included, the one whose mean
    decision over the samples is nearest to the ideal one stays. Each step is a pass over the samples.

    Attributes:
        span: Largest shift, counts.
        steps: Steps of the approximation.
    """

    span: float = 32.0
    steps: int = 5

    def __post_init__(self) -> None:
        """Check both settings."""
        integer_between("steps", self.steps, 1, 12)
        if not is_real_number(self.span) or not 0 < self.span <= LARGEST_COUNT:
            raise ValueError(f"Argument `span` must be above 0 and at most {LARGEST_COUNT}, but is {shown(self.span)}.")

    def __call__(self, chip: Chip, bench: Bench) -> tuple[Chip, Effort]:
        """Chip with a tuning for each column of its fused neurons, on top of any that it has."""
        chip = bench.by_use(chip)
        sites = {one.site.name: one.site.product.columns for one in bench.sites(chip) if one.chain is not None}
        for name, columns in sites.items():
            chip = with_ranges(chip, name, tuning=_stored(chip, name, "tuning", columns))
        passes = 0
        for name in sites:
            chip = with_ranges(chip, name, tuning=self._tune(chip, name, bench, passes))
            passes += self.steps + 1
        code_bits = math.ceil(math.log2(2 * self.span + 1))
        return chip, bench.inferences(chip, passes, float(sum(sites.values()) * code_bits))

    def _tune(self, chip: Chip, name: str, bench: Bench, reading: int) -> Array:
        assert chip.calibration is not None
        tuning = chip.calibration.of(name).tuning
        assert tuning is not None
        best, least = tuning, jnp.full_like(tuning, jnp.inf)
        for number in range(self.steps + 1):
            missing = bench.target[name] - bench.means(with_ranges(chip, name, tuning=tuning), reading + number)[name]
            better = jnp.abs(missing) < least
            best, least = jnp.where(better, tuning, best), jnp.where(better, jnp.abs(missing), least)
            tuning = tuning + jnp.sign(missing) * (self.span / 2 ** (number + 1))
        return best


@dataclasses.dataclass(frozen=True)
class OffsetCorrection:
    """Adds to each column that is read as a number its mean error over the samples.

    Site after site in the order in which they run, so that each is measured behind corrected ones.

    Attributes:
        word: Bits per stored correction.
    """

    word: int = 16

    def __post_init__(self) -> None:
        """Check the word."""
        integer_between("word", self.word, 1, 32)

    def __call__(self, chip: Chip, bench: Bench) -> tuple[Chip, Effort]:
        """Chip with an offset for each column that is read as a number."""
        chip = bench.by_use(chip)
        sites = {one.site.name: one.site.product.columns for one in bench.sites(chip) if one.chain is None}
        for name, columns in sites.items():
            chip = with_ranges(chip, name, offset=_stored(chip, name, "offset", columns))
        for number, name in enumerate(sites):
            missing = bench.target[name] - bench.means(chip, number)[name]
            chip = with_ranges(chip, name, offset=_stored(chip, name, "offset", sites[name]) + missing)
        return chip, bench.inferences(chip, len(sites), float(self.word * sum(sites.values())))


@dataclasses.dataclass(frozen=True)
class BatchStatistics:
    """Re-estimates the network's batch statistics on the die: `amsim.reestimate_statistics`.

    Attributes:
        statistics: `statistics(params, inputs)` returns the parameters with the statistics of a batch.
        word: Bits per stored statistic.
    """

    statistics: Callable[[PyTree, Any], PyTree]
    word: int = 32

    def __post_init__(self) -> None:
        """Check both."""
        function("statistics", self.statistics, "(params, inputs)")
        integer_between("word", self.word, 1, 32)

    def __call__(self, chip: Chip, bench: Bench) -> tuple[Chip, Effort]:
        """Chip with its own statistics."""
        measured = reestimate_statistics(chip, self.statistics, bench.samples, key=bench.key, batch=bench.batch)
        stored_bits = float(self.word * count_changed_numbers(chip.params, measured.params))
        return measured, bench.inferences(chip, 1, stored_bits)


def count_changed_numbers(before: PyTree, after: PyTree) -> int:
    """Number of elements in the arrays that differ."""
    leaves = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return sum(one.size for one, other in leaves if eqx.is_array(one) and bool(jnp.any(one != other)))


def _stored(chip: Chip, name: str, kind: str, columns: int) -> Array:
    found = None if chip.calibration is None else getattr(chip.calibration.of(name), kind)
    return jnp.zeros((columns,)) if found is None else found


REPAIRS: dict[str, Callable[[], Repair]] = {
    "trim": Trimming,
    "thresholds": ThresholdTuning,
    "offsets": OffsetCorrection,
}
"""Repairs that need no further settings."""
