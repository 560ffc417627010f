"""Contract of every circuit family: draw a die, multiply on it, decide on it, and state the cost."""

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import finite, one_key, signs
from amsim.circuits.contract.converted_lines import ConvertedLines
from amsim.circuits.contract.error_sources import ErrorSource, PlacedSource, placed_sources, with_scaled_sources
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import Product
from amsim.circuits.contract.work import MacroCost, Work
from amsim.circuits.selection.value_range import ValueRange
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.supply_scaling import with_supply_and_clock
from amsim.noise.gradients import decision
from amsim.noise.switching import REFERENCE_TEMPERATURE

if TYPE_CHECKING:
    Die = Any
else:
    Die = PyTree[Array]
"""Static errors of one manufactured sample, as standard draws (mean 0, sigma 1); None where a family has none."""

SIGNS = ValueRange(-1.0, 1.0)

READINGS = ("exact", "lumped")
"""How products are simulated: slice by slice, or all slices in one product with the noise of all."""


class Macro(ConvertedLines):
    """A block of `rows` x `columns` cells with drivers and readout; every family implements this and nothing else.

    Its cells, the digits in them and converters on its lines are those of `Cells`, `CodedCells` and `ConvertedLines`,
    whose defaults a family leaves or overrides.

    Operations on a site of a network take the same arguments, already checked (`matmul` and `decide` check those of a
    user): `operands`, inputs and weights of the product and the ranges known of them; `neuron`, slope and threshold of
    each column; `die`, from `fabricate` or `prepare`, None for the nominal macro; `key`, which draws the dynamic noise
    of this read, None for no noise.

    Attributes:
        rows: Products summed per column in one evaluation (static).
        columns: Physical columns (static).
        weight_bits: Bits of a weight (static).
        input_bits: Bits of an input (static).
        error_sources: Sources of error of the family itself, beside those that its parts declare (of the class).
        digit_cells: Whether a cell holds one digit of a weight; else whole words (of the class).
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = ()

    @property
    def reads_numbers(self) -> bool:
        """Whether a product can be read out as a number."""
        return True

    @property
    def decides(self) -> bool:
        """Whether the circuit can compute a fused neuron (product, threshold, sign)."""
        return False

    @property
    def deterministic(self) -> bool:
        """Whether all dies and all reads give equal results."""
        return False

    @property
    def keeps_product(self) -> bool:
        """Whether a product on this macro is exact, so that it may stay as the network wrote it."""
        return False

    @abstractmethod
    def fabricate(self, key: PRNGKeyArray) -> Die:
        """Static errors of one sample; the same key gives the same die whatever the other settings are.

        Args:
            key: One typed key.
        """

    def prepare(self, die: Die) -> Die:
        """The die prepared for many reads, accepted wherever a die is; here the die itself.

        A loop over batches prepares once. A prepared die has the circuit's parameters baked in; to change or
        differentiate them, use the original die.
        """
        return die

    @checked_arguments
    def with_error_scale(self, scale: Float[Array, ""]) -> "Macro":
        """The same macro with static errors and dynamic noise `scale` times as large; a die of it stays valid.

        All sources that have a size, each as it declares; a family without any is unchanged.

        Args:
            scale: At least 0, shape (), 1; may be traced. With leakage, up to 1.5: beyond, keeping it leaves the range
                of float32.
        """
        return with_scaled_sources(self, {placed.source.name: scale for placed in self.all_error_sources()})

    def all_error_sources(self) -> tuple[PlacedSource, ...]:
        """Sources of error of the macro and of all parts in it, on or not, in the order of their fields.

        Raises:
            ValueError: A source names a field that its part does not have.
        """
        return tuple(placed_sources(self))

    @checked_arguments
    def error_variances(
        self, *, rows: int | None = None, activity: float = 0.5, readout: str | None = None
    ) -> dict[str, Float[Array, ""]]:
        """Part of each source in the mean square error of one read, in closed form, counts^2.

        A count is a sum of products -1 and +1. Names are `effects` of the macro's sources of error.

        Args:
            rows: Products summed; None is all rows of the macro.
            activity: Probability that a product is +1.
            readout: "adc" (read as a number) or "comparator"; None is the first that the macro has.

        Raises:
            ValueError: The family has no closed form, or an argument is out of range.
        """
        raise ValueError(f"{type(self).__name__} has no closed form of its error, so that it has no noise budget.")

    @abstractmethod
    def multiply(self, operands: Operands, *, die: Die = None, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """Product in units of inputs times weights, read as a number, columns last."""

    def margin(
        self, operands: Operands, neuron: Neuron, *, die: Die = None, key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        """The neuron's affine expression of the product as the comparator sees it; its sign is the decision.

        Returns:
            Columns last, in the unit of the expression.

        Raises:
            ValueError: The macro has no comparator readout.
        """
        raise ValueError(f"{type(self).__name__} has no comparator readout, so it cannot decide; it reads numbers.")

    def margin_noise(self, operands: Operands, neuron: Neuron) -> Float[Array, "..."]:
        """Standard deviation of the Gaussian noise that a read adds to `margin`, in its unit.

        Returns:
            Broadcastable to `margin`.

        Raises:
            ValueError: The macro has no comparator readout.
        """
        raise ValueError(f"{type(self).__name__} has no comparator readout, so no decision has noise.")

    @abstractmethod
    def report(self, operands: Operands, *, neuron: Neuron | None = None) -> dict[str, Array]:
        """Data-dependent activity that `cost` needs and fractions that clip (names `clipped_...`)."""

    @abstractmethod
    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """Cost of one site per inference.

        Args:
            work: Work of the site.
            activity: From `report`, averaged over inputs; a family states what it assumes for missing entries.
        """

    @property
    @abstractmethod
    def operating_supply(self) -> Float[Array, ""]:
        """Supply of the array in use, V; control and clock around it run at the same supply."""

    @property
    @abstractmethod
    def area(self) -> Float[Array, ""]:
        """Area, m^2."""

    @checked_arguments
    def leakage_power(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Power drawn while powered and idle, W; here none.

        Args:
            temperature: K, shape ().
        """
        return jnp.zeros(())

    @abstractmethod
    def ideal(self) -> "Macro":
        """The same macro without noise, mismatch and offset, and with a readout that resolves one count."""

    @property
    def reading(self) -> str:
        """How products are simulated, one of `READINGS`: see `lumped`; here "exact"."""
        return "exact"

    def lumped(self) -> "Macro":
        """The same macro, its products simulated in one product each instead of one for each slice.

        For an array whose result is a weighted sum of slices (digits of inputs and weights, tiles of rows): static
        errors of all slices make one weight matrix of a die, noise and rounding of all conversions one Gaussian number
        for each result (`amsim.circuits.contract.lumped`). Dies, parameters and cost are the same, and so are
        derivatives. Decisions of comparators stay as they are: each is one product already. Here it is the macro
        itself where a cell holds whole words, of which there are no slices.

        Raises:
            ValueError: The family, or a part of the macro, has no such reading.
        """
        if not self.digit_cells:
            return self
        raise ValueError(
            f"{type(self).__name__} has no lumped reading: its results are not known to be a weighted sum of slices "
            "and noise. Leave it as it is."
        )

    def exact(self) -> "Macro":
        """The same macro with its products simulated slice by slice; here as it is."""
        return self

    @checked_arguments
    def reading_note(self, product: Product) -> str:
        """Where the reading of a product does not stand for an exact one, and what would help; empty where it does."""
        return ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What defaults of the macro do to figures that a user states, a sentence each; here nothing.

        `Chip.sites` prints them, and results have them as an attribute.
        """
        return ()

    @checked_arguments
    def check_neuron(self, product: Product) -> None:
        """Raise ValueError, saying what would work, unless one column can decide on a sum over these rows."""
        if not self.decides:
            raise ValueError(
                f"{type(self).__name__} cannot decide: that needs a comparator readout and one-bit operands, but here "
                f"are {self.weight_bits}-bit weights and {self.input_bits}-bit inputs; `matmul` gives numbers."
            )
        longest = self.for_product(product).line_rows
        if product.rows > longest:
            raise ValueError(
                f"A decision over {product.rows} rows does not fit a line of {longest} rows; give the macro at least "
                f"{product.rows} rows, or an ADC readout, whose partial sums are added digitally."
            )

    @checked_arguments
    def matmul(
        self,
        inputs: Real[ArrayLike, "... rows"],
        weights: Real[ArrayLike, "rows columns"],
        *,
        die: Die = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "... columns"]:
        """Inputs times weights on this macro; more rows than the line has are split into tiles.

        Args:
            inputs: Shape (..., rows).
            weights: Shape (rows, columns).
            die: A die of this macro, from `fabricate`; None is the nominal macro.
            key: Draws the dynamic noise of this read; None is no dynamic noise.

        Returns:
            Shape (..., columns), unit of inputs times weights.

        Raises:
            ValueError: Shapes do not match, a value is not finite, the die or key is of the wrong kind, or the readout
                gives no numbers.
        """
        if not self.reads_numbers:
            raise ValueError(
                f"{type(self).__name__} has only a comparator readout, which decides and gives no numbers; use "
                "`decide`, or give it an ADC (argument `adc`)."
            )
        self._check_read(die, key)
        return self.multiply(Operands.dense(inputs, weights), die=die, key=key)

    @checked_arguments
    def decide(
        self,
        inputs: Real[ArrayLike, "... rows"],
        weights: Real[ArrayLike, "rows columns"],
        thresholds: Real[ArrayLike, "*columns"] = 0.0,
        *,
        die: Die = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "... columns"]:
        """Decision of each column, +1 where the product is at least its threshold and -1 below.

        Args:
            inputs: Values of -1 and +1 (0 leaves a row undriven), shape (..., rows).
            weights: Values of -1 and +1 (0 leaves a cell undriven), shape (rows, columns).
            thresholds: In units of inputs times weights, scalar or shape (columns,).
            die: A die of this macro; None is the nominal macro.
            key: Draws the dynamic noise of this read; None is no dynamic noise.

        Returns:
            -1 or +1, shape (..., columns).

        Raises:
            ValueError: Shapes do not match, an operand is not -1, 0 or +1, a threshold is not finite, the die or key
                is of the wrong kind, more rows than the line has, or the macro has no comparator readout.
        """
        self._check_read(die, key)
        given = Operands.dense(inputs, weights)
        product = given.product
        self.check_neuron(product)
        operands = Operands(product, signs("inputs", given.inputs), signs("weights", given.matrix), SIGNS, SIGNS)
        intercept = -finite("thresholds", jnp.asarray(thresholds, operands.inputs.dtype))
        if intercept.shape not in ((), (product.columns,)):
            raise ValueError(
                f"Argument `thresholds` must be one number or have shape ({product.columns},), one for each column of "
                f"`weights`, but has shape {intercept.shape}."
            )
        return decision(self.margin(operands, Neuron(jnp.ones_like(intercept), intercept), die=die, key=key))

    def _check_read(self, die: Any, key: Any) -> None:
        if key is not None:
            one_key("key", key)
        if self.deterministic and die is not None:
            raise ValueError(f"Argument `die` must be None: all dies of {type(self).__name__} compute the same.")

    @checked_arguments
    def at_supply(self, supply: Float[Array, ""] | None, process: Process, former: Process | None = None) -> "Macro":
        """The same macro at another supply, its clock as fast as that allows; here its fields `supply` and `clock`.

        A family whose supply stands elsewhere, or whose energies do not follow the field by themselves, says so here.

        Args:
            supply: V, shape (); may be traced. None keeps the present one, as for a macro that changes its node.
            process: Whose delay the clock follows.
            former: Process that the clock was set in, where the macro has changed its node since; None is the same.

        Raises:
            ValueError: The macro has no supply and clock to change, or a supply lies outside the window of the delay
                law; a traced one raises at run time.
        """
        if not {"supply", "clock"} <= {field.name for field in dataclasses.fields(self)}:
            raise ValueError(
                f"{type(self).__name__} has no `supply` and `clock`, so it cannot be moved to another supply."
            )
        return with_supply_and_clock(self, supply, process, former)
