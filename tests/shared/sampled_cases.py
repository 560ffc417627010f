"""Which cases of a parametrised test stand for all of them in the test command.

A test marked `sampled` asserts one law on a grid of cases, each of which compiles programs of its own. The test command
runs as few as hold every value of every parameter once, or the number of them that the marker gives; `pytest -m slow`
runs the others.
"""

from collections.abc import Mapping, Sequence


def covering(cases: Sequence[Mapping[str, object]], number: int | None = None) -> set[int]:
    """Places of the cases that hold each value of each parameter once, or of as many cases as asked for.

    The first case comes first, then always one that holds the most values not held so far; of several, the one that
    lies farthest in the list from those chosen.

    - `cases`: parameters by name, of each case.
    - `number`: the most cases to choose; none for as many as it takes to hold every value.
    """
    left = [{(name, repr(value)) for name, value in case.items()} for case in cases]
    chosen: list[int] = []
    while any(left) and (number is None or len(chosen) < number):
        most = max(len(values) for values in left)
        rest = [place for place, values in enumerate(left) if len(values) == most]
        place = max(rest, key=lambda one: min((abs(one - other) for other in chosen), default=-one))
        chosen.append(place)
        held = left[place]
        left = [values - held for values in left]
    return set(chosen)
