"""Netlist of the physical lines of a switched-capacitor die, as ngspice 39 runs it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from amsim.circuits.contract.macro import Die
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import write_whole_text
from amsim.spice.lines import Lines, Numbers, physical_lines
from amsim.spice.sequence import Sequence, sequence

ELEMENT_LIMIT = 20_000
"""Largest number of elements of a deck."""

VALUE_LIMIT = 5_000_000
"""Largest number of values that ngspice has to write."""

MIRROR_CAPACITANCE = 1e-12
"""F, on which a copy of a column's supply current integrates: exact at any step, unlike a sum over points."""

OPEN = 1e18
"""Resistance of an open switch, Ohm."""


class Deck(NamedTuple):
    """A netlist with the information needed to read its results.

    Attributes:
        text: The netlist.
        output: Name of the file that ngspice writes beside it: time, then `line` and `q` of each line.
        columns: Number of lines, those of a column side by side.
        sequence: Times of its phases.
        lines: The lines it describes.
    """

    text: str
    output: str
    columns: int
    sequence: Sequence
    lines: Lines


def write(
    macro: SwitchedCapacitor,
    die: Die,
    weights: Numbers,
    inputs: Numbers,
    path: str | Path,
    *,
    bias_code: Numbers | None = None,
    reset_level: float | None = None,
    start_level: float | None = None,
) -> Path:
    """Write the physical lines of a die as a deck for `ngspice -b`, run in the deck's folder.

    Each evaluation resets the lines with all bottom plates at ground, opens the reset switch, lets its charges in
    (clock feedthrough through a capacitor, channel charge as a packet), steps the bottom plates of the cells whose
    weight and input agree to the supply, and reads the lines at the decision. Of a differential pair the cells of the
    second line go the other way, those of a replica to half of the supply. Leakage acts from the hold on, as in
    `Leakage`. A cell that is stuck high goes high in every evaluation; reset still pulls it down, as in the macro.
    Rows without weights stay low. Noise, comparator and converter are not in the deck.

    The deck writes a text file beside itself, `<name>_lines.txt`: the time, the voltage of each line and, as volts on
    1 pF, the charge that its supply has delivered. Lines are numbered from 0, column after column; with a second line,
    column j has the lines 2 j and 2 j + 1.

    Args:
        macro: The array; a part that is None becomes an ideal element.
        die: From `macro.fabricate`; None is nominal.
        weights: -1 or +1, shape (rows, columns), at most those of the macro.
        inputs: -1 or +1, shape (evaluations, rows).
        path: Deck to write; an existing one is replaced. Its name has letters, digits and `._-` only.
        bias_code: Code of each column's bias DAC as in `BiasDac.levels`, one integer or shape (columns,); None holds
            all its capacitors low. Of a pair, the second line's go the other way, and codes are odd.
        reset_level: Level of the lines in reset, V; None is half of the supply.
        start_level: Level of the lines before the first reset, V; None is the reset level.

    Returns:
        The path.

    Raises:
        ValueError: A wrong macro, die, shape or value, a dead column in use, a replica with a rail or a cell that is
            stuck high, no such folder, or a deck of more than `ELEMENT_LIMIT` elements or too long a simulation.
    """
    target = deck_path(path)
    lines = physical_lines(
        macro, die, weights, inputs, bias_code=bias_code, reset_level=reset_level, start_level=start_level
    )
    deck = netlist(macro, lines, target.stem)
    write_whole_text(target, deck.text, encoding="ascii")
    return target


def deck_path(path: str | Path) -> Path:
    """Check that a deck can be written there."""
    target = checked_path("path", path)
    if not target.parent.is_dir():
        raise ValueError(f"Argument `path` must lie in an existing folder, but {target.parent} is not one.")
    if target.is_dir():
        raise ValueError(f"Argument `path` must be a file to write, but {target} is a folder.")
    # The simulator would take a space or quote in the name of its output file as the end of it.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", target.name):
        raise ValueError(
            f"Argument `path` must have a file name of letters, digits and `._-` only, but it is {target.name!r}."
        )
    return target


def netlist(macro: SwitchedCapacitor, lines: Lines, name: str) -> Deck:
    """Deck of lines.

    Args:
        macro: Whose lines they are.
        lines: From `physical_lines`.
        name: Of the deck, without its suffix.

    Raises:
        ValueError: More than `ELEMENT_LIMIT` elements, or too long a simulation.
    """
    columns, capacitors = lines.capacitances.shape
    each = 3 + (lines.resistances is not None) + bool(macro.bottom_parasitic > 0)
    elements = columns * (capacitors * each + 12)
    if elements > ELEMENT_LIMIT:
        raise ValueError(
            f"Argument `weights` must give at most {ELEMENT_LIMIT} elements, but {columns} columns of {capacitors} "
            f"capacitors give about {elements}; take fewer columns or a macro of fewer rows."
        )
    phases = sequence(lines, slow_reset=macro.reset is not None)
    values = round(phases.stop / phases.time_step) * (2 * columns + 1)
    if values > VALUE_LIMIT:
        raise ValueError(
            f"Arguments `weights` and `inputs` must give at most {VALUE_LIMIT} values to write, but {columns} columns "
            f"and {len(lines.levels)} evaluations give about {values}; take fewer of either."
        )
    output = f"{name.lower()}_lines.txt"
    patterns = _patterns(lines)
    text = [
        f"* amsim: {macro.line_rows} rows, {columns // macro.lines} columns, {len(lines.levels)} evaluations of "
        + ("an array" if macro.second_line == "none" else f"an array, second lines {macro.second_line}"),
        *_phases(macro, lines, phases, patterns),
    ]
    for column in range(columns):
        text += [*_rail(macro, lines, column), *_column(macro, lines, phases, patterns, column)]
    text += _analysis(macro, lines, phases, output)
    return Deck("\n".join(text) + "\n", output, columns, phases, lines)


def _number(value: Any) -> str:
    return f"{float(value):.15g}"


def _source(name: str, node: str, corners: list[tuple[float, float]]) -> Iterator[str]:
    """Piecewise linear source to ground, three corners per line."""
    yield f"V{name} {node} 0 PWL("
    for first in range(0, len(corners), 3):
        yield "+ " + "  ".join(f"{_number(time)} {_number(level)}" for time, level in corners[first : first + 3])
    yield "+ )"


def _patterns(lines: Lines) -> dict[tuple[int, ...], str]:
    """Control node of each set of evaluations in which a capacitor goes high, in the order of first use."""
    columns = np.moveaxis(lines.levels, 0, -1).reshape(-1, len(lines.levels))
    found = dict.fromkeys(tuple(int(level) for level in levels) for levels in columns)
    return {pattern: f"up{number}" for number, pattern in enumerate(key for key in found if any(key))}


def _switch_resistance(lines: Lines) -> float:
    """Resistance of every driver's closed switches, Ohm: a part of the least driver, or one that settles between edges.

    A resistance far below the others' would leave them no digits in the simulator's matrix.
    """
    if lines.resistances is None:
        return 1e-6 * lines.evaluation_time / float(np.max(lines.capacitances))
    return float(np.min(lines.resistances)) / 2


def _phases(
    macro: SwitchedCapacitor, lines: Lines, phases: Sequence, patterns: dict[tuple[int, ...], str]
) -> Iterator[str]:
    """Sources and switch models that all columns share."""
    total = float(np.max(np.sum(lines.capacitances, axis=1))) + float(macro.parasitic_capacitance)
    driver = _switch_resistance(lines)
    reset = 1e-3 * lines.reset_time / total if macro.reset is None else float(macro.reset.resistance)
    yield "* models: of a driver's two switches one opens before the other closes; ron is part of its resistance"
    yield f".model high sw vt=0.75 vh=0 ron={_number(driver)} roff={_number(OPEN)}"
    yield f".model low sw vt=-0.25 vh=0 ron={_number(driver)} roff={_number(OPEN)}"
    yield f".model reset sw vt=0.5 vh=0 ron={_number(reset)} roff={_number(OPEN)}"
    if _leaks(lines):
        assert lines.off_resistance is not None
        yield f".model leak sw vt=0.5 vh=0 ron={_number(lines.off_resistance)} roff={_number(1e6 * OPEN)}"
    yield "* level of the lines in reset"
    yield f"VCM vcm 0 DC {_number(lines.reset_level)}"
    yield "* reset switches closed"
    closing, opening = phases.starts[1:], phases.starts + phases.opened
    yield from _source("RST", "rst", phases.wave(closing, opening, begins_high=True))
    yield "* line read (rising) and supply charge before the step read (falling)"
    # Half an edge later, so that a corner, at which the simulator must stop, lies on the very time.
    late = phases.edge / 2
    yield from _source(
        "READ", "read", phases.wave(phases.decision + late, phases.charge_start + late, begins_high=True)
    )
    if _leaks(lines):
        yield "* leakage"
        yield from _source("HOLD", "hold", phases.wave(phases.hold, phases.decision + phases.edge / 2))
    for pattern, node in patterns.items():
        high = np.asarray(pattern, bool)
        yield f"* high in evaluations {' '.join(str(number) for number in np.flatnonzero(high))}"
        yield from _source(node.upper(), node, phases.wave(phases.step, phases.returned, among=high))


def _rail(macro: SwitchedCapacitor, lines: Lines, column: int) -> Iterator[str]:
    """Supply of a line behind the resistance that neighbours share, and a source that its charge is read by."""
    shared = 1 if macro.drivers is None else macro.drivers.rail_lines
    first = column - column % shared
    resistance = None if macro.drivers is None else macro.drivers.supply_resistance
    if column == first:
        yield f"* supply of column {column}" if shared == 1 else f"* supply of columns {first} to {first + shared - 1}"
        yield f"VDD{column} vdd{column} 0 DC {_number(lines.supplies[column])}"
        if resistance is not None:
            yield f"RS{column} vdd{column} common{column} {_number(resistance)}"
    yield f"VQ{column} rail{column} {'vdd' if resistance is None else 'common'}{first} DC 0"


def _column(
    macro: SwitchedCapacitor, lines: Lines, phases: Sequence, patterns: dict[tuple[int, ...], str], column: int
) -> Iterator[str]:
    """One line with all that is connected to it."""
    yield f"* column {column}: charge of its supply on {MIRROR_CAPACITANCE:g} F, reset switch, parasitic"
    rail = f"rail{column}"
    yield f"FQ{column} q{column} 0 VQ{column} 1"
    yield f"CQ{column} q{column} 0 {_number(MIRROR_CAPACITANCE)}"
    yield f"RQ{column} q{column} 0 1e15"
    yield f"SR{column} line{column} vcm rst 0 reset ON"
    yield f"CP{column} line{column} 0 {_number(lines.parasitic)}"
    if macro.reset is not None:
        yield from _switch_charges(macro, lines, phases, column)
    if _leaks(lines):
        assert lines.leakage_currents is not None
        yield f"* column {column}: leakage of the held line"
        yield f"SK{column} line{column} vcm hold 0 leak OFF"
        yield f"GK{column} line{column} 0 hold 0 {_number(lines.leakage_currents[column])}"
    for number in range(lines.capacitances.shape[1]):
        unit = number < macro.line_rows
        place = f"{column}_{number}" if unit else f"{column}_bias{number - macro.line_rows}"
        title = f"row {number}" if unit else f"bias capacitor {number - macro.line_rows}"
        yield f"* column {column}, {title}"
        yield from _driven_capacitor(macro, lines, patterns, (column, number), place, rail)


def _switch_charges(macro: SwitchedCapacitor, lines: Lines, phases: Sequence, column: int) -> Iterator[str]:
    switch, scale = macro.reset, float(lines.switch_scale[column])
    assert switch is not None
    if switch.feedthrough_capacitance > 0:
        yield f"* column {column}: clock feedthrough"
        corners = _clock(phases, float(switch.clock_swing) * scale)
        yield from _source(f"CLK{column}", f"clk{column}", corners)
        yield f"CF{column} clk{column} line{column} {_number(switch.feedthrough_capacitance)}"
    channel = float(switch.injected_fraction) * float(switch.channel_capacitance)
    if channel > 0 and switch.overdrive > 0:
        yield f"* column {column}: channel charge, the current of a capacitor mirrored into the line"
        yield from _source(f"CH{column}", f"ch{column}", _clock(phases, float(switch.overdrive) * scale))
        yield f"CJ{column} ch{column} 0 {_number(channel)}"
        yield f"FJ{column} line{column} 0 VCH{column} 1"


def _clock(phases: Sequence, height: float) -> list[tuple[float, float]]:
    return phases.wave(phases.rising, phases.clocked, height=height, begins_high=True)


def _driven_capacitor(
    macro: SwitchedCapacitor,
    lines: Lines,
    patterns: dict[tuple[int, ...], str],
    index: tuple[int, int],
    place: str,
    rail: str,
) -> Iterator[str]:
    """A capacitor from its bottom plate to the line, the plate's parasitic and its driver."""
    bottom, driver = f"b{place}", f"b{place}" if lines.resistances is None else f"d{place}"
    yield f"CU{place} line{index[0]} {bottom} {_number(lines.capacitances[index])}"
    if lines.resistances is not None:
        rest = lines.resistances[index] - _switch_resistance(lines)
        yield f"RU{place} {driver} {bottom} {_number(rest)}"
    if index[1] < macro.line_rows and macro.bottom_parasitic > 0:
        yield f"CB{place} {bottom} 0 {_number(macro.bottom_parasitic)}"
    control = patterns.get(tuple(int(level) for level in lines.levels[:, index[0], index[1]]))
    if control is None:
        yield f"SL{place} {driver} 0 0 0 low ON"
    else:
        yield f"SH{place} {driver} {rail} {control} 0 high OFF"
        yield f"SL{place} {driver} 0 0 {control} low ON"


def _leaks(lines: Lines) -> bool:
    return lines.hold_time > 0 and lines.leakage_currents is not None


def _analysis(macro: SwitchedCapacitor, lines: Lines, phases: Sequence, output: str) -> Iterator[str]:
    columns = range(len(lines.capacitances))
    # Nothing in the deck depends on temperature, so one that the simulator cannot take may as well be left out.
    kelvin = float(macro.temperature)
    celsius = f" temp={_number(round(kelvin - 273.15, 9))}" if kelvin > 200 else ""
    if lines.start_level != lines.reset_level:
        yield "* lines before the first reset"
        for column in columns:
            yield f".ic v(line{column})={_number(lines.start_level)}"
    yield f".options method=gear abstol=1e-15 vntol=1e-9 gmin=1e-18 pivtol=1e-24{celsius}"
    yield f".tran {_number(phases.time_step)} {_number(phases.stop)} 0 {_number(phases.time_step)}"
    vectors = " ".join(f"v(line{column}) v(q{column})" for column in columns)
    for column in columns:
        yield f".save v(line{column}) v(q{column})"
    yield ".control"
    yield from ("set numdgt=15", "set wr_singlescale", "set wr_vecnames", "run")
    yield f"wrdata {output} {vectors}"
    yield from ("quit 0", ".endc", ".end")
