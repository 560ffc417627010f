"""Valid calls of every public class of `amsim.circuits` and function of `amsim.noise`, made from their signatures."""

import dataclasses
import inspect
from types import UnionType
from typing import Any

import jax
import numpy as np

from amsim import circuits, noise
from amsim.noise import lumped, spatial, switching

ONE = np.float32(1.0)
SQUARE = np.ones((2, 2), np.float32)
BY_NAME = {
    "key": jax.random.key(0), "shape": (2,), "x": np.ones(2, np.float32), "slopes": np.ones(2, np.float32),
    "curvatures": np.ones(3, np.float32), "standard_draws": SQUARE, "field": SQUARE, "first": 0,
    "rule": "straight-through",
}  # fmt: skip
BY_ANNOTATION = {"int": 2, "bool": True, "float": 0.5}
OF_VALUES = {
    "rule": "word", "method": "word", "dtype": "word", "first": "count", "items": "count", "kernel": "part",
    "strides": "part", "dilation": "part", "modes": "part", "shape": "part",
}  # fmt: skip
TABLE = {"counts": (-4, 0, 4), "mean": np.ones((2, 3)), "sigma": np.ones((2, 3)), "rows": 4, "columns": 2}
REQUIRED = {
    "circuits.Measured": TABLE,
    "circuits.SwitchedCapacitor": {"rows": 4, "columns": 2},
    "circuits.Drivers": {"supply_resistance": 100.0},
    "circuits.ChargeLine": {"capacitances": np.ones(2, np.float32)},
    "circuits.ConvolutionProduct": {"kernel": (2, 2), "strides": (1, 1), "dilation": (1, 1)},
    "circuits.ErrorSource": {"name": "noise", "kind": "static", "description": "noise", "sizes": ("sigma",)},
}  # fmt: skip


def public() -> dict[str, Any]:
    """Public classes of parts and functions of physics by their names."""
    parts = {
        f"circuits.{name}": value
        for name, value in vars(circuits).items()
        if inspect.isclass(value)
        and dataclasses.is_dataclass(value)
        and not inspect.isabstract(value)
        and name not in NOT_TRIED
    }
    functions = {
        f"{room.__name__.removeprefix('amsim.')}.{name}": value
        for room in (noise, lumped, spatial, switching)
        for name, value in vars(room).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__.startswith("amsim.noise")
        and not value.__module__.endswith(("finite_slopes", "checks", "arguments"))  # what the room itself is made of
    }
    return parts | {name: value for name, value in functions.items() if name not in INSIDE}


NOT_TRIED = {
    "Coded": "a macro makes it",
    "MacroCost": "a macro makes it",
    "Work": "the mapping makes it",
    "Operands": "made in traced programs, from arrays that `Operands.dense` and `matmul` have checked",
    "Neuron": "made in traced programs, from arrays that `decide` has checked",
}
"""Public classes that users do not make themselves, each with the reason."""

INSIDE = {
    f"noise.{room}.{name}"
    for room in ("lumped", "spatial", "switching")
    for name in (
        "scan",
        "decibels",
        "power_ratio",
    )
}
"""Names that a room imports for its own use."""


def parameters(function: Any) -> list[inspect.Parameter]:
    """Parameters with the annotations of the fields, which converters hide, and kinds of quantities and parts told."""
    found = inspect.signature(function).parameters.values()
    fields = {one.name: one.type for one in dataclasses.fields(function)} if inspect.isclass(function) else {}
    found = [one for one in found if one.kind not in SEVERAL]
    return [one.replace(annotation=fields.get(one.name, one.annotation)) for one in found]


def kind_of_value(parameter: inspect.Parameter) -> str | None:
    """Kind of wrong values of a part's field or of a physical quantity; None where the name or a plain type tells."""
    annotation, text = parameter.annotation, str(parameter.annotation)
    if parameter.name in OF_VALUES:
        return OF_VALUES[parameter.name]
    kinds = annotation.__args__ if isinstance(annotation, UnionType) else (annotation,)
    if any(inspect.isclass(one) and one.__module__.startswith("amsim") for one in kinds):
        return "part"
    if annotation in (circuits.Quantity, circuits.Quantity | None) or "Real[" in text:
        return "quantity"
    if "Float[" in text:
        return "array"
    return "word" if text.startswith("typing.Literal") else None


def valid(name: str, function: Any) -> dict[str, Any]:
    """Arguments without a default, by their names and annotations."""
    given = dict(REQUIRED.get(name, {}))
    for parameter in parameters(function):
        if parameter.name in given or parameter.default is not inspect.Parameter.empty:
            continue
        annotation = getattr(parameter.annotation, "__name__", str(parameter.annotation))
        given[parameter.name] = BY_NAME.get(parameter.name, BY_ANNOTATION.get(annotation, ONE))
    return given


SEVERAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

EITHER_SIGN = {
    "noise.switching.exponential_approach": ("start", "final"),
    "noise.switching.leakage_drop": ("current",),
    "noise.switching.coupled_step": ("step",),
    "noise.switching.injected_step": ("overdrive",),
    "noise.switching.jitter_sigma": ("slope",),
    "noise.lumped.conversion_energy": ("sndr", "schreier"),
    "noise.lumped.enob_of_sndr": ("sndr",),
    "noise.lumped.schreier_fom": ("sndr",),
    "noise.lumped.needed_converter_bits": ("snr",),
    "noise.lumped.sndr_of_enob": ("enob",),
    "noise.lumped.walden_fom": ("enob",),
    "noise.lumped.layer_sigma": ("enob",),
    "noise.lumped.layer_conversion_energy": ("enob",),
}
"""Levels and steps, and ratios in dB with the effective bits that follow from them."""

RATIOS = [(name, one) for name, names in EITHER_SIGN.items() for one in names if one in ("sndr", "snr")]

PARTS_BY_DESIGN = {
    **{(name, one, "negative"): "either sign" for name, names in EITHER_SIGN.items() for one in names},
    **{(name, one, "infinity"): "a ratio in dB without noise" for name, one in RATIOS},
    ("circuits.ErrorSource", "name", "unknown"): "any text",
    ("circuits.ErrorSource", "description", "unknown"): "any text",
    ("noise.uniform", "shape", "list"): "a shape without axes",
    ("noise.normal", "shape", "list"): "a shape without axes",
    ("circuits.ConvolutionProduct", "kernel", "list"): "a shape without axes",
    ("circuits.ConvolutionProduct", "strides", "list"): "a shape without axes",
    ("circuits.ConvolutionProduct", "dilation", "list"): "a shape without axes",
}
"""Values that are not refused, each with the reason."""
