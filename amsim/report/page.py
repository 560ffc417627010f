"""One HTML page of any results: it needs no network, and no text of a result can run in it."""

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from rich.table import Table

from amsim.circuits.checks import shown, text
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import write_whole_text
from amsim.report.charts import Chart, charts_of
from amsim.report.result_file import open_result, printable_result, store_progress
from amsim.report.scope import FIRST_ORDER, NOT_MODELLED, modelled
from amsim.report.tables import described_hardware, provenance_lines, result_kind, result_tables
from amsim.report.verdicts import verdict_lines
from amsim.results.fitting_table import one_line, plain_cell

FILES = Path(__file__).parent / "page_files"

LONGEST = 20_000
"""Most letters of an attribute on a page; the file of the result has the rest."""


def write_report(
    results: xr.Dataset | str | Path | Sequence[xr.Dataset | str | Path], path: str | Path, *, title: str | None = None
) -> Path:
    """Write results as one HTML page that opens without a network, on a phone, and prints.

    The page has the verdict, charts that answer to the reader (hover, choice of families and quantities, linear or
    logarithmic axes), the tables of `amsim show`, the origin with all stored parameters, and what is not modelled.

    Args:
        results: A result, the file or store of one, or several of either.
        path: Where to write the page.
        title: Of the page; None takes the names of the results.

    Returns:
        The path of the page.

    Raises:
        ValueError: No result, something else than a result, a file that cannot be read, a path that is no path, or a
            title that is no text.
        FileNotFoundError: A file is missing.
        ImportError: The packages of the extra `report` are not installed.
    """
    target = checked_path("path", path)
    if title is not None:
        text(title=title)
    write_whole_text(target, page_text(_named("results", results), title=title))
    return target


def page_text(results: dict[str, tuple[xr.Dataset, list[str]]], *, title: str | None = None) -> str:
    """HTML of a page of results.

    Args:
        results: Each result with the lines on its progress, by name.
        title: Of the page; None takes the names of the results.

    Raises:
        ImportError: The packages of the extra `report` are not installed.
    """
    environment, library = _libraries()
    from markupsafe import Markup

    script = (FILES / "page.js").read_text(encoding="utf-8")
    content = {
        "title": title or ", ".join(results),
        "version": importlib.metadata.version("amsim"),
        "results": [_section(name, result, progress, Markup) for name, (result, progress) in results.items()],
        "left_out": NOT_MODELLED,
        "validity": FIRST_ORDER,
        "style": Markup((FILES / "page.css").read_text(encoding="utf-8")),
        "library": Markup(library),
        "script": Markup(script),
        # The browser runs these two scripts and no other, whatever a result has in its texts.
        "policy": Markup(" ".join(map(_hash, (library, script)))),
    }
    return environment.get_template("page.html").render(content)


def _libraries() -> tuple[Any, str]:
    """Templates that escape what they are given, and the text of plotly.js."""
    try:
        from jinja2 import Environment, FileSystemLoader
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ImportError("A page needs plotly and Jinja2: pip install 'amsim[report]'.") from None
    environment = Environment(loader=FileSystemLoader(FILES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment, get_plotlyjs()


def _named(argument: str, given: Any) -> dict[str, tuple[xr.Dataset, list[str]]]:
    held = [given] if isinstance(given, xr.Dataset | str | Path) else given
    if not isinstance(held, Sequence) or not held:
        wrong = repr(held) if isinstance(held, Sequence) else shown(given)
        raise ValueError(f"Argument `{argument}` must be results or paths of results, at least one, but is {wrong}.")
    found: dict[str, tuple[xr.Dataset, list[str]]] = {}
    for number, one in enumerate(held, 1):
        if isinstance(one, xr.Dataset):
            if "amsim_version" not in one.attrs:
                raise ValueError(
                    f"Argument `{argument}` is not a result of amsim: it has no attribute `amsim_version`."
                )
            name, opened = f"result {number}" if len(held) > 1 else "result", (printable_result(one), list[str]())
        else:
            file = checked_path(argument, one, "a result of amsim, or the path of one")
            name, opened = file.name, (open_result(file), store_progress(file))
        found[name if name not in found else f"{name} ({number})"] = opened
    return found


def _section(name: str, result: xr.Dataset, progress: list[str], markup: Any) -> dict[str, Any]:
    lines = provenance_lines(result)
    return {
        "name": name,
        "kind": result_kind(result),
        "progress": progress,
        "verdict": verdict_lines(result),
        "charts": [{**chart, "json": markup(_json(chart))} for chart in charts_of(result)],
        "tables": [_cells(table) for table in result_tables(result)],
        "origin": [line.partition(": ")[::2] for line in lines[1:]],
        "parameters": [(str(name), _pretty(value)) for name, value in result.attrs.items()],
        "modelled": modelled(described_hardware(result)),
    }


def _json(chart: Chart) -> str:
    """Data of a chart inside of a script element, which only `<` could end."""
    kept = {name: chart[name] for name in ("switched", "choices")}
    return json.dumps(kept, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _hash(script: str) -> str:
    """Source expression of a script for a content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _cells(table: Table) -> dict[str, Any]:
    """Content of a printed table."""
    headings = [{"text": one_line(str(column.header)), "right": column.justify == "right"} for column in table.columns]
    columns = [[plain_cell(cell) for cell in column.cells] for column in table.columns]
    rows = [
        {"marked": row.style is not None, "cells": list(zip(headings, cells, strict=True))}
        for row, cells in zip(table.rows, zip(*columns, strict=True), strict=True)
    ]
    return {"title": one_line(str(table.title or "")), "headings": headings, "rows": rows}


def _pretty(value: Any) -> str:
    """An attribute as text, JSON with its structure."""
    parts = [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
    text = "\n".join(_indented(part) for part in parts)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n... {len(text) - LONGEST} more letters in the file"


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
