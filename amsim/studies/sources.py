"""Cost of each source of error, by switching sources off one at a time, and all but one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr

from amsim.circuits.checks import one_of, shown, words
from amsim.circuits.contract.error_sources import PlacedSource
from amsim.results.labelled import labelled
from amsim.studies.axes import Block, Choice
from amsim.studies.front_door import sweep
from amsim.studies.measured import measured
from amsim.system.accelerator import Accelerator
from amsim.system.settings import each_path, macro_path, setting, with_settings

ALL_BUT_THIS, THIS_ALONE, ALL, NONE = "all but this", "this alone", "all", "none"
STATES = (ALL_BUT_THIS, THIS_ALONE)

Case = tuple[str, str]
"""A source, or none for all of them together, and the state that it is measured in."""


def switched_sources(
    function: Any,
    *,
    hardware: Any = None,
    sources: Mapping[str, Mapping[str, Any]] | Sequence[str] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Measure with each source of error off and all others on, and with each alone, on the same dies and reads.

    Args:
        function: As for `amsim.sweep`.
        hardware: As for `amsim.sweep`.
        sources: Names of sources that the hardware's parts declare (`amsim.circuits.ErrorSource`); or for each source
            of your own the settings that switch it off, one that stands for several macros, such as "macro.drivers",
            switching all of them. None takes all declared ones that are on, but for the resolution of readouts.
            Leakage stays as it is while thermal noise is off, though the array then is at 0 K.
        **options: Further arguments of `amsim.sweep`.

    Returns:
        Each output over (source, state, ...), `state` being "all but this" or "this alone"; beside it `..._all` with
        every source on and `..._none` with all of them off.

    Raises:
        ValueError: No source is on, an unknown one, two sources share a setting, or as `amsim.sweep`.
    """
    base = measured(function, hardware, options.get("labels")).hardware
    if base is None:
        raise ValueError("Argument `hardware` must be given, since its sources of error are switched.")
    accelerator = Accelerator.of(base)
    chosen = _chosen(accelerator, sources)
    if not chosen:
        raise ValueError("Argument `hardware` must have a source of error that is on, but has none; give `sources`.")
    cases = _cases(list(chosen))
    choices = _choices(accelerator, chosen, list(cases.values()))
    result = sweep(function, Block("case", choices), hardware=hardware, **options)
    return _by_source(result.drop_vars([*choices, "case"]), list(chosen), list(cases))


def _cases(names: Sequence[str]) -> dict[Case, frozenset[str]]:
    """Sources that are off in each case."""
    everything = frozenset(names)
    cases: dict[Case, frozenset[str]] = {("", ALL): frozenset()}
    cases |= {(name, ALL_BUT_THIS): frozenset({name}) for name in names}
    cases |= {("", NONE): everything}
    return cases | {(name, THIS_ALONE): everything - {name} for name in names}


def _placed(accelerator: Accelerator) -> Iterator[tuple[int, PlacedSource]]:
    """Declared sources, each with the number of its macro."""
    for number, macro in enumerate(accelerator.macros):
        for placed in macro.all_error_sources():
            yield number, placed


def _chosen(
    accelerator: Accelerator, sources: Mapping[str, Mapping[str, Any]] | Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    """For each source the settings of single macros that switch it off, and their values then."""
    if isinstance(sources, Mapping):
        for name, off in sources.items():
            if not isinstance(off, Mapping):
                raise ValueError(
                    f"Argument `sources` must have the settings that switch {name!r} off by their paths, but has "
                    f"{shown(off)}."
                )
        return {
            name: {one: value for path, value in off.items() for one in each_path(accelerator, path)}
            for name, off in sources.items()
        }
    declared: dict[str, dict[str, Any]] = {}
    kinds: dict[str, str] = {}
    for number, placed in _placed(accelerator):
        kinds.setdefault(placed.source.name, placed.source.kind)
        switches = {macro_path(accelerator, number, place): value for place, value in placed.switches.items()}
        declared[placed.source.name] = declared.get(placed.source.name, {}) | switches
    named = None if sources is None else words("sources", sources)
    for name in named or ():
        one_of("sources", name, declared)
    wanted = [name for name in declared if kinds[name] != "resolution"] if named is None else named
    return {name: declared[name] for name in wanted if declared[name]}


def _choices(
    accelerator: Accelerator, chosen: Mapping[str, Mapping[str, Any]], cases: Sequence[frozenset[str]]
) -> dict[str, list[Choice]]:
    """Of each setting its values in all cases, of which each is the set of sources that are off."""
    choices: dict[str, list[Choice]] = {}
    for name, off in chosen.items():
        for path, value in off.items():
            if path in choices:
                raise ValueError(f"Argument `sources` must name each setting once, but {path!r} is there twice.")
            on = setting(accelerator, path)
            on = float(on) if eqx.is_inexact_array(on) and on.shape == () else on
            choices[path] = [("off", value) if name in case else ("on", on) for case in cases]
    for number, placed in _placed(accelerator):
        for field in placed.source.temperatures:
            path = macro_path(accelerator, number, (*placed.place, field))
            if path in choices:
                _hold(accelerator, choices, path, [path.removesuffix(field) + name for name in placed.source.kept])
    for outer in sorted(choices, key=lambda path: path.count("."), reverse=True):
        inner = [path for path in choices if path.startswith(f"{outer}.")]
        # What is inside is not there in all cases, or not that of the part as it is.
        if inner and any(part is not choices[outer][0][1] for _, part in choices[outer]):
            merged = {path: choices.pop(path) for path in inner}
            choices[outer] = _with_inner(accelerator, outer, choices[outer], merged)
    return choices


def _hold(accelerator: Accelerator, choices: dict[str, list[Choice]], path: str, parts: Sequence[str]) -> None:
    """Keep parts that depend on a temperature, such as leakage, as they are while it is changed."""
    warm, changed = setting(accelerator, path), next(value for label, value in choices[path] if label == "off")
    for place in parts:
        part = setting(accelerator, place)
        if part is None:
            continue
        cold = part.kept_at(jnp.asarray(changed, warm.dtype), warm)
        if cold is part:
            continue
        held = ("held", cold)
        states = choices.get(place, [("on", part)] * len(choices[path]))
        choices[place] = [
            held if (temperature, state[0]) == ("off", "on") else state
            for (temperature, _), state in zip(choices[path], states, strict=True)
        ]


def _with_inner(
    accelerator: Accelerator, outer: str, choices: Sequence[Choice], inner: Mapping[str, Sequence[Choice]]
) -> list[Choice]:
    """Values of a part that is switched as a whole, with what is switched inside it where it is not."""
    found = []
    for number, (label, part) in enumerate(choices):
        off = [path for path, values in inner.items() if label != "off" and values[number][0] == "off"]
        if off:
            changed = with_settings(accelerator, {outer: part})
            changed = with_settings(changed, {path: inner[path][number][1] for path in off})
            label, part = f"{label}, without {', '.join(off)}", setting(changed, outer)
        found.append((label, part))
    return found


def _by_source(result: xr.Dataset, names: list[str], cases: Sequence[Case]) -> xr.Dataset:
    """Variables over cases as ones over sources and states."""
    place = {case: number for number, case in enumerate(cases)}
    places = np.array([[place[name, state] for state in STATES] for name in names])
    variables: dict[str, Any] = {}
    labels: dict[str, tuple[str, str]] = {"source": ("1", "source of error"), "state": ("1", "sources that are on")}
    for name, values in result.data_vars.items():
        unit, long_name = values.attrs["units"], values.attrs["long_name"]
        if "case" not in values.dims:
            continue
        by_case = values.transpose("case", ...)
        inner = tuple(map(str, by_case.dims[1:]))
        variables[str(name)] = (("source", "state", *inner), by_case.values[places])
        variables[f"{name}_all"] = (inner, by_case.values[place["", ALL]])
        variables[f"{name}_none"] = (inner, by_case.values[place["", NONE]])
        labels |= {str(name): (unit, long_name)}
        labels |= {f"{name}_all": (unit, f"{long_name}, all sources on")}
        labels |= {f"{name}_none": (unit, f"{long_name}, all sources off")}
    coordinates: dict[str, Any] = {"source": names, "state": list(STATES)}
    for name, held in result.coords.items():
        coordinates[str(name)] = (held.dims, held.values)
        labels[str(name)] = (held.attrs["units"], held.attrs["long_name"])
    return labelled(variables, coordinates, result.attrs, labels=labels)
