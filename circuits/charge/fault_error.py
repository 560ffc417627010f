"""Error of a read by stuck cells, of a line and of the one that it is read against."""

from jaxtyping import Array

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.independent_sums import IndependentSums, sum_variance


def stuck_moments(macro: CapacitorArray, sums: IndependentSums) -> tuple[Array, Array]:
    """Mean and variance of what stuck cells add to what is read of a line or pair at a gain of 1, counts and counts^2.

    A line of gain g, which a stuck cell has as a working one has, shows g of all of it.
    A cell of level h adds `X = 2 (1 - h)` where it is stuck high (probability u) and `-2 h` where it is stuck low (d).
    That of the second line of a differential pair, of level 1 - h, adds Y alike, and `(X - Y) / 2` is read; that of a
    replica stands half way and adds 1 or -1, and `X - Y` is read.
    """
    assert macro.faults is not None
    rows, activity, lines = sums.rows, sums.activity, macro.second_line
    up, down = macro.faults.stuck_high, macro.faults.stuck_low
    mean = 2 * (up * (1 - activity) - down * activity)
    square = up * sums.square_from(1) + down * sums.square_from(-1)
    # A cell that is stuck high on a spare row adds two counts, which nothing there expects.
    spare, of_spare = macro.line_rows - rows, 4 * up * (1 - up)
    if lines == "none":
        return rows * mean + spare * 2 * up, rows * (square - mean**2) + spare * of_spare
    both = (up + down) * (1 - 2 * activity)
    if lines == "replica":
        around = square - mean**2 + up + down - (up - down) ** 2
        return rows * both, rows * around + 2 * spare * of_spare
    other = up * sums.square_from(-1) + down * sums.square_from(1)
    # Of the product of both levels, `4 E[h (1 - h)] = 1 - E[s^2]`, what is left of one bit is 0.
    between = 1 - sums.product_mean**2 - sum_variance(1, activity) * sums.spread
    crossed = (up**2 + down**2) * between - 2 * up * down * (2 - between)
    return rows * both, rows * ((square + other - 2 * crossed) / 4 - both**2) + spare * of_spare / 2
