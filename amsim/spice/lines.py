"""Physical lines of a switched-capacitor die: every capacitor, resistance and charge of each column, in SI units."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from amsim.circuits.charge.die import CapacitorDie, LineDraws, mismatch_errors, nominal_die
from amsim.circuits.checks import is_real_number, shown
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.noise.switching import leakage_growth

Numbers = ArrayLike | Sequence[Any]
"""Numbers of any shape, as arrays or nested lists."""


class Lines(NamedTuple):
    """Lines of a die with their drivers; the capacitors of a line are its cells, then its bias DAC.

    Of pairs and replicas each column has two, the second line after the first.

    Attributes:
        capacitances: F.
        resistances: Of each capacitor's driver, Ohm; None for ideal drivers.
        levels: 1 where a bottom plate goes to the supply in an evaluation, 0 where it stays at ground.
        switch_scale: Charges of each reset switch relative to the nominal ones, 1.
        leakage_currents: Out of each line, A; None holds for ever.
        off_resistance: Of an open reset switch, Ohm; None holds for ever.
        parasitic: Line to ground without the reset switch's overlap, F.
        supplies: What the bottom plates of each line rise to, V: half of the supply where a replica stays half way.
        reset_level: Of every line, V.
        start_level: Of every line before its first reset, V.
        reset_time: s.
        evaluation_time: From the step of the bottom plates to the hold, s.
        hold_time: From then to the decision, s.
    """

    capacitances: Float[np.ndarray, "lines capacitors"]
    resistances: Float[np.ndarray, "lines capacitors"] | None
    levels: Int[np.ndarray, "evaluations lines capacitors"]
    switch_scale: Float[np.ndarray, " lines"]
    leakage_currents: Float[np.ndarray, " lines"] | None
    off_resistance: float | None
    parasitic: float
    supplies: Float[np.ndarray, " lines"]
    reset_level: float
    start_level: float
    reset_time: float
    evaluation_time: float
    hold_time: float

    @property
    def cycle_time(self) -> float:
        """Time from one reset to the next without the gaps between phases, s."""
        return self.reset_time + self.evaluation_time + self.hold_time


def in_float64(tree: Any) -> Any:
    """The same pytree with all real leaves in float64; to be used where JAX has float64 on."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float) if eqx.is_inexact_array(leaf) else leaf, tree)


def physical_lines(
    macro: Any, die: Any, weights: Any, inputs: Any, *, bias_code: Any, reset_level: Any, start_level: Any
) -> Lines:
    """Check the arguments of `amsim.spice.write` and return the lines of the columns that hold weights."""
    if not isinstance(macro, SwitchedCapacitor):
        raise ValueError(f"Argument `macro` must be a SwitchedCapacitor, but is of type {type(macro).__name__}.")
    if macro.joined is not None:
        raise ValueError(
            "Argument `macro` must have no part `combining`: a deck has lines that are read one by one; write those of "
            "a group as a macro without it."
        )
    if macro.digits_together > 1:
        raise ValueError(
            "Argument `macro` must convert each bit of an input by itself, but has a `row_dac` of several bits or "
            "`serial_accumulation`, which a netlist of single lines does not have."
        )
    w = _signs("weights", weights, "(rows, columns)", (macro.line_rows, macro.columns))
    x = _signs("inputs", inputs, "(evaluations, rows)", (None, w.shape[0]))
    if x.shape[1] != w.shape[0]:
        raise ValueError(f"Argument `inputs` must have shape (evaluations, {w.shape[0]}), but has shape {x.shape}.")
    codes = bias_codes(macro, bias_code, w.shape[1])
    supply = float(macro.supply)
    level = _level("reset_level", supply / 2 if reset_level is None else reset_level)
    start = _level("start_level", level if start_level is None else start_level)
    if die is not None:
        if not isinstance(die, CapacitorDie):
            raise ValueError(f"Argument `die` must be a die from `fabricate`, but is of type {type(die).__name__}.")
        macro.prepare(die)  # raises for the die of another macro
    drawn = nominal_die(macro) if die is None else die
    both = [drawn.first] if drawn.second is None else [drawn.first, drawn.second]
    with jax.enable_x64(True):
        precise, layout = in_float64(macro), in_float64(drawn.layout)
        found = [_elements(precise, in_float64(one), layout, w.shape[1]) for one in both]
        bias = _bias_levels(macro, codes)
    stuck = [_stuck(macro, None if die is None else one, drawn, w.shape[1]) for one in both]
    cells = np.zeros((len(x), w.shape[1], macro.line_rows), int)
    cells[:, :, : w.shape[0]] = x[:, None, :] == w.T[None]
    levels = [(cells, bias)]
    if macro.second_line != "none":
        beside = np.zeros_like(cells)
        beside[:, :, : w.shape[0]] = 1 - cells[:, :, : w.shape[0]] if macro.second_line == "differential" else 1
        levels.append((beside, _bias_beside(macro, codes, bias)))
    _check_replica(macro, stuck)
    supplies = [supply, supply / 2 if macro.second_line == "replica" else supply][: macro.lines]
    return Lines(
        levels=_side_by_side([_levels(*one, states) for one, states in zip(levels, stuck, strict=True)], 1),
        supplies=np.tile(supplies, w.shape[1]),
        reset_level=level,
        start_level=start,
        parasitic=found[0]["parasitic"],
        off_resistance=found[0]["off_resistance"],
        **{name: _side_by_side([one[name] for one in found], 0) for name in BY_LINE},
        **_times(macro),
    )


def _side_by_side(lines: list[Any], axis: int) -> Any:
    """Arrays over columns, one for each line of a column, as one over lines: column after column."""
    if lines[0] is None:
        return None
    stacked = np.stack(lines, axis + 1)
    return stacked.reshape(*stacked.shape[:axis], -1, *stacked.shape[axis + 2 :])


def _levels(
    cells: Int[np.ndarray, "evaluations columns rows"],
    bias: Int[np.ndarray, "columns sections"],
    stuck: Int[np.ndarray, "columns rows"],
) -> Int[np.ndarray, "evaluations columns capacitors"]:
    """Levels of all capacitors of a line of each column, stuck cells where they are."""
    working = np.where(stuck == 0, cells, stuck > 0)
    return np.concatenate([working, np.broadcast_to(bias, (len(cells), *bias.shape))], axis=-1)


def _bias_beside(
    macro: SwitchedCapacitor, codes: Int[np.ndarray, " columns"], bias: Int[np.ndarray, "columns sections"]
) -> Int[np.ndarray, "columns sections"]:
    """Levels of the second line's bias DAC: the other way, or half way with a replica's cells; no half LSB."""
    beside = np.ones_like(bias) if macro.second_line == "replica" else 1 - bias
    beside[:, -1] = 0
    if macro.second_line == "differential" and np.any(bias[:, -1]):
        raise ValueError(
            "Argument `bias_code` must be odd for a differential pair, whose second line would have to fall by half an "
            f"LSB at even ones, but is {codes}."
        )
    return beside


def _check_replica(macro: SwitchedCapacitor, stuck: list[Any]) -> None:
    if macro.second_line != "replica":
        return
    if macro.drivers is not None and macro.drivers.supply_resistance is not None:
        raise ValueError(
            "Argument `macro` must have no `drivers.supply_resistance` beside a replica, whose cells a deck holds half "
            "way from a supply of their own."
        )
    if np.any(stuck[1] > 0):
        raise ValueError(
            "Argument `die` must have no cell of a replica stuck high, which a deck has no supply for; set "
            "`stuck_high=0`."
        )


BY_LINE = ("capacitances", "resistances", "switch_scale", "leakage_currents")
"""Elements that each line has of its own."""


def _times(macro: SwitchedCapacitor) -> dict[str, Any]:
    return {
        "reset_time": float(macro.reset_time),
        "evaluation_time": float(macro.evaluation_time),
        "hold_time": 0.0 if macro.leakage is None else float(macro.leakage.hold_time),
    }


def _elements(macro: SwitchedCapacitor, die: LineDraws, layout: Any, columns: int) -> dict[str, Any]:
    """Values of all elements of one line of the first columns, in float64."""
    sizes = macro.bias_dac.section_units()
    unit_errors, bias_errors = mismatch_errors(macro, die)
    units, bias = 1.0 + unit_errors, sizes[None, :] + bias_errors
    if macro.layout is not None and layout is not None:
        units = units + macro.layout.errors(layout, macro.rows, macro.columns)
    units = units[: macro.line_rows]
    resistances = currents = off_resistance = None
    if macro.drivers is not None and die.unit_drivers is not None and die.bias_drivers is not None:
        spread, cells = macro.drivers.spread, die.unit_drivers[: macro.line_rows]
        relative = jnp.concatenate(
            [1.0 + spread * cells.T, (1.0 + spread * die.bias_drivers) / sizes[None, :]],
            1,
        )
        drivers = macro.working_drivers
        assert drivers is not None
        resistances = np.asarray(drivers.resistance * relative)[:columns]
    if macro.leakage is not None and die.leakage is not None:
        growth = leakage_growth(macro.temperature, macro.leakage.temperature_scale)
        drawn = 1.0 + macro.leakage.spread * die.leakage
        currents = np.asarray(macro.leakage.current * growth * drawn)[:columns]
        off_resistance = float(macro.leakage.off_resistance / growth)
    scale, overlap = np.ones(macro.columns), 0.0
    if macro.reset is not None:
        # An element of its own in the netlist.
        overlap = macro.reset.feedthrough_capacitance
    if macro.reset is not None and die.switch is not None:
        scale = np.asarray(1.0 + macro.reset.spread * die.switch)
    return {
        "capacitances": np.asarray(macro.unit_capacitance * jnp.concatenate([units.T, bias], 1))[:columns],
        "resistances": resistances,
        "switch_scale": scale[:columns],
        "leakage_currents": currents,
        "off_resistance": off_resistance,
        "parasitic": float(macro.parasitic_capacitance - overlap),
    }


def _stuck(
    macro: SwitchedCapacitor, line: LineDraws | None, die: CapacitorDie, columns: int
) -> Int[np.ndarray, "columns rows"]:
    if macro.faults is None or line is None or line.faults is None or die.faults is None:
        return np.zeros((columns, macro.line_rows), int)
    # In the dtype of the draws, so that the same cells are stuck as in the macro.
    dead = np.flatnonzero(np.asarray(macro.faults.column_states(die.faults))[:columns])
    if dead.size:
        raise ValueError(
            f"Argument `die` must have no dead column among the {columns} in use, but column {dead[0]} is dead: a "
            "readout that is stuck has no electrical model; leave it out of `weights` or set `dead_column=0`."
        )
    return np.asarray(macro.faults.cell_states(line.faults)).astype(int)[: macro.line_rows, :columns].T


def _bias_levels(macro: SwitchedCapacitor, codes: Int[np.ndarray, " columns"]) -> Int[np.ndarray, "columns sections"]:
    # Levels are -1 or +1 for a bit, 0 or 2 for the half LSB.
    return (np.asarray(macro.bias_dac.levels(jnp.asarray(codes, float))) > 0).astype(int)


def bias_codes(macro: SwitchedCapacitor, given: Any, columns: int) -> Int[np.ndarray, " columns"]:
    """Code of each column's bias DAC; None is the lowest, with all its capacitors low."""
    largest = 2**macro.bias_dac.bits - 1
    if given is None:
        return np.full(columns, -largest)
    codes = np.asarray(given)
    if codes.shape not in ((), (columns,)) or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"Argument `bias_code` must be integers, one or of shape ({columns},), but has dtype {codes.dtype} and "
            f"shape {codes.shape}."
        )
    if np.any(np.abs(codes) > largest):
        raise ValueError(f"Argument `bias_code` must be from {-largest} to {largest}, but is {codes}.")
    return np.broadcast_to(codes, (columns,)).astype(int)


def _signs(name: str, given: Any, axes: str, limits: tuple[int | None, int]) -> Int[np.ndarray, "first second"]:
    values = np.asarray(given)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"Argument `{name}` must have shape {axes}, one each at least, but has shape {values.shape}.")
    if any(limit is not None and size > limit for size, limit in zip(values.shape, limits, strict=True)):
        raise ValueError(
            f"Argument `{name}` must have shape {axes}, at most "
            f"{tuple('any' if limit is None else limit for limit in limits)}, but has shape {values.shape}."
        )
    if not (np.issubdtype(values.dtype, np.number) and np.isrealobj(values)) or np.any(np.abs(values) != 1):
        raise ValueError(f"Argument `{name}` must be -1 or +1 everywhere: a netlist has no undriven cells.")
    return values.astype(int)


def _level(name: str, value: Any) -> float:
    if not is_real_number(value) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"Argument `{name}` must be a finite number in V, but is {shown(value)}.")
    return float(value)
