"""Interface of the converters of a line: a scale that follows the rows in use, errors, energy, time and area.

Line values are counted in cells: one cell is the step of the line when one unit capacitor goes high. Inside, values are
in codes: whole numbers around the middle of the range, one LSB apart, with transitions half-way between. Where code 0
lies on the line is the one thing that `zero_level` says, for every family.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.fields import Quantity
from amsim.circuits.technology.between_nodes import area_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import root
from amsim.noise.random import normal

Values = Float[Array, "..."] | float
"""An array of any shape, or a number."""

MID_RISE_LEVELS = (2, 4)
"""Numbers of levels that lie on both sides of the middle instead of one of them on it; see `zero_level`."""


class ConverterDie(eqx.Module):
    """Standard draws (mean 0, sigma 1) of the converters of one die; each family adds its own, columns first."""


class ConversionNoise(eqx.Module):
    """Dynamic noise of one conversion, in codes.

    Attributes:
        sampled_key: Key of the noise that is sampled on the line.
        decision_key: Key of the comparator's noise.
        sampled: Standard deviation of the noise sampled on the line, such as kT/C noise.
        decision: Standard deviation of the comparator's noise in one decision.
    """

    sampled_key: PRNGKeyArray
    decision_key: PRNGKeyArray
    sampled: Values
    decision: Values

    def add_sampled(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Values with the noise that stays the same during a conversion."""
        return values + self.sampled * normal(self.sampled_key, values.shape, values.dtype)

    def of_decision(self, number: Int[Array, ""], values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Comparator noise of one decision, for each value."""
        draws = normal(jax.random.fold_in(self.decision_key, number), values.shape, values.dtype)
        return self.decision * draws

    def of_comparators(self, values: Float[Array, "..."], comparators: int) -> Float[Array, "... comparators"]:
        """Noise of all comparators that decide at once, for each value."""
        sigma = jnp.broadcast_to(jnp.asarray(self.decision, values.dtype), values.shape)
        return sigma[..., None] * normal(self.decision_key, (*values.shape, comparators), values.dtype)

    def add_combined(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Values with one draw of the combined variance, for a converter that decides once for all levels."""
        variance = jnp.asarray(self.sampled, values.dtype) ** 2 + jnp.asarray(self.decision, values.dtype) ** 2
        return values + root(variance) * normal(self.sampled_key, values.shape, values.dtype)


class Linearised(NamedTuple):
    """A converter's static errors as values of a range see them; an ideal one has none.

    Attributes:
        shift: Mean shift of its transitions: values read low by so much, LSB.
        variance: Variance of the shifts around it, LSB^2.
    """

    shift: Float[Array, "..."]
    variance: Float[Array, "..."]


class Converter(eqx.Module):
    """Analog-to-digital converter of a line, the base class of all families.

    The reference follows the swing of the rows in use: full scale is `range` times the driven rows, centred on half of
    them. The step is never finer than `finest` cells, because a sum is a whole number of cells (half cells where a row
    may rest at mid level). Levels lie mid-tread, one of them in the middle; those of one and two bits mid-rise, so that
    the transition in the middle tells a sum above from one below (`zero_level`).

    Capacitances of logic, times and areas are those at 28 nm; whoever asks for a cost says the process. Logic and
    comparators follow it, energy by `energy_ratio`, time by `delay_ratio` and area by `area_ratio`; capacitors do not.

    Attributes:
        range: Full scale relative to the swing of the driven rows, 1; values outside clip and are counted.
    """

    range: eqx.AbstractVar[Quantity]

    @property
    @abstractmethod
    def levels(self) -> int:
        """Number of output codes."""

    @property
    @abstractmethod
    def area(self) -> Float[Array, ""]:
        """Area of one converter at 28 nm, m^2."""

    @property
    def capacitor_area(self) -> Float[Array, ""] | float:
        """Part of the area that capacitors take, which the node does not change, m^2; here none."""
        return 0.0

    @checked_arguments
    def area_in(self, process: Process) -> Float[Array, ""]:
        """Area of one converter in a process, m^2: that of logic and comparators by the node."""
        node = area_ratio(process)
        return self.area if node == 1.0 else self.capacitor_area + (self.area - self.capacitor_area) * node

    @property
    def input_capacitance(self) -> Float[Array, ""] | None:
        """Capacitance that a line shares its charge with when it is read, F; here None: the line is read as it is."""
        return None

    @property
    @abstractmethod
    def comparators(self) -> int:
        """Number of comparators of one converter."""

    @property
    @abstractmethod
    def comparator_referral(self) -> Float[Array, ""] | float:
        """Input-referred error of the converter per error at its comparator, 1."""

    @abstractmethod
    def fabricate(self, key: PRNGKeyArray, columns: int) -> ConverterDie | None:
        """Standard draws of `columns` converters of one die; None where the family has no static random error."""

    @abstractmethod
    def transitions(self, die: ConverterDie | None = None) -> Float[Array, "*columns transitions"]:
        """Static transitions in rising order, in codes; ideal ones are whole numbers plus a half."""

    @abstractmethod
    def read_codes(
        self, values: Float[Array, "..."], *, die: ConverterDie | None, noise: ConversionNoise | None
    ) -> Float[Array, "..."]:
        """Output codes, from `lowest_code` to `highest_code`, of values in codes.

        The forward value is exact; the gradient is that of value plus noise less the shift of the nearest transition.
        """

    @abstractmethod
    def energy(
        self,
        supply: Float[Array, ""],
        decision_energy: Float[Array, ""] | float = 0.0,
        process: Process | None = None,
    ) -> Float[Array, ""]:
        """Energy of one conversion, J.

        Args:
            supply: Of logic and reference, V.
            decision_energy: What a comparator takes per decision, J.
            process: Node of the logic; None is 28 nm.
        """

    @abstractmethod
    def conversion_time(
        self, rows: Float[Array, ""] | float | int, slowing: Float[Array, ""] | float = 1.0
    ) -> Float[Array, ""]:
        """Time of one conversion on a line of `rows` rows, s.

        Args:
            rows: Rows of the line.
            slowing: Time of logic and comparators over that at 28 nm and their stated supply, 1.
        """

    @abstractmethod
    def static_variance(self) -> Float[Array, ""]:
        """Expected variance over dies and codes of the static shift of a transition, LSB^2."""

    @checked_arguments
    def linearised(self, die: ConverterDie | None, spread: Values) -> Linearised:
        """Static errors of the transitions, weighted by a Gaussian of values about code 0.

        Args:
            die: Standard draws of the converters; None for the nominal converter.
            spread: Standard deviation of the values, codes, shape (); half a code at least is taken.

        Returns:
            One shift and variance for each column of the die, or single numbers.
        """
        ideal = jnp.arange(self.lowest_code + 1, self.highest_code + 1, dtype=self.range.dtype) - 0.5
        weights = jnp.exp(-((ideal / jnp.maximum(spread, 0.5)) ** 2) / 2.0)
        transitions = self.transitions(die)
        shifts = transitions - on_columns(ideal, transitions.ndim)
        weights = on_columns(weights / jnp.sum(weights), transitions.ndim)
        mean = jnp.sum(shifts * weights, axis=-1)
        return Linearised(mean, jnp.sum((shifts - mean[..., None]) ** 2 * weights, axis=-1))

    @checked_arguments
    def decision_variance(self, decision: Values) -> Float[Array, "..."]:
        """Mean square error that the comparator's noise adds to a conversion, LSB^2, for values spread over many codes.

        Where one decision makes a code it is the variance of that decision's noise, `decision**2`.

        Args:
            decision: Standard deviation of the comparator's noise in one decision, referred to the input, codes.
        """
        return jnp.asarray(decision, self.range.dtype) ** 2

    @checked_arguments
    def conversion_variance(self, sampled: Values, decision: Values) -> Float[Array, "..."]:
        """Mean square error of a conversion with noise, of values spread over many codes, LSB^2.

        `sampled**2 + decision_variance(decision) + 1/12`, the last for rounding.

        Args:
            sampled: Standard deviation of the noise that is sampled on the line, codes.
            decision: Standard deviation of the comparator's noise in one decision, codes.
        """
        noise = jnp.asarray(sampled, self.range.dtype) ** 2 + self.decision_variance(decision)
        return noise + self.quantisation_variance()

    @abstractmethod
    def ideal(self) -> "Converter":
        """The same converter without static errors: the same codes, evenly spaced."""

    @property
    def lowest_code(self) -> int:
        """Code of the lowest level; `levels // 2` below the middle."""
        return -(self.levels // 2)

    @property
    def highest_code(self) -> int:
        """Code of the highest level."""
        return self.lowest_code + self.levels - 1

    @checked_arguments
    def lsb(self, driven_rows: Values, finest: Values = 1.0) -> Float[Array, "..."]:
        """Step in cells for the given number of driven rows, at least `finest`."""
        return jnp.maximum(self.range * driven_rows / self.levels, finest)

    def quantisation_variance(self) -> Float[Array, ""]:
        """Variance of rounding to a whole code, 1/12 LSB^2, for values spread over many codes inside the range."""
        return jnp.asarray(1.0 / 12.0, self.range.dtype)

    @checked_arguments
    def convert(
        self,
        cells: Float[Array, "..."],
        driven_rows: Values,
        finest: Values = 1.0,
        *,
        die: ConverterDie | None = None,
        sampled_noise: Values = 0.0,
        decision_noise: Values = 0.0,
        offset: Float[Array, "..."] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "..."]:
        """Line value, in cells, as read: quantised to the step and clipped to the range.

        Args:
            cells: Line values, shape (..., columns), cells.
            driven_rows: Rows in use.
            finest: Smallest step between values that a line can take, cells.
            die: Standard draws of the converters, in the order of the columns; None for the nominal converter.
            sampled_noise: Standard deviation of the noise sampled on the line, cells; one draw per conversion.
            decision_noise: Standard deviation of the comparator's noise, cells; drawn anew at every decision.
            offset: Offset of each comparator, shape () or (columns,), cells; adds to the line value.
            key: Key of the noise; None for no dynamic noise.

        Returns:
            Values as read, shape (..., columns), cells; NaN stays NaN. The gradient goes straight through to `cells`,
            `offset`, the sigmas of the noise and those of the static errors; it is 0 where the range clips.

        Raises:
            ValueError: `die` is of another converter or of another number of columns.
        """
        lsb, centre = self.scale(driven_rows, finest)
        if offset is not None:
            cells = cells + self.comparator_referral * on_columns(offset, cells.ndim)
        noise = None
        if key is not None:
            decision = self.comparator_referral * decision_noise / lsb
            sampled_key, decision_key = jax.random.split(key)
            noise = ConversionNoise(sampled_key, decision_key, sampled_noise / lsb, decision)
        read = centre + lsb * self.read_codes((cells - centre) / lsb, die=die, noise=noise)
        # A comparison with NaN is false, so that a converter would turn NaN into a code.
        return jnp.where(jnp.isnan(cells), cells, read)

    @checked_arguments
    def clipped_fraction(
        self, cells: Float[Array, "..."], driven_rows: Values, finest: Values = 1.0
    ) -> Float[Array, ""]:
        """Fraction of line values outside the range by more than half a step."""
        lsb, centre = self.scale(driven_rows, finest)
        code = (cells - centre) / lsb
        return jnp.mean((code < self.lowest_code - 0.5) | (code > self.highest_code + 0.5), dtype=cells.dtype)

    @checked_arguments
    def scale(self, driven_rows: Values, finest: Values = 1.0) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Step and place of code 0 on a line, both in cells; a code is read as `place + step * code`."""
        lsb = self.lsb(driven_rows, finest)
        return lsb, zero_level(self.levels, driven_rows, lsb, finest)


def zero_level(levels: int, driven_rows: Values, lsb: Values, finest: Values = 1.0) -> Float[Array, "..."]:
    """Place of code 0 on a line, cells: the middle of the driven rows (mid-tread) or half a step above (mid-rise).

    Mid-tread, the middle is a whole cell, so that every level is on a cell when the step is one. Of an even number of
    levels it leaves the upper half one fewer: of two levels none, of four a single one that ends half way up, while the
    sums of usual operands lie far below it. So two levels are mid-rise, and four where they are coarser than the line;
    of eight and more the upper half keeps three quarters of its range and more.

    Args:
        levels: Number of output codes.
        driven_rows: Rows in use.
        lsb: Step, cells.
        finest: Smallest step between values that the line can take, cells.
    """
    middle = jnp.asarray(driven_rows) / 2
    if levels not in MID_RISE_LEVELS:
        return jnp.floor(middle)
    rise = middle + jnp.asarray(lsb) / 2
    return rise if levels == 2 else jnp.where(jnp.asarray(lsb) > finest, rise, jnp.floor(middle))


def exceeds(
    values: Float[Array, "..."], transition: Float[Array, "..."], even: Bool[Array, "..."] | bool
) -> Bool[Array, "..."]:
    """Whether values are above a transition; a tie goes to the even code, as in rounding."""
    return (values > transition) | ((values == transition) & even)


def nearest_transition(values: Float[Array, "..."], converter: Converter) -> Int[Array, "..."]:
    """Number, from 1, of the ideal transition nearest to each value.

    Ideal transitions, so that the choice does not bias averages over dies and reads.
    """
    below = jnp.clip(jnp.floor(values), converter.lowest_code, converter.highest_code - 1)
    return below.astype(jnp.int32) - converter.lowest_code + 1


def on_columns(values: Float[Array, "..."], ndim: int) -> Float[Array, "..."]:
    """One value, or one per column, shaped to broadcast against an array of `ndim` axes, the last of them columns."""
    return values.reshape((1,) * (ndim - values.ndim) + values.shape)


def check_die(die: ConverterDie | None, kind: type, draws: Mapping[str, tuple[int, ...]], columns: int | None) -> None:
    """Raise ValueError unless `die` is None or a die of this kind whose draws have these sizes after the columns."""
    if die is None:
        return
    if not isinstance(die, kind):
        raise ValueError(f"Argument `die` must be a {kind.__name__}, from `fabricate`, but is a {type(die).__name__}.")
    for name, sizes in draws.items():
        shape = getattr(die, name).shape
        if shape[1:] != sizes or (columns is not None and shape[0] != columns):
            wanted = ("columns" if columns is None else columns, *sizes)
            raise ValueError(f"Argument `die` must have `{name}` of shape {wanted}, but of shape {shape}.")
