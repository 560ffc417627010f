"""Report of `validate` as text: one table per level, the misses with their reasons, and a summary line."""

import math

import xarray as xr
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from amsim.results.fitting_table import FittingTable
from amsim.results.units import with_prefix
from amsim.validation.rung import KINDS, LEVELS

DIGITS = 4
"""Of model and reference."""


def level_tables(report: xr.Dataset) -> list[Table]:
    """One table of 80 columns per level that has rungs; sources are below the names of their rungs."""
    found = [level for level in LEVELS if level in report["level"].values]
    return [_level_table(level, report.isel(rung=report["level"].values == level)) for level in found]


def misses(report: xr.Dataset) -> list[str]:
    """One line per rung outside its tolerance, with the reason."""
    return [
        f"{rung} ({row['kind'].item()}{', held out' if row['held_out'].item() else ''}): "
        f"{_model(row)} for {_reference(row)}. {row['note'].item() or 'No reason is known.'}"
        for rung, row in _rows(report)
        if not row["within"].item()
    ]


def summary(report: xr.Dataset) -> str:
    """Summary line: number of rungs within their tolerance, and those of each kind that are not."""
    within = report["within"].values
    parts = [f"{int(within.sum())} of {within.size} rungs within tolerance"]
    for kind in reversed(KINDS):
        names = [str(name) for name in report["rung"].values[~within & (report["kind"].values == kind)]]
        if names:
            parts.append(f"{len(names)} {_word(kind)} missed: {', '.join(names)}")
    predicted = report["kind"].values == "predicted"
    if predicted.any():
        parts.append(f"of {int(predicted.sum())} predicted {int((predicted & within).sum())} within")
    held_out = report["held_out"].values
    if held_out.any():
        parts.append(f"of {int(held_out.sum())} held out {int((held_out & within).sum())} within")
    return "; ".join(parts) + "."


def _level_table(level: str, report: xr.Dataset) -> Table:
    passed = int(report["within"].values.sum())
    title = f"{level}: {passed} of {report.sizes['rung']} within tolerance"
    table = FittingTable(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True, width=80)
    table.add_column("rung, source", ratio=1, overflow="fold")
    for heading in ("model", "reference", "ratio", "tolerance"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for rung, row in _rows(report):
        missed = not row["within"].item()
        kind = _word(row["kind"].item()) + ("\nheld out" if row["held_out"].item() else "")
        table.add_row(
            Group(Text(rung), *(Padding(Text(text, style="dim"), (0, 0, 0, 2)) for text in _small_print(row))),
            _model(row),
            _reference(row).replace(" .. ", " ..\n"),
            _ratio(row["ratio"].item()),
            _tolerance(row),
            f"{kind}\nMISS" if missed else kind,
            style="red" if missed else None,
        )
    return table


def _small_print(row: xr.Dataset) -> list[str]:
    """Source, and the remark on a reference that is met; the reason of a miss is listed with the misses."""
    note = row["note"].item() if row["within"].item() else ""
    return [row["source"].item(), *([note] if note else [])]


def _rows(report: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    return [(str(name), report.isel(rung=index)) for index, name in enumerate(report["rung"].values)]


def _model(row: xr.Dataset) -> str:
    return with_prefix(row["model"].item(), row["unit"].item(), DIGITS)


def _reference(row: xr.Dataset) -> str:
    low, high = (with_prefix(row[f"reference_{end}"].item(), row["unit"].item(), DIGITS) for end in ("low", "high"))
    return low if row["reference_low"].item() == row["reference_high"].item() else f"{low} .. {high}"


def _ratio(ratio: float) -> str:
    if math.isnan(ratio):
        return "-"
    return f"{ratio:.3f}" if 0.01 <= abs(ratio) < 100 else f"{ratio:.2g}"


def _tolerance(row: xr.Dataset) -> str:
    tolerance = row["tolerance"].item()
    if tolerance == 0:
        return "exact" if row["reference_low"].item() == row["reference_high"].item() else "range"
    return with_prefix(tolerance, row["unit"].item(), DIGITS) if row["absolute"].item() else f"{100 * tolerance:.3g} %"


def _word(kind: str) -> str:
    return kind.split()[0]
