"""Sums of independent products on the lines of a column: their mean, their variance, and that of each product."""

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.row_dac import mean_square
from amsim.circuits.contract.bit_slicing import swing_of


class IndependentSums:
    """Sums of independent products, each of whose digits is +1 with probability `activity`.

    Attributes:
        rows: Products on a line.
        activity: Probability of +1.
        combined: Lines that are read as one value.
        cells: Cells of the least significant line in the swing of what is read.
        steps: Steps of a cell.
        spread: Variance of a product in counts^2 over that of a single digit: the mean square of evenly spread levels.
        evaluation_spread: The same of the digits of one evaluation.
    """

    def __init__(self, rows: int, activity: float, macro: CapacitorArray) -> None:
        self.rows, self.activity, self.steps = rows, activity, macro.cell_steps
        self.combined, self.cells = macro.combined_columns, rows * swing_of(macro.combined_columns)
        self.spread, self.evaluation_spread = mean_square(macro.digits_together), mean_square(macro.digit_bits)

    @property
    def variance(self) -> float:
        """Of what is read, counts^2."""
        return sum_variance(self.rows, self.activity, self.combined) * self.spread

    @property
    def mean(self) -> float:
        """Of what is read, counts."""
        return self.cells * self.product_mean

    @property
    def product_mean(self) -> float:
        """Of a product, counts."""
        return 2 * self.activity - 1

    def square_from(self, end: int) -> float:
        """Mean square of the distance of a product from an end, -1 or +1, counts^2."""
        chance = self.activity if end < 0 else 1 - self.activity
        if self.spread == 1.0:
            return 4 * chance
        return (end - self.product_mean) ** 2 + sum_variance(1, self.activity) * self.spread


def sum_variance(rows: int, activity: float, combined: int = 1) -> float:
    """Variance of a sum of independent products, or of so many combined ones, `sum_j 4^j = (4^combined - 1) / 3`."""
    return 4 * rows * activity * (1 - activity) * ((4**combined - 1) // 3)
