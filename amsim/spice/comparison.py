"""Lines of a die from ngspice and from amsim's own formulas, side by side."""

import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from amsim.circuits.charge.charge_line import ChargeLine
from amsim.circuits.charge.rc_line import common_rail_response
from amsim.circuits.charge.two_poles import AlikeDrivers
from amsim.circuits.checks import is_real_number, shown
from amsim.circuits.contract.macro import Die
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.files.whole_file import write_whole_text
from amsim.noise.switching import leakage_drop
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.spice.deck import MIRROR_CAPACITANCE, Deck, deck_path, netlist
from amsim.spice.lines import Lines, Numbers, bias_codes, in_float64, physical_lines
from amsim.spice.simulator import SpiceError, simulate, simulator, version

LABELS = {
    "evaluation": ("1", "evaluation"),
    "line": ("1", "line of a column"),
    "line_voltage": ("V", "line voltage at the decision, closed form"),
    "line_voltage_spice": ("V", "line voltage at the decision, circuit simulator"),
    "supply_energy": ("J", "energy from the supply in an evaluation, closed form"),
    "supply_energy_spice": ("J", "energy from the supply in an evaluation, circuit simulator"),
}
"""Unit and long name of what a comparison with the simulator returns."""


def run(
    macro: SwitchedCapacitor,
    die: Die,
    weights: Numbers,
    inputs: Numbers,
    *,
    path: str | Path | None = None,
    timeout: float = 600.0,
    bias_code: Numbers | None = None,
    reset_level: float | None = None,
    start_level: float | None = None,
) -> xr.Dataset:
    """Simulate the lines of a die in ngspice and compute them by amsim's own formulas.

    Args:
        macro: As `amsim.spice.write` takes it, like the next three.
        die: From `macro.fabricate`; None is nominal.
        weights: -1 or +1, shape (rows, columns).
        inputs: -1 or +1, shape (evaluations, rows).
        path: Deck to write and keep, its output beside it; None uses a temporary folder.
        timeout: Time after which the simulator is ended, s.
        bias_code: As `amsim.spice.write` takes it, like the next two.
        reset_level: V.
        start_level: V.

    Returns:
        Dataset over (evaluation, column), and (line) of arrays with a second one: `line_voltage_spice` and
        `supply_energy_spice`; `line_voltage` and `supply_energy`, the same by `ChargeLine`, evaluation after
        evaluation, V and J; all at the decision.

    Raises:
        ValueError: As `amsim.spice.write`, or a timeout that is not above 0.
        SpiceError: No ngspice, or a run that fails, stops early or takes too long.

    Validity: the energies agree where lines settle fully and do not leak. Settling, a shared supply resistance and
    leakage are each exact alone; `line_voltage` takes them one after the other. It takes bottom plates that are fully
    back at ground when an evaluation begins, which in the deck needs drivers that settle within the reset.
    """
    if not is_real_number(timeout) or not 0 < timeout <= sys.float_info.max:
        raise ValueError(f"Argument `timeout` must be above 0 and finite, but is {shown(timeout)}.")
    given = None if path is None else deck_path(path)
    lines = physical_lines(
        macro, die, weights, inputs, bias_code=bias_code, reset_level=reset_level, start_level=start_level
    )
    simulator()  # before anything is written
    with tempfile.TemporaryDirectory(prefix="amsim-spice-") as folder:
        target = deck_path(Path(folder) / "lines.cir") if given is None else given
        deck = netlist(macro, lines, target.stem)
        write_whole_text(target, deck.text, encoding="ascii")
        found = simulate(target, deck.output, deck.sequence.stop, 2 * deck.columns, float(timeout))
    voltage, energy = line_voltages(macro, lines)
    columns, pairs = deck.columns // macro.lines, macro.lines > 1
    codes = bias_codes(macro, bias_code, columns)
    axes = ("evaluation", "column", *(["line"] if pairs else []))
    kept = {} if path is None else {"deck": str(target)}
    values = {
        "line_voltage_spice": _at(deck, found, deck.sequence.decision)[0],
        "line_voltage": voltage,
        "supply_energy_spice": _delivered(deck, found),
        "supply_energy": energy,
    }
    shape = (len(voltage), columns, *([macro.lines] if pairs else []))
    return labelled(
        {name: (axes, one.reshape(shape)) for name, one in values.items()},
        {"evaluation": np.arange(len(voltage)), "column": np.arange(columns)}
        | ({"line": ["first", "second"]} if pairs else {}),
        {
            **provenance(macro=macro),
            "reset_level": lines.reset_level,
            "start_level": lines.start_level,
            "bias_code": codes.tolist(),
            "simulator": version(),
            **kept,
        },
        labels=LABELS,
    )


def line_voltages(
    macro: SwitchedCapacitor, lines: Lines
) -> tuple[Float[np.ndarray, "evaluations columns"], Float[np.ndarray, "evaluations columns"]]:
    """Voltage (V) of each line at the decision and energy (J) from the supply, by `ChargeLine` in float64.

    The charge that one evaluation leaves on a line - leakage, a start beyond the reset level - is the start of the next
    reset: the returning bottom plates and the rising edge of the clock take back the charge that they injected.
    """
    with jax.enable_x64(True):
        precise = in_float64(macro)
        behind = _behind_common_rails(precise, lines)
        voltage, energy = zip(
            *(
                _one_line(
                    precise,
                    lines,
                    jnp.asarray(lines.capacitances[column]),
                    None if lines.resistances is None else jnp.asarray(lines.resistances[column]),
                    jnp.asarray(lines.levels[:, column], float),
                    lines.switch_scale[column].item(),
                    None if lines.leakage_currents is None else lines.leakage_currents[column].item(),
                    None if behind is None else behind[:, column],
                    lines.supplies[column].item(),
                )
                for column in range(len(lines.capacitances))
            ),
            strict=True,
        )
    return np.stack([np.asarray(part) for part in voltage], -1), np.stack([np.asarray(part) for part in energy], -1)


def _one_line(
    macro: SwitchedCapacitor,
    lines: Lines,
    capacitances: Float[Array, " capacitors"],
    resistances: Float[Array, " capacitors"] | None,
    high: Float[Array, "evaluations capacitors"],
    switch_scale: float,
    leakage_current: float | None,
    moved: Float[Array, " evaluations"] | None,
    supply: float,
) -> tuple[Float[Array, " evaluations"], Float[Array, " evaluations"]]:
    """Voltages at the decision and energies of one line, evaluation after evaluation; `moved` as by its common rail."""
    bottoms = jnp.where(jnp.arange(capacitances.size) < macro.line_rows, macro.bottom_parasitic, 0.0)
    line = ChargeLine(
        capacitances,
        parasitic=lines.parasitic,
        supply=supply,
        reset_level=lines.reset_level,
        bottom_parasitics=bottoms,
        feedthrough_capacitance=0.0 if macro.reset is None else macro.reset.feedthrough_capacitance,
    )
    drivers = macro.nominal.alike_drivers(line.total_capacitance)
    moved = _moved(macro, line, resistances, high) if moved is None else moved
    edge = jnp.zeros(()) if macro.reset is None else macro.reset.step(line.total_capacitance) * switch_scale
    edge = edge if drivers is None else edge * drivers.injected
    value, found = jnp.asarray(lines.start_level), []
    for number in range(len(high)):
        if macro.reset is None:
            value = line.reset_level
        else:
            value = line.after_reset(value, macro.reset_time, macro.reset.resistance)
        if leakage_current is None:
            value = value + edge + moved[number]
        else:
            value = _held(lines, line, drivers, (value, edge, moved[number]), jnp.asarray(leakage_current))
        found.append(value)
        value = value - moved[number] - edge
    return jnp.stack(found), line.supply_energy(high)


def _behind_common_rails(macro: SwitchedCapacitor, lines: Lines) -> Float[Array, "evaluations columns"] | None:
    """Change of each line's voltage until the decision where several share a rail, V; None where none do."""
    drivers = macro.drivers
    if drivers is None or drivers.rail_lines == 1 or drivers.supply_resistance is None or lines.resistances is None:
        return None
    grounded, found = macro.parasitic_capacitance, []
    for first in range(0, len(lines.capacitances), drivers.rail_lines):
        rail = slice(first, first + drivers.rail_lines)
        high = jnp.asarray(lines.levels[:, rail], float)
        resistances, capacitances = jnp.asarray(lines.resistances[rail]), jnp.asarray(lines.capacitances[rail])
        found.append(
            float(macro.supply)
            * common_rail_response(
                resistances, capacitances, grounded, drivers.supply_resistance, high, macro.settling_time
            )
        )
    return jnp.concatenate(found, axis=1)


def _moved(
    macro: SwitchedCapacitor,
    line: ChargeLine,
    resistances: Float[Array, " capacitors"] | None,
    high: Float[Array, "evaluations capacitors"],
) -> Float[Array, " evaluations"]:
    """Change of the line voltage by the step of the bottom plates until the decision, V; what leaks is left out."""
    if resistances is None:
        return line.settled_voltage(high) - line.reset_level
    assert macro.drivers is not None
    settled = line.settling(high, macro.settling_time, resistances, macro.drivers.supply_resistance)
    return settled - line.reset_level


def _held(
    lines: Lines,
    line: ChargeLine,
    drivers: AlikeDrivers | None,
    parts: tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]],
    current: Float[Array, ""],
) -> Float[Array, ""]:
    """Line at the decision after a leaking hold, V: of its level at the end of reset, the switch's step and its own."""
    start, edge, moved = parts
    hold, off = jnp.asarray(lines.hold_time), jnp.asarray(lines.off_resistance)
    if drivers is None:
        return line.leaked_voltage(start + edge + moved, hold, current, off)
    droop = line.reset_time_constant(off)
    kept = (start - line.reset_level) * drivers.kept(jnp.ones(()), hold, droop)
    kept = kept + edge / drivers.injected * drivers.kept(drivers.injected, hold, droop)
    kept = kept + moved / drivers.settled(hold) * drivers.kept(drivers.settled(), hold, droop)
    drop = leakage_drop(current, hold, line.total_capacitance) * drivers.dropped(hold, droop)
    return line.reset_level + kept - drop


def _at(
    deck: Deck, found: Float[np.ndarray, "points values"], times: Float[np.ndarray, " evaluations"]
) -> tuple[Float[np.ndarray, "evaluations columns"], Float[np.ndarray, "evaluations columns"]]:
    """Line voltages and voltages of the charge mirrors at points that the deck makes the simulator stop at."""
    nearest = np.argmin(np.abs(found[:, 0, None] - times[None]), axis=0)
    off = np.abs(found[nearest, 0] - times)
    if np.any(off > deck.sequence.edge / 10):
        raise SpiceError(
            f"The simulator must have a point at {times[np.argmax(off)]:g} s, but it is {off.max():g} s off."
        )
    return found[nearest, 1::2], found[nearest, 2::2]


def _delivered(deck: Deck, found: Float[np.ndarray, "points values"]) -> Float[np.ndarray, "evaluations columns"]:
    """Energy that each column's supply delivers in each evaluation, J."""
    before, after = _at(deck, found, deck.sequence.charge_start)[1], _at(deck, found, deck.sequence.decision)[1]
    return deck.lines.supplies * MIRROR_CAPACITANCE * (after - before)
