"""Pictures as files: pixels or lines, by the ending of the name."""

from pathlib import Path
from typing import Any

import matplotlib

from amsim.files.whole_file import check_writable, write_whole
from amsim.plot.style import settings

FORMATS = ("png", "pdf", "svg")
DOTS = 150
"""Dots per inch of pixels."""


def check_picture(path: Path, argument: str = "--plot") -> None:
    """Find out before the work whether a picture can be written.

    Raises:
        ValueError: Another ending than those of `FORMATS`, or a path that cannot be written.
    """
    if path.suffix.removeprefix(".") not in FORMATS:
        raise ValueError(f"Argument `{argument}` must end in .png, .pdf or .svg, but is {path}.")
    check_writable(path.parent, argument, path.name)


def write_picture(path: Path, figure: Any) -> None:
    """Write a figure as PNG, PDF or SVG by the ending of its name; text stays text, in PDF with its fonts inside.

    Raises:
        OSError: The disk is full, or the file cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    fonts: Any = {name: settings()[name] for name in ("pdf.fonttype", "svg.fonttype")}
    # No time of writing, so that the same result gives the same file.
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    with matplotlib.rc_context(fonts):
        write_whole(path, lambda file: figure.savefig(file, format=kind, dpi=DOTS, metadata=dates))
