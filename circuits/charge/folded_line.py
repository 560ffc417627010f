"""Lines of an array with the static errors of a die in the weights of their cells and bias capacitors.

Values are counts: sums of -1 and +1, so that one cell going high moves the line by two counts, `supply * C_u / C_tot`
volts.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.contract.bit_slicing import Places, of_groups, places_of, shared_columns, swing_of
from amsim.circuits.contract.products import over_columns


class CapacitorLine(eqx.Module):
    """Lines of an array with the static errors of a die folded into weights, so that no read computes them again.

    Of combined columns a count is one of the least significant of a group: cells and held charges have the weight of
    their column in them, and what is said of slices below, cells apart, is said of groups.

    Attributes:
        cells: Weight of each working cell in counts, gain included; 0 for a stuck one.
        held: Contribution of a line's stuck cells, counts; None without faults.
        bias: Weight of each bias capacitor in counts, gain included.
        bias_middle: Contribution of the bias DAC's bits half way, beyond what the reference tracks, counts.
        offset: Shift of the decision, counts: the comparator's trimmed offset and the charges of switch and leakage.
        size: Total capacitance relative to the nominal one.
        gain: Gain of a line of nominal capacitors; 1 when it settles and holds.
        reference_gain: Gain of the level half way between high and low that the readout compares with.
        adc: Standard draws of the converters.
        difference: Weight of each cell of a column when it stands half way on all its lines, which a second line takes
            away again but for mismatch; None where the line is read against a level.
        combined: Columns of a group (static).
        places: Place values of input digits that share a conversion; None are nominal ones.
    """

    cells: Float[Array, "line_rows slices"]
    held: Float[Array, " slices"] | None
    bias: Float[Array, "slices sections"]
    bias_middle: Float[Array, " conversions"]
    offset: Float[Array, " conversions"]
    size: Float[Array, " slices"]
    gain: Float[Array, "..."]
    reference_gain: Float[Array, "..."]
    adc: Any
    difference: Float[Array, "line_rows slices"] | None = None
    combined: int = eqx.field(static=True, default=1)
    places: Places | None = None

    def behind(self, slices: int) -> "CapacitorLine":
        """Lines behind the slices of a site: slice `j` is on physical column `j mod columns`."""
        columns = self.cells.shape[1]

        def lines(parts: Any, axis: int = 0) -> Any:
            def behind(values: Array) -> Array:
                return shared_columns(values, slices, axis=axis, each=columns // values.shape[axis])

            return jax.tree.map(behind, parts)

        return CapacitorLine(
            lines(self.cells, 1),
            lines(self.held),
            lines(self.bias),
            lines(self.bias_middle),
            lines(self.offset),
            lines(self.size),
            lines(self.gain) if self.gain.ndim else self.gain,
            lines(self.reference_gain) if self.reference_gain.ndim else self.reference_gain,
            lines(self.adc),
            lines(self.difference, 1),
            self.combined,
            None if self.places is None else self.places._replace(columns=lines(self.places.columns, 1)),
        )

    def in_steps(self, steps: int) -> "CapacitorLine":
        """The same lines in counts of which a cell has two for each of so many steps; but for the weights of cells."""
        if steps == 1:
            return self
        scaled = self.held, self.bias, self.bias_middle, self.offset
        changed = jax.tree.map(lambda values: steps * values, scaled)
        return eqx.tree_at(
            lambda line: (line.held, line.bias, line.bias_middle, line.offset),
            self,
            changed,
            is_leaf=lambda leaf: leaf is None,
        )

    def middle(self, driven: Float[Array, "... rows"], *, with_bias: bool) -> Float[Array, "... slices"]:
        """Counts by which each line lies above its reference when the rows marked 1 in `driven` stand half way.

        A cell goes high or stays low, two states around a middle: the middle carries half of its mismatch as offset.
        """
        halves = of_groups(self.cells if self.difference is None else self.difference, self.combined)
        above = jnp.matmul(driven, halves[: driven.shape[-1]], precision=jax.lax.Precision.HIGHEST)
        if self.difference is None:
            reference = over_columns(self.reference_gain, driven.ndim) * swing_of(self.combined)
            above = above - reference * jnp.sum(driven, axis=-1, keepdims=True)
        own = jnp.zeros_like(self.offset) if self.held is None else of_groups(self.held, self.combined)
        own = own + self.bias_middle if with_bias else own
        return above + own.reshape((1,) * (above.ndim - 1) + own.shape)

    def bias_error(self, bias_dac: BiasDac, levels: Float[Array, "... neurons sections"]) -> Float[Array, "... slices"]:
        """Deviation of the bias DAC's shift from its nominal one, counts."""
        nominal = places_of(self.bias.shape[0], self.combined)[:, None] * bias_dac.section_units()[None, :]
        error = self.bias - nominal
        return of_groups(
            jnp.sum(levels * error.reshape((1,) * (levels.ndim - 2) + error.shape), axis=-1), self.combined
        )


def line_shifts(macro: CapacitorArray, tiles: int, slices: int) -> Float[Array, "tiles slices"] | None:
    """Shift of each line as its bias DAC makes it for `readout_centre`, counts of that line; None without one."""
    made = macro.made_centre
    return None if made is None else jnp.broadcast_to(made, (tiles, slices))


def centre_shifts(
    macro: CapacitorArray, line: CapacitorLine | None, tiles: int, slices: int
) -> tuple[Float[Array, "tiles conversions"] | None, Float[Array, "tiles conversions"] | float]:
    """Shifts of what converters read, as the bias DACs make them, and the errors of those, counts.

    Of combined columns each is that of a group, `sum_j 2^j shift_j` in counts of the least significant one.

    Args:
        macro: The array; without a `readout_centre` there is no shift.
        line: Static errors; None for nominal lines.
        tiles: Tiles of the rows.
        slices: Lines side by side.
    """
    shifts, combined, dac = line_shifts(macro, tiles, slices), macro.combined_columns, macro.bias_dac
    if shifts is None:
        return None, 0.0
    error = 0.0 if line is None else line.bias_error(dac, dac.levels(dac.code(shifts)))
    return of_groups(shifts * places_of(slices, combined)[None].astype(shifts.dtype), combined), error
