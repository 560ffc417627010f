"""Which source of error costs what, by switching sources off one at a time, and all but one."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np
import xarray as xr

from amsim.accelerator import Accelerator
from amsim.results import labelled
from amsim.settings import setting
from amsim.studies.axes import Block
from amsim.studies.measured import measured
from amsim.studies.sweep import sweep

SOURCES: Mapping[str, Mapping[str, Any]] = {
    "capacitor mismatch": {"macro.mismatch_coefficient": 0.0},
    "thermal noise": {"macro.temperature": 0.0},
    "comparator noise": {"macro.comparator.noise": 0.0},
    "comparator offset": {"macro.comparator.offset_sigma": 0.0},
    "converter mismatch": {"macro.adc.mismatch_coefficient": 0.0},
    "converter offset": {"macro.adc.offset_sigma": 0.0},
    "drivers": {"macro.drivers": None},
    "reset switch": {"macro.reset": None},
    "leakage": {"macro.leakage": None},
    "supply noise": {"macro.supply_noise": None},
    "layout": {"macro.layout": None},
    "faults": {"macro.faults": None},
}
"""Settings that switch a source of error of a switched-capacitor array off.

Without thermal noise the array is at 0 K, where next to nothing leaks: leakage alone is then not seen, and what is left
without thermal noise is without leakage too.
"""

STATES = ("all but this", "this alone")


def switched_sources(
    function: Any, *, hardware: Any = None, sources: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
) -> xr.Dataset:
    """Measure with each source of error off and all others on, and with each alone, on the same dies and reads.

    Args:
        function: As for `amsim.sweep`.
        hardware: As for `amsim.sweep`.
        sources: For each source the settings that switch it off; None takes those of `SOURCES` that are on. Sources
            share no setting.
        **options: Further arguments of `amsim.sweep`.

    Returns:
        Each output over (source, state, ...), `state` being "all but this" or "this alone"; beside it `..._all` with
        every source on and `..._none` with all of them off.

    Raises:
        ValueError: No source is on, or as `amsim.sweep`.
    """
    base = measured(function, hardware, options.get("labels")).hardware
    if base is None:
        raise ValueError("Argument `hardware` must be given, since its sources of error are switched.")
    chosen = _present(base) if sources is None else dict(sources)
    if not chosen:
        raise ValueError("Argument `hardware` must have a source of error that is on, but has none; give `sources`.")
    names, everything = list(chosen), frozenset(chosen)
    cases = [frozenset(), *(frozenset({name}) for name in names), everything]
    cases += [everything - {name} for name in names]
    choices: dict[str, list[tuple[str, Any]]] = {}
    for name, off in chosen.items():
        for path, value in off.items():
            on = setting(base, path)
            on = float(on) if eqx.is_inexact_array(on) and on.shape == () else on
            choices[path] = [("off", value) if name in case else ("on", on) for case in cases]
    result = sweep(function, Block("case", choices), hardware=hardware, **options)
    return _by_source(result.drop_vars([*choices, "case"]), names)


def _present(hardware: Any) -> dict[str, Mapping[str, Any]]:
    """Sources that the hardware has and that are on."""
    found = {}
    for name, off in SOURCES.items():
        for path in off:
            try:
                value = setting(Accelerator.of(hardware), path)
            except ValueError:
                continue
            if value is not None and not (eqx.is_array(value) and float(value) == 0.0):
                found[name] = off
    return found


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
