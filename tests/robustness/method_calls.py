"""Valid calls of the public methods of parts and functions of `amsim.circuits`, made from their signatures."""

import inspect
from types import UnionType
from typing import Any

import circuit_calls
import jax
import numpy as np
from wrong_values import WRONG, wrong_values

from amsim import circuits
from amsim.circuits.adc import standard_tests

ONE = np.float32(1.0)
LINE, LINES = np.ones(2, np.float32), np.ones((4, 2), np.float32)
MACRO = circuits.SwitchedCapacitor(rows=4, columns=2)
BY_NAME = {
    "rows": 4, "columns": 2, "gate": "nand", "name": "LPDDR4", "process": circuits.Process(), "die": None,
    "key": jax.random.key(0), "high": LINE, "resistances": LINE, "supply": 0.8, "temperature": 300.0,
    "voltages": LINE, "lines": LINE,
    "inputs": np.ones((3, 4), np.float32), "weights": LINES, "product": circuits.DenseProduct(4, 2), "readout": None,
    "word": 4, "macro": MACRO, "comparator": circuits.Comparator(), "unit": np.float32(1e-15), "levels": 8,
    "sizes": circuits.ComparatorSizes(1e-6, 1e-7, 1e-6, 1e-7), "lowest": -4, "highest": 4, "cycles": 3,
    "transitions": np.arange(1.0, 8.0), "codes": np.arange(64) % 8, "samples": np.sin(np.arange(64.0)),
    "values": np.linspace(-1, 1, 8), "place": 0, "counts": LINES, "method": "min-max", "coverage": 0.5,
    "nominal": MACRO.nominal,
}  # fmt: skip
OF_FUNCTION = {
    "coherent_cycles": {"samples": 64, "cycles": 5.0},
    "full_scale_sine": {"samples": 64},
    "foreign_digits": {"inputs": None, "weights": None},
    "codings": {"inputs": circuits.ValueRange(0.0), "weights": circuits.ValueRange(-1.0, 1.0)},
}
METHODS_BY_DESIGN = {
    ("standard_tests.coherent_cycles", "cycles", "negative"): "any number of cycles may be wanted",
    ("standard_tests.full_scale_sine", "overdrive", "negative"): "a sine within the range",
}
"""Values that are not refused, each with the reason."""

MADE = {
    "Mapping",
    "Operands",
    "Neuron",
    "Coded",
    "Work",
    "MacroCost",
    "ConversionNoise",
    "ConverterDie",
    "FaultsDie",
    "LayoutDie",
}
"""What only amsim makes: methods that take it are called by what has made it."""
CALLED_BY_MACROS = (circuits.Product, circuits.ErrorSource)
"""Parts whose methods a macro calls, with what it has checked."""


def public() -> dict[str, Any]:
    """Public methods of parts, each on an instance of its class, and functions of the room and of converters' tests."""
    found = {f"circuits.{name}": getattr(circuits, name) for name in ("error_variances", "trim_bits")} | {
        f"standard_tests.{name}": value
        for name, value in vars(standard_tests).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__ == standard_tests.__name__
    }
    for name, part in circuit_calls.public().items():
        if inspect.isclass(part) and not issubclass(part, CALLED_BY_MACROS):
            instance = part(**circuit_calls.valid(name, part))
            found |= {
                f"{name}.{method}": getattr(instance, method)
                for method, value in inspect.getmembers(part, inspect.isfunction)
                if not method.startswith("_") and offered(part, method, value)
            }
    return found


def offered(part: type, name: str, method: Any) -> bool:
    """Whether a part has a method of its own of that name, all of whose arguments a user can make."""
    absent = issubclass(part, circuits.Macro) and part is not circuits.SwitchedCapacitor and name in OF_ANALOG
    given = [word for one in inspect.signature(method).parameters.values() for word in words(one.annotation)]
    return not absent and not MADE & set(given)


OF_ANALOG = {
    "decide", "check_neuron", "error_variances", "selected_readout_range", "with_readout_range", "at_supply",
    "with_readout_centre",
}  # fmt: skip
"""What other macros refuse whatever the arguments."""


def words(annotation: Any) -> list[str]:
    """Names of the types of an annotation."""
    kinds = annotation.__args__ if isinstance(annotation, UnionType) else (annotation,)
    return [getattr(one, "__name__", str(one)) for one in kinds]


def valid(function: Any) -> dict[str, Any]:
    """Arguments without a default, by their names and annotations."""
    by_name = BY_NAME | OF_FUNCTION.get(function.__name__, {})
    return {
        one.name: by_name.get(one.name, 2 if one.annotation is int else ONE)
        for one in circuit_calls.parameters(function)
        if one.default is inspect.Parameter.empty
    }


def wrong(parameter: inspect.Parameter) -> dict[str, Any]:
    """Wrong values of an argument of a method; numbers may be arrays of truths, which are 0 and 1."""
    kind = circuit_calls.kind_of_value(parameter)
    if kind not in ("array", "quantity"):
        return wrong_values(parameter, kind)
    found = {name: value for name, value in WRONG["array"].items() if "truth" not in name}
    optional = parameter.default is None or "None" in str(parameter.annotation)
    return {name: value for name, value in found.items() if not (optional and name == "none")}
