"""Windows over maps against sets in plain Python, and the fetches of a buffer that holds what windows share."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits.contract.windows import WindowAxis, window_fetches, words_read

AXES = st.builds(
    WindowAxis,
    size=st.integers(1, 12),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.tuples(st.integers(-2, 4), st.integers(-2, 4)),
    spacing=st.integers(1, 3),
)


def windows(axis: WindowAxis) -> list[set[int]]:
    """Elements of the map in each window."""
    found, start = [], -axis.padding[0]
    elements = range(0, (axis.size - 1) * axis.spacing + 1, axis.spacing)
    while start + (axis.kernel - 1) * axis.dilation < axis.spaced_size + axis.padding[1]:
        found.append({start + step * axis.dilation for step in range(axis.kernel)} & set(elements))
        start += axis.stride
    return found


@settings(max_examples=300, deadline=None)
@given(axis=AXES)
def test_places_and_elements_read_are_those_of_sets(axis: WindowAxis) -> None:
    found = windows(axis)
    assert axis.places == len(found)
    assert axis.read == len(set().union(*found))
    assert 1.0 <= axis.fetches <= max(1, min(axis.kernel, axis.places))


@settings(max_examples=100, deadline=None)
@given(kernel=st.integers(1, 4), stride=st.integers(1, 5), dilation=st.integers(1, 3), periods=st.integers(30, 40))
def test_fetches_are_the_windows_that_cover_an_element(kernel: int, stride: int, dilation: int, periods: int) -> None:
    axis = WindowAxis(periods * stride, kernel, stride, dilation)
    covering = sum(map(len, windows(axis)))
    # The border has fewer windows.
    border = (kernel - 1) * dilation / axis.places
    assert covering / axis.read <= axis.fetches * (1 + 1e-9)
    assert covering / axis.read >= axis.fetches * (1 - border)


def test_a_window_fetches_again_only_along_axes_before_the_one_it_slides_along() -> None:
    def fetches(*sizes_and_kernels: tuple[int, int]) -> float:
        return window_fetches([WindowAxis(size, kernel) for size, kernel in sizes_and_kernels])

    assert fetches((9, 3)) == 1
    assert fetches((9, 3), (9, 3)) == 3
    assert fetches((9, 3), (9, 3), (9, 3)) == 9
    # One place across: it slides down, and fetches each element once.
    assert fetches((9, 3), (3, 3)) == fetches((9, 3), (1, 1)) == 1
    assert fetches((3, 3), (9, 3)) == fetches((5, 5), (4, 4)) == 1
    # Two places: no element can be fetched more than twice.
    assert fetches((9, 8), (9, 3)) == 2
    assert words_read([WindowAxis(8, 1, 2), WindowAxis(9, 2, 3)]) == 4 * math.ceil(9 * 2 / 3)
