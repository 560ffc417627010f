"""Wrong values of every argument of the front door end in one line that names the argument, before any work."""

import collections
from collections.abc import Container, Iterable

import pytest
from circuit_calls import PARTS_BY_DESIGN, public
from harness import Case, front_door, outcomes, parts_and_physics, public_functions
from valid_calls import BY_DESIGN, NOT_TRIED, calls


def wrong(cases: Iterable[Case], by_design: Container[tuple[str, ...]], every: int, least: int) -> list[str]:
    """What was not refused as it should be, of every so many-th wrong value."""
    found = [one for one in outcomes(cases, every) if one[:3] not in by_design]
    assert len(found) * every > least
    print(dict(collections.Counter(one.kind for one in found)))
    return [" | ".join(one) for one in found if one.kind != "ok"]


def test_some_wrong_values_are_refused():
    assert wrong(front_door(), BY_DESIGN, every=7, least=4000) == []


@pytest.mark.slow  # all values; every seventh is tried above
def test_every_wrong_value_is_refused():
    assert wrong(front_door(), BY_DESIGN, every=1, least=4000) == []


def test_some_wrong_fields_of_parts_are_refused():
    assert wrong(parts_and_physics(), PARTS_BY_DESIGN, every=11, least=5000) == []


@pytest.mark.slow  # all values; every eleventh is tried above
def test_every_wrong_field_of_a_part_is_refused():
    assert wrong(parts_and_physics(), PARTS_BY_DESIGN, every=1, least=5000) == []


def test_parts_are_found():
    assert {"circuits.SwitchedCapacitor", "circuits.Dram", "noise.ktc_sigma", "noise.lumped.walden_fom"} <= set(
        public()
    )


def test_every_public_name_is_tried():
    front_door = {name for name in calls() if "." not in name}
    assert public_functions() == front_door | NOT_TRIED.keys()
