"""Wrong values of every argument of the front door end in one line that names the argument, before any work."""

import collections

import pytest
from circuit_calls import PARTS_BY_DESIGN, public
from harness import front_door, outcomes, parts_and_physics, public_functions
from valid_calls import BY_DESIGN, NOT_TRIED, calls


def wrong(every: int) -> list[str]:
    """What was not refused as it should be, of every so many-th wrong value."""
    found = [one for one in outcomes(front_door(), every) if one[:3] not in BY_DESIGN]
    assert len(found) * every > 4000
    print(dict(collections.Counter(one.kind for one in found)))
    return [" | ".join(one) for one in found if one.kind != "ok"]


def test_some_wrong_values_are_refused():
    assert wrong(every=7) == []


@pytest.mark.slow  # all values; every seventh is tried above
def test_every_wrong_value_is_refused():
    assert wrong(every=1) == []


def wrong_parts(every: int) -> list[str]:
    """As `wrong`, for parts of circuits and physics of error."""
    found = [one for one in outcomes(parts_and_physics(), every) if one[:3] not in PARTS_BY_DESIGN]
    assert len(found) * every > 5000
    print(dict(collections.Counter(one.kind for one in found)))
    return [" | ".join(one) for one in found if one.kind != "ok"]


def test_some_wrong_fields_of_parts_are_refused():
    assert wrong_parts(every=11) == []


@pytest.mark.slow  # all values; every eleventh is tried above
def test_every_wrong_field_of_a_part_is_refused():
    assert wrong_parts(every=1) == []


def test_parts_are_found():
    assert {"circuits.SwitchedCapacitor", "circuits.Dram", "noise.ktc_sigma", "noise.lumped.walden_fom"} <= set(
        public()
    )


def test_every_public_name_is_tried():
    front_door = {name for name in calls() if "." not in name}
    assert public_functions() == front_door | NOT_TRIED.keys()
