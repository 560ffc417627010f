"""The whole ladder of trust, run and laid out as a Dataset."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import xarray as xr

from amsim.circuits.checks import shown
from amsim.progress import Progress, check_progress, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.spice import SpiceError
from amsim.validation.closed_forms import CLOSED_FORMS
from amsim.validation.converter_tests import CONVERTER_TESTS
from amsim.validation.energy_tables import ENERGY_TABLES
from amsim.validation.exactness import EXACTNESS
from amsim.validation.published_accuracy import accuracy_rungs
from amsim.validation.published_chips import chip_rungs
from amsim.validation.rung import LEVELS, Rung
from amsim.validation.simulator_cases import SIMULATOR_CASES

LABELS = {
    "rung": ("1", "rung of the ladder of trust"),
    "model": ("unit of the rung", "value by the model"),
    "reference": ("unit of the rung", "reference, of a range the nearest end"),
    "reference_low": ("unit of the rung", "low end of the reference"),
    "reference_high": ("unit of the rung", "high end of the reference"),
    "ratio": ("1", "model over reference"),
    "tolerance": ("1 or unit of the rung", "allowed distance from the reference, relative unless absolute"),
    "absolute": ("1", "whether the tolerance is in the unit of the rung"),
    "within": ("1", "whether the model is within the tolerance"),
    "unit": ("1", "unit of model and reference"),
    "level": ("1", "level of the ladder of trust"),
    "kind": ("1", "whether the model was calibrated on the reference"),
    "source": ("1", "source of the reference"),
    "held_out": ("1", "whether the reference was set aside before calibration"),
    "note": ("1", "why a miss is missed"),
}
"""Unit and long name of what a report of the ladder has."""


def all_rungs() -> tuple[Rung, ...]:
    """Every rung of the ladder, from closed forms up to published curves.

    Returns:
        Rungs in the order of `LEVELS`.
    """
    circuits = CLOSED_FORMS + ENERGY_TABLES + SIMULATOR_CASES + CONVERTER_TESTS + EXACTNESS
    rungs = circuits + chip_rungs() + accuracy_rungs()
    return tuple(sorted(rungs, key=lambda rung: LEVELS.index(rung.level)))


def validate(rungs: Sequence[Rung] | None = None, *, progress: bool | Progress | None = None) -> xr.Dataset:
    """Compare the model with its references, rung by rung.

    A miss is a result, not an error. A rung whose circuit simulator is missing or fails is left out, and the attribute
    `absent` has the reason.

    Args:
        rungs: What to compare; None is `all_rungs()`.
        progress: True shows a bar with the time left; a function is called with (level, rungs done, rungs).

    Returns:
        Dataset over `rung`: `model`, `reference` (of a range, the end nearest to the model), its ends `reference_low`
        and `reference_high`, `ratio` of model to reference (NaN for a reference of 0), `tolerance` (relative, or in
        the unit where `absolute`), `within`, `unit`, `level`, `kind`, `held_out`, `source` and `note`.

    Raises:
        ValueError: No rung, two of one name, or something else than rungs.
    """
    check_progress(progress)
    if rungs is not None and not (isinstance(rungs, Sequence) and all(isinstance(rung, Rung) for rung in rungs)):
        raise ValueError(f"Argument `rungs` must be a list of `Rung`, but is {shown(rungs)}.")
    chosen = all_rungs() if rungs is None else tuple(rungs)
    names = [rung.name for rung in chosen]
    if not names or len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            "Argument `rungs` must have at least one rung and each name once, but "
            + (f"names {', '.join(twice)} twice." if twice else "is empty.")
        )
    done: list[tuple[Rung, float]] = []
    absent: list[str] = []
    with reporting(progress) as report:
        for number, rung in enumerate(chosen):
            report(rung.level, number, len(chosen))
            try:
                done.append((rung, float(np.asarray(rung.model()))))
            except SpiceError as error:
                absent.append(f"{rung.name}: {error}")
        report("done", len(chosen), len(chosen))
    return _dataset(done, absent)


def _dataset(done: list[tuple[Rung, float]], absent: list[str]) -> xr.Dataset:
    numbers = {
        "model": [value for _, value in done],
        "reference": [rung.nearest_end(value) for rung, value in done],
        "reference_low": [rung.ends[0] for rung, _ in done],
        "reference_high": [rung.ends[1] for rung, _ in done],
        "ratio": [rung.ratio(value) for rung, value in done],
        "tolerance": [rung.tolerance for rung, _ in done],
    }
    flags = {
        "absolute": [rung.absolute for rung, _ in done],
        "within": [rung.within(value) for rung, value in done],
        "held_out": [rung.held_out for rung, _ in done],
    }
    texts = {name: [getattr(rung, name) for rung, _ in done] for name in ("unit", "level", "kind", "source", "note")}
    columns = {
        **{name: np.asarray(values, float) for name, values in numbers.items()},
        **{name: np.asarray(values, bool) for name, values in flags.items()},
        **{name: np.asarray(values, str) for name, values in texts.items()},
    }
    return labelled(
        {name: (("rung",), values) for name, values in columns.items()},
        {"rung": np.asarray([rung.name for rung, _ in done], str)},
        {
            "absent": "; ".join(absent),
            "precision": str(jnp.result_type(float)),
            **provenance(),
        },
        labels=LABELS,
    )
