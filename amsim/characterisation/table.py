"""Measured transfer curves as tables: read and checked, written, and turned into a macro.

A table is a Dataset over (die, column, count) with `count_read`, the mean read value at each ideal count, and
`count_sigma`, its standard deviation over reads: what `amsim.characterise` returns, or a CSV file.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from amsim.characterisation.quantities import LABELS
from amsim.circuits.checks import at_least_one, integer_between, part_of, truth_values
from amsim.circuits.measured import Measured
from amsim.files.path_argument import checked_path
from amsim.files.regular_file import named_in_errors, read_regular_file
from amsim.files.whole_file import write_whole_text
from amsim.results.labelled import labelled

COLUMNS = ("die", "column", "count", "mean", "sigma")
"""Header of a CSV file, in any order; `die` may be left out."""

SPELLINGS = {"count_read": "mean", "count_sigma": "sigma"}
"""What a Dataset calls two of the columns; a header may use either word."""

LARGEST_FILE = 64 * 2**20
"""Bytes of a CSV file above which it is refused: over a million measured points."""

LARGEST_WORD = 2**24
"""Whole numbers above it, as die, column or count, are refused: float32 counts no further."""

_AXES = ("die", "column", "count")


def read_table(source: str | Path | xr.Dataset, *, rows: int | None = None, monotonic: bool = True) -> xr.Dataset:
    """Read a table of measured reads and check it.

    A CSV file has a header with the words of `COLUMNS`, or of `SPELLINGS` in their place, and one point per line. Lines
    that start with `#` are comments; two of them are understood: `# rows: 64`, the products per sum, and `# reads: 32`,
    the reads per mean and sigma. A file is only ever read as numbers.

    The order rule: a mean may not lie below that of the next lower count by more than 4 standard errors of their
    difference, each sigma / sqrt(reads), or sigma itself where `reads` is not known. A sigma below the rms over all
    dies and columns counts as that rms: a few reads may agree by chance.

    Args:
        source: Path of a CSV file, or a Dataset with `count_read` and `count_sigma` (die, column, count); dim `die` may
            be missing. Other variables are left out.
        rows: Products per sum; None takes the number in the source, or else its largest count.
        monotonic: Whether to demand the order rule.

    Returns:
        Dataset with `count_read` and `count_sigma` (die, column, count), axes ascending, float64; attributes `rows`
        and, where known, `reads`.

    Raises:
        ValueError: No such file, too large, not text, empty; a wrong header; a cell that is not a finite number, a
            negative sigma, a duplicate or missing point, counts that `rows` products cannot sum to or that do not reach
            from `-rows` to `rows`, or means out of order. The message names the line, or the die, column and count.
    """
    return read_named_table("source", source, rows=rows, monotonic=monotonic)


def read_named_table(argument: str, source: Any, *, rows: int | None = None, monotonic: bool = True) -> xr.Dataset:
    """Table as `read_table` reads it; an error speaks of the argument of that name."""
    truth_values(monotonic=monotonic)
    if rows is not None:
        integer_between("rows", rows, 1, LARGEST_WORD)
    given = source if isinstance(source, xr.Dataset) else checked_path(argument, source, "a path or a Dataset")
    with named_in_errors(given if isinstance(given, Path) else None):
        table, found = (
            _of_file(given, argument) if isinstance(given, Path) else (_of_dataset(given, argument), given.attrs)
        )
        attributes = {name: found[name] for name in ("rows", "reads") if name in found}
        for name, value in attributes.items():
            integer_between(name, value, 1, LARGEST_WORD)
            attributes[name] = int(value)
        if rows is not None:
            attributes["rows"] = int(rows)
        attributes.setdefault("rows", int(table.counts[-1]))
        _check_counts(table.counts, attributes["rows"])
        if monotonic:
            _check_order(table, attributes.get("reads", 1))
    return labelled(
        {"count_read": (_AXES, table.mean), "count_sigma": (_AXES, table.sigma)},
        dict(zip(_AXES, table.axes, strict=True)),
        attributes,
        labels=LABELS,
    )


def write_table(table: xr.Dataset, path: str | Path) -> None:
    """Write a table as a CSV file that `read_table` reads back to the same numbers.

    Args:
        table: As `read_table` takes it.
        path: File to write; an existing one is replaced.

    Raises:
        ValueError: It is not a table.
    """
    part_of("table", table, xr.Dataset)
    target = checked_path("path", path)
    checked = read_named_table("table", table, monotonic=False)
    lines = ["# Reads of a sum of products: mean and standard deviation over reads, in counts."]
    lines += [f"# {name}: {checked.attrs[name]}" for name in ("rows", "reads") if name in checked.attrs]
    lines.append(",".join(COLUMNS))
    points = itertools.product(*(checked[axis].values.tolist() for axis in _AXES))
    values = zip(checked["count_read"].values.ravel(), checked["count_sigma"].values.ravel(), strict=True)
    for place, (mean, sigma) in zip(points, values, strict=True):
        lines.append(",".join([*map(str, place), repr(float(mean)), repr(float(sigma))]))
    write_whole_text(target, "\n".join(lines) + "\n")


def measured_macro(
    table: str | Path | xr.Dataset,
    *,
    evaluation_energy: Any,
    evaluation_time: Any,
    array_area: Any,
    supply: Any,
    columns: int | None = None,
    monotonic: bool = True,
    **settings: Any,
) -> Measured:
    """Macro with the transfer of a table.

    Args:
        table: As `read_table` takes it.
        evaluation_energy: Measured energy of one evaluation of one column, J; 0 where it was not measured.
        evaluation_time: Measured time of one evaluation, s.
        array_area: Area of the array, m^2; 0 where it is not known.
        supply: Supply of the measurement, V.
        columns: Physical columns; None is those of the table. Any number where the table has one column.
        monotonic: As in `read_table`.
        **settings: Further fields of `amsim.circuits.Measured`, such as `weight_bits`.

    Returns:
        The macro.

    Raises:
        ValueError: As `read_table` and `Measured`.
    """
    if columns is not None:
        at_least_one(columns=columns)
    checked = read_named_table("table", table, monotonic=monotonic)
    return Measured(
        counts=tuple(checked["count"].values.tolist()),
        mean=checked["count_read"].values,
        sigma=checked["count_sigma"].values,
        evaluation_energy=evaluation_energy,
        evaluation_time=evaluation_time,
        array_area=array_area,
        supply=supply,
        rows=checked.attrs["rows"],
        columns=checked.sizes["column"] if columns is None else columns,
        **settings,
    )


class _Table(NamedTuple):
    axes: tuple[np.ndarray, np.ndarray, np.ndarray]
    mean: np.ndarray
    sigma: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return self.axes[2]

    def place(self, index: Iterable[Any]) -> str:
        names = zip(_AXES, self.axes, index, strict=True)
        return ", ".join(f"{name} {values[number]}" for name, values, number in names)


def _of_dataset(given: xr.Dataset, argument: str) -> _Table:
    other = {short: name for name, short in SPELLINGS.items() if short in given and name not in given}
    source = given.rename_vars(other)
    for name in ("count_read", "count_sigma"):
        if name not in source:
            raise ValueError(
                f"Argument `{argument}` must have the variables count_read and count_sigma, but has "
                f"{', '.join(map(str, source.data_vars)) or 'none'}."
            )
        if set(source[name].dims) - {"die"} != {"column", "count"}:
            raise ValueError(f"Variable `{name}` must have dims (die, column, count), but has {source[name].dims}.")
    ordered = source[["count_read", "count_sigma"]]
    ordered = ordered if "die" in ordered.dims else ordered.expand_dims("die")
    axes = []
    for axis in _AXES:
        values = ordered[axis].values
        if values.size == 0:
            raise ValueError(f"Argument `{argument}` must have at least one {axis}, but has none.")
        if not np.issubdtype(values.dtype, np.integer) or np.any(np.abs(values) > LARGEST_WORD):
            raise ValueError(f"Coordinate `{axis}` must be whole numbers up to {LARGEST_WORD}, but is {values!r}.")
        if len(np.unique(values)) < len(values):
            raise ValueError(f"Coordinate `{axis}` must have each value once, but is {values!r}.")
        axes.append(np.sort(values))
    ordered = ordered.sortby(list(_AXES)).broadcast_like(ordered["count_read"])
    mean, sigma = (ordered[name].transpose(*_AXES).values for name in ("count_read", "count_sigma"))
    if not all(
        np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer) for values in (mean, sigma)
    ):
        raise ValueError(f"Argument `{argument}` must hold numbers, but has dtypes {mean.dtype} and {sigma.dtype}.")
    table = _Table((axes[0], axes[1], axes[2]), mean.astype(np.float64), sigma.astype(np.float64))
    for name, values in (("count_read", table.mean), ("count_sigma", table.sigma)):
        wrong = ~np.isfinite(values) | ((values < 0) & (name == "count_sigma"))
        if np.any(wrong):
            index = np.argwhere(wrong)[0]
            allowed = "finite" if name == "count_read" else "finite and at least 0 (one read has no sigma)"
            raise ValueError(
                f"Variable `{name}` must be {allowed}, but is {values[tuple(index)]:g} at {table.place(index)}."
            )
    return table


def _of_file(path: Path, argument: str) -> tuple[_Table, dict[str, int]]:
    lines, attributes = _numbered_lines(_text_of(path, argument)), dict[str, int]()
    places: dict[tuple[int, int, int], tuple[int, float, float]] = {}
    header: list[str] | None = None
    for number, line in lines:
        if line.startswith("#"):
            attributes |= _remark(line, number)
            continue
        cells = [cell.strip().strip('"') for cell in line.split(",")]
        if header is None:
            header = _header(cells, number)
            continue
        if len(cells) != len(header):
            raise ValueError(f"Line {number} must have {len(header)} cells ({','.join(header)}), but has {len(cells)}.")
        named = dict(zip(header, cells, strict=True))
        die, column, count = (_whole(named.get(axis, "0"), axis, number) for axis in _AXES)
        if min(die, column) < 0:
            raise ValueError(f"Line {number}: die and column must be at least 0, but are {die} and {column}.")
        if (die, column, count) in places:
            first = places[die, column, count][0]
            raise ValueError(f"Line {number} repeats line {first}: die {die}, column {column}, count {count}.")
        mean, sigma = _real(named["mean"], "mean", number), _real(named["sigma"], "sigma", number)
        if sigma < 0:
            raise ValueError(f"Line {number}: sigma must be at least 0, but is {sigma:g}.")
        places[die, column, count] = (number, mean, sigma)
    if header is None:
        raise ValueError(f"File {path} must have a header with {', '.join(COLUMNS)}, but is empty.")
    if not places:
        raise ValueError(f"File {path} must have points below its header, but has none.")
    return _filled(places), attributes


def _text_of(path: Path, argument: str) -> str:
    if not path.is_file():
        raise ValueError(f"Argument `{argument}` must be an existing file, but {path} is not.")
    content = read_regular_file(path, LARGEST_FILE)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"File {path} must be text in UTF-8, but byte {error.start} is not.") from None


def _numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def _remark(line: str, number: int) -> dict[str, int]:
    name, _, value = line.lstrip("# ").partition(":")
    if name.strip() not in ("rows", "reads"):
        return {}
    found = _whole(value.strip(), name.strip(), number)
    if found < 1:
        raise ValueError(f"Line {number}: {name.strip()} must be at least 1, but is {found}.")
    return {name.strip(): found}


def _header(cells: list[str], number: int) -> list[str]:
    names = [SPELLINGS.get(cell, cell) for cell in cells]
    if len(set(names)) < len(names) or not set(COLUMNS) - {"die"} <= set(names) <= set(COLUMNS):
        raise ValueError(
            f"Line {number} must be a header of {', '.join(COLUMNS)} (die optional; {', '.join(SPELLINGS)} for the "
            f"last two), but is {','.join(cells)[:200]!r}."
        )
    return names


def _whole(cell: str, name: str, number: int) -> int:
    digits = cell[1:] if cell[:1] in ("-", "+") else cell
    # Python alone would take `1_0` and digits of other scripts.
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10) or abs(int(cell)) > LARGEST_WORD:
        raise ValueError(f"Line {number}: {name} must be a whole number up to {LARGEST_WORD}, but is {cell[:50]!r}.")
    return int(cell)


def _real(cell: str, name: str, number: int) -> float:
    try:
        value = float(cell) if cell.isascii() and "_" not in cell else np.nan
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"Line {number}: {name} must be a finite number, but is {cell[:50]!r}.")
    return value


def _filled(places: Mapping[tuple[int, int, int], tuple[int, float, float]]) -> _Table:
    axes = [sorted(set(values)) for values in zip(*places, strict=True)]
    # Before any array is made: three lines could ask for a large one, and one hole is found within as many steps.
    for place in itertools.islice(itertools.product(*axes), len(places) + 1):
        if place not in places:
            raise ValueError(f"The table has no line for die {place[0]}, column {place[1]}, count {place[2]}.")
    values = np.array([places[place][1:] for place in itertools.product(*axes)])
    mean, sigma = (values[:, part].reshape([len(axis) for axis in axes]) for part in (0, 1))
    return _Table((np.array(axes[0]), np.array(axes[1]), np.array(axes[2])), mean, sigma)


def _check_counts(counts: np.ndarray, rows: int) -> None:
    wrong = counts[(np.abs(counts) > rows) | ((counts - rows) % 2 != 0)]
    if wrong.size:
        raise ValueError(
            f"Counts must be sums of {rows} products of -1 and +1 ({-rows}, {2 - rows}, ..., {rows}), but one is "
            f"{wrong[0]}; argument `rows` is the number of products per sum."
        )
    if counts[0] != -rows or counts[-1] != rows:
        raise ValueError(f"Counts must reach from {-rows} to {rows}, but reach from {counts[0]} to {counts[-1]}.")


def _check_order(table: _Table, reads: int) -> None:
    variance = np.maximum(table.sigma**2, np.mean(table.sigma**2, axis=(0, 1), keepdims=True)) / reads
    allowed = 4 * np.sqrt(variance[..., 1:] + variance[..., :-1])
    # float32 means of large counts carry rounding errors of their own.
    fall = -np.diff(table.mean, axis=-1) - 1e-6 * float(table.counts[-1])
    if np.any(fall > allowed):
        index = np.argwhere(fall > allowed)[0]
        die, column, place = (int(part) for part in index)
        higher = table.mean[die, column, place + 1]
        raise ValueError(
            f"Means must rise with the count, but at {table.place(index)} the mean {table.mean[die, column, place]:g} "
            f"is above {higher:g}, that of count {table.counts[place + 1]}, by more than 4 standard errors; "
            "`monotonic=False` accepts it."
        )
