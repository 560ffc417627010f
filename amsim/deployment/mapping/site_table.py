"""Table of sites: where each product landed, or why it stays digital."""

import io
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from amsim.deployment.site_ranges import Calibration, SiteRanges

FROM_DATA = "from data"
"""Range of inputs that each vector of them chooses for itself."""

CODING = "{} x {}"
"""Digits of inputs and of weights."""

WIDTH = 190
"""Characters of a line at most; columns that are empty in every row are left out."""


class SiteRow(NamedTuple):
    """One line of the site table: a product on a macro, or one that stays digital.

    Attributes:
        name: Name of the site.
        operation: JAX's name of the product.
        rows: Rows of the product; this and what follows is None for what stays digital.
        columns: Columns of the product.
        tiles: Tiles of the macro's rows that it takes.
        line_rows: Rows on a line of the macro with the banks that the site uses.
        macro: Class of the macro.
        readout: "comparator" or "number".
        reading: "lumped" where numbers are read in one product for all slices; None for exact readings.
        weight_bits: Bits of a weight.
        input_bits: Bits of an input.
        coding: Digits of inputs and of weights in cells that hold a digit each, such as "bipolar x ternary".
        input_range: Range of the inputs that the program or a calibration fixes, or "from data".
        readout_range: Full scale of the converters that a calibration chose, relative to the swing of the driven rows.
        unrolling: Loops that fill rows and columns of units, where the macro's organisation has the choice.
        utilisation: Multiply-accumulates relative to the peak of all units in the time of the site, 1, then.
        inside: Loops and branches around it, the outermost first.
        reason: Why it stays digital; empty on a macro.
        note: Why a macro with comparators does not decide it, what the mapping wastes, and why a calibration chose as
            it did, below the table; None where nothing.
    """

    name: str
    operation: str
    rows: int | None = None
    columns: int | None = None
    tiles: int | None = None
    line_rows: int | None = None
    macro: str | None = None
    readout: str | None = None
    reading: str | None = None
    weight_bits: int | None = None
    input_bits: int | None = None
    coding: str | None = None
    input_range: str | None = None
    readout_range: float | None = None
    unrolling: str | None = None
    utilisation: float | None = None
    inside: str = ""
    reason: str = ""
    note: str | None = None

    @property
    def on_macro(self) -> bool:
        """Whether the product is on a macro."""
        return self.macro is not None


def _calibrated(row: SiteRow, ranges: SiteRanges) -> SiteRow:
    """The row with what a calibration chose for its site."""
    code = ranges.inputs
    if code is not None:
        row = row._replace(input_range=f"{code.low:.3g} to {code.high:.3g}")
    if ranges.readout is not None:
        row = row._replace(readout_range=float(f"{ranges.readout:.3g}"))
    if row.coding is not None and code is not None and ranges.weights is not None:
        row = row._replace(coding=CODING.format(code.digit_set, ranges.weights.digit_set))
    if ranges.reason:
        row = row._replace(note=" ".join(filter(None, (row.note, ranges.reason))))
    return row


class SiteTable(tuple[SiteRow, ...]):
    """Where each product landed, or why it stays digital; prints as a table.

    Attributes:
        others: Number of operations without a row, by kind: above all products that have no weight.
        remarks: What defaults do that no row shows, such as the trim of comparators, a sentence each.
    """

    others: dict[str, int]
    remarks: tuple[str, ...]

    def __new__(
        cls, rows: Iterable[SiteRow] = (), others: Mapping[str, int] | None = None, remarks: Iterable[str] = ()
    ) -> "SiteTable":
        """Table of these rows, with the numbers of other products and remarks."""
        table = super().__new__(cls, rows)
        table.others = {kind: count for kind, count in (others or {}).items() if count}
        table.remarks = tuple(remarks)
        return table

    def with_notes(self, notes: Mapping[str, str]) -> "SiteTable":
        """The table with further notes by the name of the site."""
        rows = (
            row._replace(note=" ".join(filter(None, (row.note, notes[row.name])))) if notes.get(row.name) else row
            for row in self
        )
        return self.with_rows(rows)

    def with_rows(self, rows: Iterable[SiteRow]) -> "SiteTable":
        """The table with other rows."""
        return SiteTable(rows, self.others, self.remarks)

    def calibrated(self, calibration: Calibration) -> "SiteTable":
        """The table with the codes and ranges that a calibration chose."""
        rows = (_calibrated(row, calibration.of(row.name)) if row.on_macro else row for row in self)
        return self.with_rows(rows)

    def __str__(self) -> str:
        """The table as text."""
        unused = {"note"} | {
            field for field in SiteRow._fields if all(getattr(row, field) in (None, "") for row in self)
        }
        fields = [field for field in SiteRow._fields if field not in unused]
        console = Console(width=WIDTH, record=True, file=io.StringIO(), force_jupyter=False)
        table = Table(box=None)
        for field in fields:
            # Names of classes are looked for in the text, and must not be broken.
            longest = max((len(row.macro or "") for row in self), default=0) if field == "macro" else None
            table.add_column(field.replace("_", " "), overflow="fold", min_width=longest)
        for row in self:
            table.add_row(*("-" if (value := getattr(row, field)) is None else str(value) for field in fields))
        console.print(table)
        lines = [f"{row.name}: {row.note}" for row in self if row.note]
        lines += [f"{count} x {kind}" for kind, count in self.others.items()]
        lines += self.remarks
        return "\n".join([console.export_text().rstrip(), *lines])

    __repr__ = __str__
