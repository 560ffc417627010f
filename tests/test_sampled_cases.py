"""The cases that stand for a whole grid in the test command hold every value of every parameter."""

from itertools import product

from sampled_cases import covering


def test_a_grid_is_held_by_as_many_cases_as_its_longest_axis_has_values():
    grid = [{"bits": bits, "family": family} for bits, family in product((1, 2, 4, 8), ("analog", "digital"))]
    kept = [grid[place] for place in covering(grid)]
    assert len(kept) == 4
    assert {case["bits"] for case in kept} == {1, 2, 4, 8}
    assert {case["family"] for case in kept} == {"analog", "digital"}


def test_a_number_of_a_list_lies_between_its_ends():
    cases = [{"name": letter} for letter in "abcdefghi"]
    assert covering(cases, 1) == {0}
    assert covering(cases, 2) == {0, 8}
    assert covering(cases, 3) == {0, 4, 8}
    assert len(covering(cases)) == len(cases)
    assert len(covering(cases, 20)) == len(cases)


def test_values_that_cases_share_need_no_case_of_their_own():
    assert covering([{"x": 1, "y": 1}, {"x": 1, "y": 2}, {"x": 2, "y": 2}]) == {0, 2}
    assert covering([{}]) == set()
