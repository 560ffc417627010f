"""Lines that converters read as numbers: values on sample data, and the range, centre and digits that suit them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.coded_cells import CodedCells
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import Product
from amsim.circuits.contract.readout import Coding as Digits
from amsim.circuits.contract.readout import Readout
from amsim.circuits.selection.codes import IntegerCode

AnyLines = TypeVar("AnyLines", bound="ConvertedLines")


class ConvertedLines(CodedCells):
    """Lines whose converters suit the data, in families that have some; here none. The fields are those of `Macro`."""

    @property
    def readout_range(self) -> Float[Array, ""] | None:
        """Full scale of the converters that read its lines as numbers, 1; None without such converters."""
        return None

    def line_counts(self, operands: Operands) -> Int[Array, "tiles values"]:
        """Number of times that nominal lines take each possible value, per tile; for `selected_readout_range`.

        Raises:
            ValueError: The macro has no converter whose range could be chosen.
        """
        raise ValueError(no_converter(self))

    @checked_arguments
    def selected_readout_range(
        self, product: Product, counts: Real[Array, "tiles values"], *, method: str, coverage: float
    ) -> Float[Array, ""]:
        """Range of the converters that suits these line values, by a method of `amsim.circuits.adc.select_range`.

        Args:
            product: Product that the lines compute.
            counts: From `line_counts`, for one input or summed over many.
            method: Name of the method.
            coverage: Fraction of the values that must lie inside, for methods that use one.

        Returns:
            Full scale relative to the swing of the driven rows, 1.

        Raises:
            ValueError: The macro has no converter whose range could be chosen.
        """
        raise ValueError(no_converter(self))

    @checked_arguments
    def with_readout_range(self: AnyLines, full_scale: Float[Array, ""]) -> AnyLines:
        """The same macro with another converter range; its dies stay valid.

        Args:
            full_scale: Relative to the swing of the driven rows, 1; as `readout_range`.

        Raises:
            ValueError: The macro has no converter.
        """
        raise ValueError(no_converter(self))

    @checked_arguments
    def with_readout_centre(self: AnyLines, shift: Real[ArrayLike, "..."]) -> AnyLines:
        """The same macro with its lines shifted before they are read, and back again behind; its dies stay valid.

        Args:
            shift: Counts, shape () or any that broadcasts to (tiles, slices).

        Raises:
            ValueError: The macro has no converter.
        """
        raise ValueError(no_converter(self))

    def readout_profiles(self, operands: Operands) -> dict[str, Array]:
        """Statistics of nominal lines in the coding of the operands' codes, averaged over a batch.

        Raises:
            ValueError: The macro has no converter whose range could be chosen.
        """
        raise ValueError(no_converter(self))

    def chosen_readout(
        self, product: Product, inputs: IntegerCode, weights: IntegerCode, profiles: Mapping[Digits, Mapping[str, Any]]
    ) -> Readout:
        """Coding, range and centre of least expected squared error of an output times energy.

        Args:
            product: Product that the lines compute.
            inputs: Code of its inputs, whose digits are what is chosen.
            weights: Code of its weights, likewise.
            profiles: From `readout_profiles`, averaged over the data, for each coding that is allowed.

        Raises:
            ValueError: The macro has no converter whose range could be chosen.
        """
        raise ValueError(no_converter(self))


def no_converter(macro: ConvertedLines) -> str:
    """Error message for a macro without a converter whose range could be chosen."""
    return f"{type(macro).__name__} has no converter whose range to choose; a switched-capacitor array takes an `adc`."
