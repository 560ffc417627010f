"""Tables and lines of a network that was inspected."""

import math

import xarray as xr
from rich.table import Table

from amsim.report.columns import right_aligned


def inspection_tables(result: xr.Dataset) -> list[Table]:
    """Sites with their shapes and work; with hardware also what it makes of them."""
    attributes = result.attrs
    work = right_aligned(str(attributes["network"]), "site", "input", "weight", "output", "MACs", "weights")
    for number, name in enumerate(result["site"].values):
        row = result.isel(site=number)
        shapes = (str(row[one].values) or "-" for one in ("input_shape", "weight_shape", "output_shape"))
        work.add_row(str(name), *shapes, str(int(row["macs"])), str(int(row["weights"])))
    work.add_row("all", "", "", "", str(int(result["macs"].sum())), str(int(result["weights"].sum())))
    if not attributes["hardware"]:
        return [work]
    title = f"on {attributes['hardware']}"
    placed = right_aligned(title, "site", "macro", "read as", "rows x columns", "tiles", "line rows", "rows in use %")
    for number, name in enumerate(result["site"].values):
        row = result.isel(site=number)
        if not str(row["macro"].values):
            continue
        used = float(row["rows_in_use"])
        placed.add_row(
            str(name),
            str(row["macro"].values),
            str(row["readout"].values),
            f"{int(row['rows'])} x {int(row['columns'])}",
            str(int(row["tiles"])),
            str(int(row["line_rows"])) if int(row["line_rows"]) else "-",
            "-" if math.isnan(used) else f"{100 * used:.0f}",
        )
    return [work, placed]


def inspection_lines(result: xr.Dataset) -> list[str]:
    """What stays digital and why, and whether the network fixes its words."""
    attributes = result.attrs
    names, reasons = result["site"].values, result["reason"].values
    lines = [f"{name}: {reason}" for name, reason in zip(names, reasons, strict=True) if str(reason)]
    lines += [str(one) for one in attributes["other_products"]]
    bits = int(attributes["word_length"])
    lines.append(f"Parameters: {int(attributes['parameters'])}.")
    lines.append(
        f"Words of weights and inputs: fixed by the network, of {bits} bit."
        if bits
        else "Words of weights and inputs: left open by the network; `amsim compare` chooses them from training items."
    )
    return lines
