"""Wrong values of every argument of the front door end in one line that names the argument, before any work."""

import collections

import pytest
from harness import outcomes, public_functions
from valid_calls import BY_DESIGN, NOT_TRIED, calls


def wrong(every: int) -> list[str]:
    """What was not refused as it should be, of every so many-th wrong value."""
    found = [one for one in outcomes(every) if one[:3] not in BY_DESIGN]
    assert len(found) * every > 4000
    print(dict(collections.Counter(one.kind for one in found)))
    return [" | ".join(one) for one in found if one.kind != "ok"]


def test_some_wrong_values_are_refused():
    assert wrong(every=7) == []


@pytest.mark.slow  # all values; every seventh is tried above
def test_every_wrong_value_is_refused():
    assert wrong(every=1) == []


def test_every_public_name_is_tried():
    front_door = {name for name in calls() if "." not in name}
    assert public_functions() == front_door | NOT_TRIED.keys()
