"""Number of dies that a mean or a yield needs for an interval of a given width."""

import math
import sys
from collections.abc import Callable

from amsim.circuits.checks import is_real_number, number_between, shown
from amsim.statistics.intervals import CONFIDENCE, check_confidence, proportion_interval, student_half_width


def dies_for_mean(spread: float, half_width: float, *, confidence: float = CONFIDENCE) -> int:
    """Fewest dies whose Student-t interval of the mean is `+- half_width` or narrower.

    `t(n - 1) spread / sqrt(n) <= half_width`.

    Args:
        spread: Standard deviation between dies, as a pilot study gives it.
        half_width: Wanted half width of the interval, same unit.
        confidence: Of the interval.

    Returns:
        Number of dies, at least 2.

    Raises:
        ValueError: A spread below 0, or a half width that is not above 0.
    """
    check_confidence(confidence)
    number_between("spread", spread, 0.0, math.inf)
    if not is_real_number(half_width) or not 0 < half_width <= sys.float_info.max:
        raise ValueError(f"Argument `half_width` must be above 0 and finite, but is {shown(half_width)}.")

    def too_wide(count: int) -> bool:
        return bool(student_half_width(spread, count, confidence) > half_width)

    return _fewest(too_wide, 2)


def dies_for_yield(share: float, half_width: float, *, confidence: float = CONFIDENCE) -> int:
    """Fewest dies whose exact interval of a yield is at most `2 half_width` wide.

    Args:
        share: Expected yield, 0 to 1; 0.5 is the worst case.
        half_width: Wanted half width of the interval, above 0 and below 0.5.
        confidence: Of the interval.

    Returns:
        Number of dies, at least 1.

    Raises:
        ValueError: A share outside 0 to 1, or a half width that is not between 0 and 0.5.
    """
    check_confidence(confidence)
    if not is_real_number(share) or not 0 <= share <= 1:
        raise ValueError(f"Argument `share` must be from 0 to 1, but is {shown(share)}.")
    if not is_real_number(half_width) or not 0 < half_width < 0.5:
        raise ValueError(f"Argument `half_width` must be above 0 and below 0.5, but is {shown(half_width)}.")

    def too_wide(count: int) -> bool:
        low, high = proportion_interval(share, count, confidence)
        return bool(high - low > 2 * half_width)

    return _fewest(too_wide, 1)


def _fewest(too_wide: Callable[[int], bool], least: int) -> int:
    """Lowest count whose interval is not too wide, where the width falls with the count."""
    high = least
    while too_wide(high):
        high *= 2
    low = max(high // 2, least)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if too_wide(middle) else (low, middle)
    return low
