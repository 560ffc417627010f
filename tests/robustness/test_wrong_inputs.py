"""Wrong values of every argument of the front door end in one line that names the argument, before any work."""

import collections
from collections.abc import Container, Iterable
from pathlib import Path

import numpy as np
import pytest
from calls_of_rooms import room_calls
from cascade_calls import CASCADES_BY_DESIGN
from circuit_calls import PARTS_BY_DESIGN, public
from harness import Case, front_door, methods, names_of_rooms, outcomes, parts_and_physics, public_functions
from jaxtyping import config
from method_calls import METHODS_BY_DESIGN
from valid_calls import BY_DESIGN, NOT_TRIED, OF_ROOMS_NOT_TRIED, calls

import amsim


def wrong(cases: Iterable[Case], by_design: Container[tuple[str, ...]], every: int, least: int) -> list[str]:
    """What was not refused as it should be, of every so many-th wrong value."""
    found = [one for one in outcomes(cases, every) if one[:3] not in by_design]
    assert len(found) * every > least
    print(dict(collections.Counter(one.kind for one in found)))
    return [" | ".join(one) for one in found if one.kind != "ok"]


def test_some_wrong_values_are_refused():
    assert wrong(front_door(), BY_DESIGN | CASCADES_BY_DESIGN, every=7, least=4000) == []


@pytest.mark.slow  # all values; every seventh is tried above
def test_every_wrong_value_is_refused():
    assert wrong(front_door(), BY_DESIGN | CASCADES_BY_DESIGN, every=1, least=4000) == []


def test_some_wrong_fields_of_parts_are_refused():
    assert wrong(parts_and_physics(), PARTS_BY_DESIGN, every=11, least=5000) == []


@pytest.mark.slow  # all values; every eleventh is tried above
def test_every_wrong_field_of_a_part_is_refused():
    assert wrong(parts_and_physics(), PARTS_BY_DESIGN, every=1, least=5000) == []


def test_some_wrong_arguments_of_methods_are_refused():
    assert wrong(methods(), METHODS_BY_DESIGN, every=29, least=4000) == []


@pytest.mark.slow  # all values; every twenty-ninth is tried above
def test_every_wrong_argument_of_a_method_is_refused():
    assert wrong(methods(), METHODS_BY_DESIGN, every=1, least=4000) == []


def written(folder: str) -> None:
    """A function that takes any folder and leaves a file in it."""
    Path(folder, "left").write_text("")


def test_a_wrong_value_that_leaves_a_file_is_seen(tmp_path, monkeypatch):
    """And none is left where the tests run."""
    monkeypatch.chdir(tmp_path)
    values = {"empty": "", "nul": "a\0b"}
    found = {one.value: one.kind for one in outcomes([Case("written", written, {}, "folder", values)])}
    assert found == {"empty": "file", "nul": "traceback"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [0, 1.5, "", np.int64(0), b"a", True, None])
def test_an_export_to_a_number_or_nothing_is_refused(folder, tmp_path, monkeypatch):
    """An empty text is the current folder to `pathlib`."""
    monkeypatch.chdir(tmp_path)
    call = room_calls()["zigzag.write"]
    config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(ValueError, match="Argument `folder` must be a path"):
            amsim.zigzag.write(**call | {"folder": folder})
    finally:
        config.update("jaxtyping_disable", False)
    assert list(tmp_path.iterdir()) == []


def test_parts_are_found():
    assert {"circuits.SwitchedCapacitor", "circuits.Dram", "noise.ktc_sigma", "noise.lumped.walden_fom"} <= set(
        public()
    )


def test_every_public_name_is_tried():
    front_door = {name for name in calls() if "." not in name}
    assert public_functions() == front_door | NOT_TRIED.keys()


def test_every_name_of_a_room_is_tried():
    assert names_of_rooms() == OF_ROOMS_NOT_TRIED.keys()
