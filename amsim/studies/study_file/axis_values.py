"""Values on the axes of a study file, tried on the hardware: wrong ones are named, and a long axis takes no time."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import equinox as eqx

from amsim.studies.axes import HARDWARE, NETWORK, Block, Choice
from amsim.studies.plan import groups
from amsim.studies.study_file.reading import place_text
from amsim.studies.study_file.refusals import refusals
from amsim.system.accelerator import Accelerator
from amsim.system.settings import setting, with_settings

MOST_NAMED = 20
"""Most refused values of an axis that are named; a range with a wrong end may have a million."""

MOST_PROGRAMS = 4096
"""Most values of a setting that is compiled with each of them: a program takes about a second."""


def check_values(
    dims: Sequence[Block], places: Mapping[str, str], hardware: Sequence[Accelerator | None], mistakes: list[str]
) -> None:
    """Report each value that the hardware does not allow; combinations are checked when the study begins.

    Args:
        dims: Dimensions of the study.
        places: Table of each path.
        hardware: What the study measures; None where that is not known.
        mistakes: List to which a line per mistake is added.
    """
    choices = {path: found for block in dims for path, found in block.choices.items()}
    found: list[str] = []
    continuous = set()
    before = len(mistakes)
    for path, table in places.items():
        if path in (HARDWARE, NETWORK) or inside(path, places):
            continue
        place = place_text((table, path))
        try:
            tried = [_refused(one, path, choices[path]) for one in hardware if one is not None]
        except ValueError as error:
            mistakes.append(f"{place} {error}")
            continue
        if all(number for _, number in tried):
            continuous.add(path)
        texts = list(dict.fromkeys(text for several, _ in tried for text in several))
        found += [f"{place}: {text}" for text in texts[:MOST_NAMED]]
        more = any(len(several) > MOST_NAMED for several, _ in tried)
        found += [f"{place}: Further values are not allowed either."] if more else []
    # A value may be allowed beside that of another axis.
    if found and (len(mistakes) > before or refusals(lambda _: _together(dims, continuous, hardware[0]), {})):
        mistakes += found


def inside(path: str, places: Iterable[str]) -> bool:
    """Whether a path lies inside a part that another axis sets."""
    return any(path.startswith(f"{other}.") for other in places)


def _refused(hardware: Accelerator, path: str, choices: Sequence[Choice]) -> tuple[list[str], bool]:
    """Reasons of refused values, a few more than are named at most; whether they are numbers of a continuous setting.

    Raises:
        ValueError: Too many values of a setting that is not continuous.
    """
    values = list({(type(value), label): value for label, value in choices}.values())
    change = partial(with_settings, hardware)

    def reason(value: Any) -> str:
        return "".join(refusals(change, {path: value}).values())

    if {type(value) for value in values} <= {int, float}:
        # Allowed values of a continuous setting form an interval, so what is refused is at its ends.
        ordered = sorted(values)
        low, high = (
            list(itertools.takewhile(bool, map(reason, several[: MOST_NAMED + 1])))
            for several in (ordered, ordered[: -MOST_NAMED - 2 : -1])
        )
        if len(low) == min(len(ordered), MOST_NAMED + 1):
            return low, True
        value = setting(change({path: ordered[len(low)]}), path)
        if eqx.is_inexact_array(value):
            return low + high[::-1], True
    if len(values) > MOST_PROGRAMS:
        raise ValueError(
            f"must have at most {MOST_PROGRAMS} different values, since a program is compiled for each, "
            f"but has {len(values)}."
        )
    return list(itertools.islice(filter(None, map(reason, values)), MOST_NAMED + 1)), False


def _together(dims: Sequence[Block], continuous: set[str], hardware: Accelerator | None) -> None:
    """Raise ValueError unless all combinations are allowed; of numbers only the ends beside each choice are tried."""
    asked = {(path, label) for block in dims for path, labels in block.where.items() for label in labels}
    groups([_shortened(block, continuous, asked) for block in dims], hardware, networks=True)


def _shortened(block: Block, continuous: set[str], asked: set[tuple[str, Any]]) -> Block:
    numbers = [[value for _, value in choices] for path, choices in block.choices.items() if path in continuous]
    labels = [
        [None if path in continuous and (path, label) not in asked else label for label, _ in choices]
        for path, choices in block.choices.items()
    ]
    members: dict[tuple[Any, ...], list[int]] = {}
    for number, same in enumerate(zip(*labels, strict=True)):
        members.setdefault(same, []).append(number)
    ends = {end(held, key=one.__getitem__) for held in members.values() for one in numbers for end in (min, max)}
    kept = sorted(ends | {held[0] for held in members.values()})
    return dataclasses.replace(
        block, choices={path: [choices[number] for number in kept] for path, choices in block.choices.items()}
    )
