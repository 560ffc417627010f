"""Which source of error costs what, by switching sources off one at a time, and all but one."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr

from amsim.results.labelled import labelled
from amsim.studies.axes import Block
from amsim.studies.front_door import sweep
from amsim.studies.measured import measured
from amsim.system.settings import each_path, setting

SOURCES: Mapping[str, Mapping[str, Any]] = {
    "capacitor mismatch": {"macro.mismatch_coefficient": 0.0},
    "thermal noise": {"macro.temperature": 0.0},
    "comparator noise": {"macro.comparator.noise": 0.0},
    "comparator offset": {"macro.comparator.offset_sigma": 0.0},
    "comparator kickback": {"macro.comparator.kickback": None},
    "converter mismatch": {"macro.adc.mismatch_coefficient": 0.0, "macro.adc.ladder_mismatch": 0.0},
    "converter offset": {"macro.adc.offset_sigma": 0.0},
    "converter ramp": {"macro.adc.gain_sigma": 0.0, "macro.adc.bow_sigma": 0.0, "macro.adc.delay_sigma": 0.0},
    "drivers": {"macro.drivers": None},
    "reset switch": {"macro.reset": None},
    "leakage": {"macro.leakage": None},
    "supply noise": {"macro.supply_noise": None},
    "layout": {"macro.layout": None},
    "faults": {"macro.faults": None},
    "weight cells": {"macro.weight_cells": None},
}
"""Settings that switch a source of error of a macro off; a macro has some of them.

What leaks stays as it is when thermal noise is off, though the array then is at 0 K.
"""

STATES = ("all but this", "this alone")


def switched_sources(
    function: Any, *, hardware: Any = None, sources: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
) -> xr.Dataset:
    """Measure with each source of error off and all others on, and with each alone, on the same dies and reads.

    Args:
        function: As for `amsim.sweep`.
        hardware: As for `amsim.sweep`.
        sources: For each source the settings that switch it off; None takes those of `SOURCES` that are on. One that
            stands for several macros, such as "macro.drivers", switches all of them.
        **options: Further arguments of `amsim.sweep`.

    Returns:
        Each output over (source, state, ...), `state` being "all but this" or "this alone"; beside it `..._all` with
        every source on and `..._none` with all of them off.

    Raises:
        ValueError: No source is on, two sources share a setting, or as `amsim.sweep`.
    """
    base = measured(function, hardware, options.get("labels")).hardware
    if base is None:
        raise ValueError("Argument `hardware` must be given, since its sources of error are switched.")
    chosen = _present(base) if sources is None else {name: _each(base, off) for name, off in sources.items()}
    if not chosen:
        raise ValueError("Argument `hardware` must have a source of error that is on, but has none; give `sources`.")
    names, everything = list(chosen), frozenset(chosen)
    cases = [frozenset(), *(frozenset({name}) for name in names), everything]
    cases += [everything - {name} for name in names]
    choices = _choices(base, chosen, cases)
    result = sweep(function, Block("case", choices), hardware=hardware, **options)
    return _by_source(result.drop_vars([*choices, "case"]), names)


def _each(hardware: Any, off: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of single macros that switch a source off, and what they are then."""
    return {one: value for path, value in off.items() for one in each_path(hardware, path)}


def _present(hardware: Any) -> dict[str, dict[str, Any]]:
    """Sources that the hardware has and that are on, with the settings that switch them off."""
    found: dict[str, dict[str, Any]] = {}
    for name, off in SOURCES.items():
        for path, value in off.items():
            try:
                switches = _each(hardware, {path: value})
            except ValueError:  # no macro has it
                continue
            on = {one: value for one in switches if _is_on(setting(hardware, one))}
            if on:
                found[name] = found.get(name, {}) | on
    return found


def _is_on(value: Any) -> bool:
    return value is not None and not (eqx.is_array(value) and float(value) == 0.0)


def _choices(
    hardware: Any, chosen: Mapping[str, Mapping[str, Any]], cases: Sequence[frozenset[str]]
) -> dict[str, list[tuple[str, Any]]]:
    """Of each setting its values in all cases, of which each is the set of sources that are off."""
    choices: dict[str, list[tuple[str, Any]]] = {}
    for name, off in chosen.items():
        for path, value in off.items():
            if path in choices:
                raise ValueError(f"Argument `sources` must name each setting once, but {path!r} is there twice.")
            on = setting(hardware, path)
            on = float(on) if eqx.is_inexact_array(on) and on.shape == () else on
            choices[path] = [("off", value) if name in case else ("on", on) for case in cases]
    for path in [path for path in choices if path.endswith(".temperature")]:
        _hold_leakage(hardware, choices, path)
    return choices


def _hold_leakage(hardware: Any, choices: dict[str, list[tuple[str, Any]]], path: str) -> None:
    """Let leak at the changed temperature what leaks at its own."""
    place = path.removesuffix("temperature") + "leakage"
    try:
        leakage = setting(hardware, place)
    except ValueError:  # a temperature of something else
        return
    if leakage is None:
        return
    warm, changed = setting(hardware, path), next(value for label, value in choices[path] if label == "off")
    held = ("held", leakage.kept_at(jnp.asarray(changed, warm.dtype), warm))
    states = choices.get(place, [("on", leakage)] * len(choices[path]))
    choices[place] = [
        held if (temperature, state[0]) == ("off", "on") else state
        for (temperature, _), state in zip(choices[path], states, strict=True)
    ]


def _by_source(result: xr.Dataset, names: list[str]) -> xr.Dataset:
    """Cases in the order all on, each off, all off, each alone, as sources and states."""
    count = len(names)
    variables: dict[str, Any] = {}
    labels: dict[str, tuple[str, str]] = {"source": ("1", "source of error"), "state": ("1", "sources that are on")}
    for name, values in result.data_vars.items():
        unit, long_name = values.attrs["units"], values.attrs["long_name"]
        if "case" not in values.dims:
            continue
        cases = values.transpose("case", ...)
        inner = tuple(map(str, cases.dims[1:]))
        both = np.stack([cases.values[1 : count + 1], cases.values[count + 2 :]], axis=1)
        variables[str(name)] = (("source", "state", *inner), both)
        variables[f"{name}_all"] = (inner, cases.values[0])
        variables[f"{name}_none"] = (inner, cases.values[count + 1])
        labels |= {str(name): (unit, long_name)}
        labels |= {f"{name}_all": (unit, f"{long_name}, all sources on")}
        labels |= {f"{name}_none": (unit, f"{long_name}, all sources off")}
    coordinates: dict[str, Any] = {"source": names, "state": list(STATES)}
    for name, held in result.coords.items():
        coordinates[str(name)] = (held.dims, held.values)
        labels[str(name)] = (held.attrs["units"], held.attrs["long_name"])
    return labelled(variables, coordinates, result.attrs, labels=labels)
