"""Hardware and axes of a study file as `amsim.sweep` takes them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amsim.evaluation.given_network import network_of
from amsim.foreign.item_inputs import ItemNumbers
from amsim.networks import NETWORKS
from amsim.studies.axes import HARDWARE, NETWORK, Conditional, blocks, points
from amsim.studies.study_file.axis_values import check_values, inside
from amsim.studies.study_file.hardware import DESIGNS, PRESETS, NamedHardware, named_hardware
from amsim.studies.study_file.reading import place_text
from amsim.system.accelerator import Accelerator
from amsim.system.settings import check_path


def hardware_and_axes(
    content: Mapping[str, Any], folder: Path, mistakes: list[str]
) -> tuple[Accelerator | None, list[Any]]:
    """Hardware for `amsim.study` and axes for `amsim.sweep`.

    Args:
        content: The file as read by its layout.
        folder: Folder that paths in it are relative to.
        mistakes: List to which a line per mistake is added.
    """
    given, numbers = content.get("hardware"), content["study"].get("inputs")
    several = given if isinstance(given, list) else []
    single = None if given is None or several else given[1]
    named = _named(several, mistakes)
    tables = {"axes": content.get("axes", {}), "points": content.get("points", {})}
    places = {path: table for table, values in tables.items() for path in values}
    used = _used(tables, named, mistakes)
    if HARDWARE not in places and named:
        used = named
    if single is None and not used and HARDWARE not in places:
        mistakes.append("[hardware] is missing; it must be a table with one of design, chip, macro or sites.")
    if NETWORK not in content["study"] and NETWORK not in places:
        mistakes.append("[study] network is missing; give it, or an axis `network`.")
    sampled = content.get("samples")
    if sampled is not None:
        places |= dict.fromkeys(sampled.values, "samples.ranges")
    _check_paths(places, list(used.values()) or [single], mistakes)
    if mistakes:
        return single, []
    try:
        axes: list[Any] = [{HARDWARE: used}] if used and HARDWARE not in places else []
        plain: list[Any] = []
        conditional: list[Any] = []
        for path, values in tables["axes"].items():
            (conditional if isinstance(values, Conditional) else plain).append(
                {path: _values(path, values, used, folder, numbers)}
            )
        axes += plain
        if tables["points"]:
            axes.append(
                points({path: _values(path, one, used, folder, numbers) for path, one in tables["points"].items()})
            )
        # Axes that a condition refers to come before it; TOML does not keep the order of paths with and without quotes.
        axes += ([] if sampled is None else [sampled]) + conditional
        dims = blocks(axes)
    except ValueError as error:
        mistakes.append(f"[axes] {error}")
        return single, []
    check_values(dims, places, list(used.values()) or [single], mistakes)
    return single, axes


def load_network(name: str, folder: Path, numbers: ItemNumbers | None = None) -> tuple[Callable[..., Any], Any]:
    """A reference network by name, or a network of an `.npz` or `.onnx` file.

    Args:
        name: Name or file.
        folder: Folder that paths are relative to.
        numbers: Numbers of the inputs of an `.onnx` file; None is the default.

    Raises:
        ValueError: No such network, or a file that is not one.
        OSError: The file cannot be read.
    """
    return network_of(name if name in NETWORKS else folder / name, numbers=numbers)


def _named(several: Sequence[NamedHardware], mistakes: list[str]) -> dict[str, Accelerator]:
    found: dict[str, Accelerator] = {}
    for label, accelerator in several:
        if label in found:
            mistakes.append(f"[[hardware]] name must differ between tables, but {label!r} occurs twice.")
        found[label] = accelerator
    return found


def _used(
    tables: Mapping[str, Mapping[str, Any]], named: Mapping[str, Accelerator], mistakes: list[str]
) -> dict[str, Accelerator]:
    """Hardware named by an axis."""
    found: dict[str, Accelerator] = {}
    for table, values in tables.items():
        for name in values.get(HARDWARE, []):
            accelerator = named[name] if name in named else named_hardware(name)
            if accelerator is None:
                allowed = ", ".join([*named, *DESIGNS, *PRESETS])
                mistakes.append(f"{place_text((table, HARDWARE))} must have names among {allowed}, but has {name!r}.")
            elif name in found:
                mistakes.append(f"{place_text((table, HARDWARE))} must name nothing twice, but does so with {name!r}.")
            else:
                found[name] = accelerator
    return found


def _check_paths(places: Mapping[str, str], hardware: Sequence[Accelerator | None], mistakes: list[str]) -> None:
    for path, table in places.items():
        for one in hardware:
            # Settings inside a part that another axis sets are checked with that part, value by value.
            if one is None or inside(path, places) or path in (HARDWARE, NETWORK):
                continue
            try:
                check_path(one, path)
            except ValueError as error:
                mistakes.append(f"{place_text((table, path))}: {error}")
                break


def _values(
    path: str, values: Any, hardware: Mapping[str, Accelerator], folder: Path, numbers: ItemNumbers | None
) -> Any:
    if path == HARDWARE:
        return {name: hardware[name] for name in values}
    if path == NETWORK:
        return [name if name in NETWORKS else (name, *load_network(name, folder, numbers)) for name in values]
    return values
