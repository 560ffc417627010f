"""Array known by measurement: its transfer and its noise come from a table instead of from physics."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import finite
from amsim.circuits.contract.bit_slicing import Slice, accumulate, recombine, weight_digits
from amsim.circuits.contract.error_sources import IDEAL, ErrorSource
from amsim.circuits.contract.macro import Die, Macro
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import over_columns
from amsim.circuits.contract.stationary import stationary_cost
from amsim.circuits.contract.work import MacroCost, Work
from amsim.circuits.fields import Quantity, count, physical, quantity
from amsim.noise.checks import real
from amsim.noise.finite_slopes import root
from amsim.noise.random import normal

if TYPE_CHECKING:
    Table = Any
else:
    Table = Float[Array, "_ _ _"]
"""Field of measured values over (die, column, count); without dies, (column, count) may be given."""


class MeasuredDie(eqx.Module):
    """Choice of one of the measured dies.

    Attributes:
        draw: Uniform draw in [0, 1); die `floor(draw * dies)` of the table.
    """

    draw: Float[Array, ""]


def _table(name: str, long_name: str, lowest: float) -> Any:
    def convert(values: ArrayLike) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            array = jnp.asarray(real(name, values), float)
        if array.ndim not in (2, 3):
            raise ValueError(
                f"Argument `{name}` must have shape (dies, columns, counts) or (columns, counts), but has shape "
                f"{array.shape}."
            )
        array = finite(name, array if array.ndim == 3 else array[None])
        if isinstance(array, jax.core.Tracer):
            return eqx.error_if(array, jnp.any(array < lowest), f"Argument `{name}` must be at least {lowest:g}.")
        if array.size and float(np.min(np.asarray(array))) < lowest:
            raise ValueError(f"Argument `{name}` must be at least {lowest:g}, but has {np.min(np.asarray(array)):g}.")
        return array

    return physical(unit="1", long_name=long_name, converter=convert)


def _whole_counts(values: Any) -> tuple[int, ...]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size < 2 or not np.issubdtype(array.dtype, np.integer) or np.any(np.diff(array) <= 0):
        raise ValueError(f"Argument `counts` must be two or more integers in ascending order, but is {values!r}.")
    return tuple(int(value) for value in array)


def _count_axis() -> Any:
    return physical(unit="1", static=True, converter=_whole_counts)


class Measured(Macro):
    r"""Array of binary cells whose read value is looked up: mean and spread per column and ideal count.

    A count is a sum of products -1 and +1 over one line. A read of column c at count n is
    `mean[c, n] + sigma[c, n] * z`, z standard normal and new at every read; between the counts of the table both are
    linear. Multi-bit operands, tiles of rows and shared columns work as in `SwitchedCapacitor`: slice j is read by
    column `j mod columns`. A fused neuron compares the same read value with its threshold, which is exact.

    A table of several dies is a population: `fabricate` draws one of the dies that were measured, and the nominal
    macro has the average of their means and the rms of their sigmas. So dies never spread wider than those measured.

    Valid inside the measured counts and at the supply, temperature and clock of the measurement. A tile of fewer rows
    than the line has is read at the same count of the same table, as if its spare rows added nothing.
    Source: the measurement; nothing here has a default that stands for a circuit.

    Attributes:
        counts: Ideal counts of the table in ascending order, at least `-rows..rows` (static).
        mean: Mean read value, counts, shape (dies, columns, counts) or (columns, counts); one column serves all.
        sigma: Standard deviation over reads, counts, same shape.
        evaluation_energy: Measured energy of one evaluation of one column, readout and drivers included, J; 0 where
            it was not measured, and a total is then a lower bound.
        evaluation_time: Measured time of one evaluation of all columns, s.
        array_area: Area of all rows and columns with their readout, m^2; 0 where it is not known.
        supply: Supply of the measurement, V: control and clock beside the array run at it.
        rows: Cells on a line (static).
        columns: Physical lines, shared by all layers and filters (static).
        weight_bits: Bits of a weight, side by side on neighbouring columns (static).
        input_bits: Bits of an input, one after another (static).
        evaluation_cycles: Clock cycles of one evaluation.
        load_width: Weight bits loaded in one cycle.

    Raises:
        ValueError: A table that is not finite, has a negative sigma, does not match its counts or `columns`, or does
            not cover `-rows..rows`; a quantity or word length out of range.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "measured transfer",
            "static",
            "Distance of the mean read value from an exact reading.",
            sizes=("mean",),
            off={"mean": IDEAL},
        ),
        ErrorSource("measured noise", "dynamic", "Spread of the read value over reads.", sizes=("sigma",)),
    )

    counts: tuple[int, ...] = _count_axis()
    mean: Table = _table("mean", "mean read value", -np.inf)
    sigma: Table = _table("sigma", "standard deviation of a read", 0.0)
    evaluation_energy: Quantity = quantity("evaluation_energy", unit="J")
    evaluation_time: Quantity = quantity("evaluation_time", unit="s", positive=True)
    array_area: Quantity = quantity("array_area", unit="m2")
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True)
    rows: int = count(default=1024)
    columns: int = count(default=64)
    weight_bits: int = count(unit="bit", symbol="b_w", default=1)
    input_bits: int = count(unit="bit", symbol="b_x", default=1)
    evaluation_cycles: Quantity = quantity("evaluation_cycles", unit="1", positive=True, default=2.0)
    load_width: Quantity = quantity("load_width", unit="bit", positive=True, default=256.0)

    def __check_init__(self) -> None:
        """Check that the table has an answer for every sum of every column."""
        super().__check_init__()  # the sizes first
        if self.counts[0] > -self.rows or self.counts[-1] < self.rows:
            raise ValueError(
                f"Argument `counts` must cover {-self.rows}..{self.rows}, the sums of {self.rows} rows, but covers "
                f"{self.counts[0]}..{self.counts[-1]}."
            )
        if self.sigma.shape != self.mean.shape:
            raise ValueError(
                f"Argument `sigma` must have the shape of `mean`, {self.mean.shape}, but has {self.sigma.shape}."
            )
        dies, columns, points = self.mean.shape
        if points != len(self.counts):
            raise ValueError(f"Argument `mean` must have {len(self.counts)} counts, but has {points}.")
        if dies < 1 or columns not in (1, self.columns):
            raise ValueError(
                f"Argument `mean` must have a die and either one column or {self.columns}, but has {dies} dies and "
                f"{columns} columns."
            )

    @property
    def decides(self) -> bool:
        """With one-bit operands, the only ones that one comparison can decide on."""
        return self.weight_bits == 1 and self.input_bits == 1

    @property
    def operating_supply(self) -> Float[Array, ""]:
        """Supply of the measurement, V."""
        return self.supply

    @property
    def area(self) -> Float[Array, ""]:
        """The area as given, m^2."""
        return self.array_area

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray) -> Die:
        """Draw of one of the measured dies; None where one die was measured, since the table is that die."""
        return None if self.mean.shape[0] == 1 else MeasuredDie(jax.random.uniform(key))

    def multiply(self, operands: Operands, *, die: Die = None, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """Product from table reads: one per tile, input bit and weight bit."""
        coded, reading = self.coded(operands), self._reading(die)

        def read(one: Slice) -> Float[Array, "..."]:
            slice_key = None if key is None else jax.random.fold_in(key, one.order)
            return one.place_value * reading(one.sums, slice_key)

        sums = accumulate(coded, weight_digits(coded), self.rows, read)
        return coded.decode(recombine(coded, sums))

    def margin(
        self, operands: Operands, neuron: Neuron, *, die: Die = None, key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        """`slope * product + intercept` of the read value; the threshold half way between two sums, not quantised."""
        coded, product, reading = self.coded(operands), operands.product, self._reading(die)
        counts = reading(product.sums(coded.x_code.digit(coded.x, 0), coded.w, coded.zero_digit(0)), key)
        in_counts = neuron.in_counts(coded)
        return in_counts.from_counts(counts + in_counts.decisive_shift(in_counts.shift(product.rows)))

    def margin_noise(self, operands: Operands, neuron: Neuron) -> Float[Array, "..."]:
        """`|slope|` times the root mean square of the measured sigma over all counts, columns and dies."""
        slope = neuron.in_counts(self.coded(operands)).slope
        return jnp.abs(slope) * root(jnp.mean(self.sigma**2))

    def report(self, operands: Operands, *, neuron: Neuron | None = None) -> dict[str, Array]:
        """Fractions of the operands that clip; the measured energy does not depend on the data."""
        return self.coded(operands).clipped_fractions()

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """Measured energy and time of each evaluation of a column; a tile costs a whole line."""
        return stationary_cost(
            self,
            work,
            evaluation_energy=self.evaluation_energy,
            evaluation_cycles=self.evaluation_cycles,
            load_width=self.load_width,
            clock=self.evaluation_cycles / self.evaluation_time,
        )

    def ideal(self) -> "Measured":
        """The same array with a table that reads every count as it is."""
        mean = jnp.broadcast_to(jnp.asarray(self.counts, self.mean.dtype)[None, None, :], self.mean.shape)
        return dataclasses.replace(self, mean=mean, sigma=jnp.zeros_like(self.sigma))

    def _curves(self, die: Die) -> tuple[Float[Array, "columns counts"], Float[Array, "columns counts"]]:
        """Mean and sigma of one die, or of the nominal macro."""
        dies = self.mean.shape[0]
        if die is not None:
            if dies == 1 or not isinstance(die, MeasuredDie):
                raise ValueError(
                    f"Argument `die` must be a die of this macro, from `fabricate`, but is of type "
                    f"{type(die).__name__}; the table has {dies} dies."
                )
            index = jnp.minimum(jnp.floor(die.draw * dies).astype(jnp.int32), dies - 1)
            return self.mean[index], self.sigma[index]
        if dies == 1:
            return self.mean[0], self.sigma[0]
        return jnp.mean(self.mean, axis=0), root(jnp.mean(self.sigma**2, axis=0))

    def _reading(self, die: Die) -> Callable[[Array, PRNGKeyArray | None], Array]:
        """Function from line sums, columns last, and a key to read values."""
        mean, sigma = self._curves(die)
        counts = np.asarray(self.counts)
        # The segment of every whole sum in advance: no search at run time, whatever the spacing of the counts.
        segment_of = np.searchsorted(counts, np.arange(counts[0], counts[-1]), side="right") - 1

        def read(sums: Float[Array, "... slices"], key: PRNGKeyArray | None) -> Float[Array, "... slices"]:
            whole = jnp.floor(jax.lax.stop_gradient(sums)).astype(jnp.int32) - int(counts[0])
            segment = jnp.asarray(segment_of, jnp.int32)[jnp.clip(whole, 0, len(segment_of) - 1)]
            column = jnp.arange(sums.shape[-1], dtype=jnp.int32) % mean.shape[0]
            place = segment + over_columns(column * (len(counts) - 1), sums.ndim)
            beyond = sums - jnp.asarray(counts, sums.dtype)[segment]

            def between(table: Float[Array, "columns counts"]) -> Float[Array, "... slices"]:
                slopes = jnp.diff(table, axis=1) / jnp.asarray(np.diff(counts), table.dtype)[None, :]
                start = table[:, :-1].reshape(-1).astype(sums.dtype)[place]
                return start + slopes.reshape(-1).astype(sums.dtype)[place] * beyond

            value = between(mean)
            return value if key is None else value + between(sigma) * normal(key, sums.shape, sums.dtype)

        return read
