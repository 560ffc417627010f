"""Three ways to build a multiply-accumulate, side by side: area, energy, flexibility and accuracy by word length.

Slides that say "analog 500 TOPS/W, digital 200, multi-precision 0.5 to 10" compare unlike things: arrays with systems,
peaks with averages, operations with multiply-accumulates. Here every figure is of the model, with
two operations per multiply-accumulate, and the array alone is kept apart from the whole system.
"""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from amsim.chips.designs import FAMILIES, WORD_LENGTHS, Design, is_family
from amsim.circuits.checks import integer_between, part_of, words
from amsim.circuits.contract.products import DenseProduct
from amsim.circuits.contract.work import Work
from amsim.comparison.families import compare
from amsim.comparison.quantities import LABELS
from amsim.files.part_classes import registered_class, registered_names
from amsim.progress import Progress, check_progress
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.statistics.intervals import interval_names
from amsim.workloads import Workload, binary_image_network

FLEXIBILITY = {
    "switched-capacitor": "low: one bit per cell; more bits take columns, passes, converters and quieter circuits",
    "digital-binary": "medium: one bit per cell, exact; more bits take more columns and passes",
    "multi-precision": "high: a programmable processor with modes of 4, 8 and 16 bit",
}
"""Flexibility of each family, and what more bits cost."""

TRAPS = (
    "Operations: a multiply-accumulate is two; slide figures of MMAC per frame for the binary networks are operations.",
    "Peak against system: 532 TOPS/W of the analog chip are its system, 230 of the digital one a peak; that has 140.",
    "Sparsity: 10 TOPS/W of the multi-precision chip are 4 bit with zeros skipped; dense 16 bit are 0.26.",
    "Modes: the multi-precision chip has no mode of its own below 4 bit.",
)
"""Where published figures mislead (facts 1, 2 and 3)."""


def circuit_table(
    bits: Any = (16, 8, 4, 2, 1),
    *,
    families: Sequence[str] = FAMILIES,
    workload: Workload | None = None,
    dies: int = 0,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Area, energy per operation, flexibility and accuracy of the three families.

    Args:
        bits: Word lengths of weights and inputs, 1 to 16.
        families: Names of families, of one's own too (`amsim.circuits.register`); the three of amsim by default.
        workload: Network whose shape the system runs at every word length. None is the binary image network of 256
            maps, on which the two binary chips are published.
        dies: Dies on which accuracy is measured, with the reference network of each word length up to 8 bit on the
            small data set; 0 leaves accuracy out.
        progress: As in `amsim.compare`, while accuracy is measured.

    Returns:
        Dataset over (family, bits): `array_energy` of one operation in the array with its readout, `operation_energy`
        of the whole system, both J; `array_area` for one multiply-accumulate per cycle and `area` of the system, m^2;
        `accuracy_mean` with its interval, NaN where not measured; `flexibility` (family). Energies and areas are those
        of the designs' own settings, with unknown data: half of the cells high, no zeros. Accuracies are those of
        `amsim.compare`, at the settings that `amsim.comparison.find_design` finds.

    Raises:
        ValueError: No word length, one outside 1..16, an unknown family, or a negative number of dies.
    """
    integer_between("dies", dies, 0)
    check_progress(progress)
    part_of("workload", workload, Workload, optional=True)
    if not isinstance(bits, Sequence) or not bits:
        raise ValueError(f"Argument `bits` must be a sequence of at least one word length, but is {bits!r}.")
    lengths = list(bits)
    for one in lengths:
        integer_between("bits", one, 1, 16)
    network = binary_image_network() if workload is None else workload
    names = _families(families)
    designs = [[Design(family, one) for one in lengths] for family in names]
    rows = [[_figures(design, network) for design in family] for family in designs]
    variables: dict[str, Any] = {
        name: (("family", "bits"), np.array([[cell[name] for cell in row] for row in rows])) for name in rows[0][0]
    }
    variables |= _accuracies(designs, dies, progress)
    variables["flexibility"] = (("family",), np.asarray([_flexibility(family) for family in names], str))
    attributes = {
        "workload": network.name,
        "traps": "\n".join(TRAPS),
        **provenance(),
    }
    return labelled(variables, {"family": names, "bits": lengths}, attributes, labels=LABELS)


def _families(given: Sequence[str]) -> list[str]:
    names = words("families", given)
    for name in names:
        if name not in FAMILIES and not is_family(name):
            raise ValueError(
                f"Argument `families` must have names among {', '.join(FAMILIES)} and those registered "
                f"(`amsim.circuits.register`: {registered_names()}), but has {name!r}."
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"Argument `families` must have a name, and none twice, but is {', '.join(names) or 'empty'}.")
    return names


def _flexibility(family: str) -> str:
    """In words; of a family of one's own what its docstring begins with."""
    return FLEXIBILITY.get(family) or (inspect.getdoc(registered_class(family)) or "").partition("\n")[0]


def _figures(design: Design, network: Workload) -> dict[str, float]:
    """Energies and areas of one design, by name."""
    ends = network.layers[0].name, network.layers[-1].name
    accelerator = design.accelerator(first=re.escape(ends[0]), last=re.escape(ends[1]))
    array = accelerator.macros[-1]
    columns = max(array.columns // design.bits, 1) if array.digit_cells else array.columns
    # Enough positions to fill the units however they are spread.
    work = Work(DenseProduct(array.rows, columns), 64, 64 * array.rows, 1.0)
    found = array.cost(work, {})
    cost = accelerator.cost(network)
    return {
        "array_energy": float(found.energy) / (2 * work.macs),
        "operation_energy": float(cost["energy"].sum()) / (2 * network.macs),
        "array_area": float(array.area / found.peak_macs),
        "area": float(accelerator.area),
    }


def _accuracies(designs: list[list[Design]], dies: int, progress: bool | Progress | None) -> dict[str, Any]:
    names = interval_names("accuracy")
    found = {name: np.full((len(designs), len(designs[0])), np.nan) for name in names}
    measured = [design.name for family in designs for design in family if design.bits in WORD_LENGTHS] if dies else []
    if measured:
        result = compare(measured, dies=dies, progress=progress)
        for row, family in enumerate(designs):
            for column, design in enumerate(family):
                if design.name in measured:
                    for name in names:
                        found[name][row, column] = float(result[name].sel(design=design.name))
    return {name: (("family", "bits"), values) for name, values in found.items()}
