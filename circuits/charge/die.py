"""Draws of one die of a switched-capacitor array: drawing, checking against a macro, and the capacitors that result."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.faults import FaultsDie
from amsim.circuits.charge.layout import LayoutDie
from amsim.noise.mismatch import capacitor_mismatch_sigma


class LineDraws(eqx.Module):
    """Standard draws (mean 0, sigma 1) of one line of each column; None for a part that the macro does not have.

    Attributes:
        units: Unit capacitors.
        bias: Capacitors of the bias DAC.
        unit_drivers: Driver resistance of each cell.
        bias_drivers: Driver resistance of each capacitor of the bias DAC.
        switch: Charge of the reset switch.
        leakage: Leakage current.
        faults: Stuck cells and dead columns, uniform draws.
        combining: Capacitors that combine the columns of each group.
    """

    units: Float[Array, "rows columns"]
    bias: Float[Array, "columns sections"]
    unit_drivers: Float[Array, "rows columns"] | None = None
    bias_drivers: Float[Array, "columns sections"] | None = None
    switch: Float[Array, " columns"] | None = None
    leakage: Float[Array, " columns"] | None = None
    faults: FaultsDie | None = None
    combining: Float[Array, "groups capacitors"] | None = None


class CapacitorDie(eqx.Module):
    """Standard draws (mean 0, sigma 1) of one die; None for a part that the macro does not have.

    Attributes:
        units: Unit capacitors.
        bias: Capacitors of each column's bias DAC.
        comparator: Comparator offset of each column.
        trim: Error of the one measurement that each comparator's trim rests on.
        unit_drivers: Driver resistance of each cell.
        bias_drivers: Driver resistance of each capacitor of the bias DACs.
        switch: Charge of each column's reset switch.
        leakage: Leakage current of each column.
        layout: Gradients and correlated errors.
        faults: Stuck cells and dead columns, uniform draws.
        adc: Converters.
        second: The second line of each column.
        combining: Capacitors that combine the columns of each group.
        drift: Drift of each comparator's offset with temperature and with supply.
        row_dac: Elements of each row's DAC.
        accumulation: Accumulation capacitor of each column.
    """

    units: Float[Array, "rows columns"]
    bias: Float[Array, "columns sections"]
    comparator: Float[Array, " columns"]
    trim: Float[Array, " columns"]
    unit_drivers: Float[Array, "rows columns"] | None = None
    bias_drivers: Float[Array, "columns sections"] | None = None
    switch: Float[Array, " columns"] | None = None
    leakage: Float[Array, " columns"] | None = None
    layout: LayoutDie | None = None
    faults: FaultsDie | None = None
    adc: Any = None
    second: LineDraws | None = None
    combining: Float[Array, "groups capacitors"] | None = None
    drift: Float[Array, "columns 2"] | None = None
    row_dac: Float[Array, "rows bits"] | None = None
    accumulation: Float[Array, " columns"] | None = None

    @property
    def first(self) -> LineDraws:
        """The first line of each column."""
        return LineDraws(
            self.units,
            self.bias,
            self.unit_drivers,
            self.bias_drivers,
            self.switch,
            self.leakage,
            self.faults,
            self.combining,
        )


def draw_die(macro: CapacitorArray, key: PRNGKeyArray) -> CapacitorDie:
    """Standard draws of all capacitors, comparators and further parts of one sample."""
    units, bias, comparator = jax.random.split(key, 3)
    trim, unit_drivers, bias_drivers, switch, leakage, layout, faults, adc = (
        jax.random.fold_in(key, number) for number in range(3, 11)
    )
    joined = jax.random.fold_in(key, 30)
    first = _draw_line(macro, units, bias, unit_drivers, bias_drivers, switch, leakage, faults, joined)
    second = None
    if macro.second_line != "none":
        second = _draw_line(macro, *(jax.random.fold_in(key, number) for number in (*range(11, 18), 31)))
    cells, line = (macro.rows, macro.columns), (macro.columns,)
    return CapacitorDie(
        first.units,
        first.bias,
        jax.random.normal(comparator, line),
        jax.random.normal(trim, line),
        first.unit_drivers,
        first.bias_drivers,
        first.switch,
        first.leakage,
        None if macro.layout is None else macro.layout.fabricate(layout, *cells),
        first.faults,
        None if macro.adc is None else macro.adc.fabricate(adc, macro.columns),
        second,
        first.combining,
        None if macro.at_trim is None else jax.random.normal(jax.random.fold_in(key, 18), (macro.columns, 2)),
        None if macro.row_dac is None else macro.row_dac.fabricate(jax.random.fold_in(key, 24), macro.rows),
        None if macro.serial_accumulation is None else jax.random.normal(jax.random.fold_in(key, 25), line),
    )


def _draw_line(
    macro: CapacitorArray,
    units: PRNGKeyArray,
    bias: PRNGKeyArray,
    unit_drivers: PRNGKeyArray,
    bias_drivers: PRNGKeyArray,
    switch: PRNGKeyArray,
    leakage: PRNGKeyArray,
    faults: PRNGKeyArray,
    joined: PRNGKeyArray,
) -> LineDraws:
    cells, bias_shape, line = (macro.rows, macro.columns), (macro.columns, macro.bias_dac.sections), (macro.columns,)
    return LineDraws(
        jax.random.normal(units, cells),
        jax.random.normal(bias, bias_shape),
        None if macro.drivers is None else jax.random.normal(unit_drivers, cells),
        None if macro.drivers is None else jax.random.normal(bias_drivers, bias_shape),
        None if macro.reset is None else jax.random.normal(switch, line),
        None if macro.leakage is None else jax.random.normal(leakage, line),
        None if macro.faults is None else macro.faults.fabricate(faults, *cells),
        None if macro.joined is None else jax.random.normal(joined, _combining_shape(macro)),
    )


def _combining_shape(macro: CapacitorArray) -> tuple[int, int]:
    assert macro.joined is not None
    return macro.columns // macro.combined_columns, macro.joined.capacitors


def nominal_die(macro: CapacitorArray) -> CapacitorDie:
    """A die on which every draw is 0: nominal capacitors, and the effects that nominal ones have."""
    cells, bias, line = (
        jnp.zeros(shape)
        for shape in ((macro.rows, macro.columns), (macro.columns, macro.bias_dac.sections), (macro.columns,))
    )
    joined = None if macro.joined is None else jnp.zeros(_combining_shape(macro))
    second = None
    if macro.second_line != "none":
        second = LineDraws(cells, bias, cells, bias, line, line, combining=joined)
    return CapacitorDie(
        cells,
        bias,
        line,
        line,
        cells,
        bias,
        line,
        line,
        second=second,
        combining=joined,
        drift=jnp.zeros((macro.columns, 2)),
        row_dac=None if macro.row_dac is None else jnp.zeros((macro.rows, macro.row_dac.bits)),
        accumulation=line,
    )


def check_die(macro: CapacitorArray, die: Any) -> CapacitorDie:
    """Return die; raise ValueError unless it is one of this macro, with all that the macro has."""
    if not isinstance(die, CapacitorDie):
        raise ValueError(
            f"Argument `die` must be a die of this macro, from `fabricate`, but is of type {type(die).__name__}."
        )
    if die.units.shape != (macro.rows, macro.columns) or die.bias.shape[1] != macro.bias_dac.sections:
        raise ValueError(
            f"Argument `die` must be a die of this macro ({macro.rows} rows, {macro.columns} columns, "
            f"{macro.bias_dac.sections} bias capacitors), but has {die.units.shape[0]} rows, "
            f"{die.units.shape[1]} columns, {die.bias.shape[1]} bias capacitors."
        )
    draws = {
        "drivers": die.unit_drivers,
        "reset": die.switch,
        "leakage": die.leakage,
        "layout": die.layout,
        "faults": die.faults,
        "row_dac": die.row_dac,
        "serial_accumulation": die.accumulation,
    }
    if (macro.second_line != "none") != (die.second is not None):
        raise ValueError(
            f"Argument `die` must be a die of this macro, whose `second_line` is {macro.second_line!r}, but was "
            f"fabricated {'without' if die.second is None else 'with'} a second line."
        )
    for name, drawn in draws.items():
        if getattr(macro, name) is not None and drawn is None:
            raise ValueError(
                f"Argument `die` must be a die of this macro, but was fabricated without its part `{name}`; "
                "fabricate it from this macro (the same key gives the same die)."
            )
    if macro.joined is not None:
        shape = _combining_shape(macro)
        if die.combining is None or die.combining.shape != shape:
            found = "none" if die.combining is None else f"draws of shape {die.combining.shape}"
            raise ValueError(
                f"Argument `die` must be a die of this macro, with draws of shape {shape} for its part `combining`, "
                f"but has {found}; fabricate it from this macro."
            )
    if macro.at_trim is not None and die.drift is None:
        raise ValueError(
            "Argument `die` must be a die of this macro, but was fabricated without the drift of its comparators; "
            "fabricate it from this macro (the same key gives the same die)."
        )
    if macro.row_dac is not None and die.row_dac is not None and die.row_dac.shape[1] != macro.row_dac.bits:
        raise ValueError(
            f"Argument `die` must be a die of this macro, whose rows have DACs of {macro.row_dac.bits} bits, but has "
            f"DACs of {die.row_dac.shape[1]}."
        )
    if macro.adc is not None and die.adc is None:
        adc, columns = macro.adc, macro.columns
        if eqx.filter_eval_shape(lambda: adc.fabricate(jax.random.key(0), columns)) is not None:
            raise ValueError(
                f"Argument `die` must be a die of this macro, but was fabricated without its {type(adc).__name__}."
            )
    return die


def mismatch_errors(
    macro: CapacitorArray, die: CapacitorDie | LineDraws
) -> tuple[Float[Array, "rows columns"], Float[Array, "columns sections"]]:
    """Random deviations of a die's cells and bias capacitors by the area law, in unit capacitors."""
    sigma = capacitor_mismatch_sigma(macro.unit_capacitance, macro.mismatch_coefficient)
    return sigma * die.units, sigma * jnp.sqrt(macro.bias_dac.section_units())[None, :] * die.bias
