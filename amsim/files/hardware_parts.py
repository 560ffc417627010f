"""Hardware parts as JSON and arrays, and back: only known classes, built without running code from a file."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amsim.files.part_classes import named_class, registered_names

_WORDS = {1: np.uint8, 2: np.uint16}


class Encoder:
    """Encoder of parts into JSON that refers to arrays.

    Attributes:
        arrays: The arrays so far, by name.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def part(self, place: str, value: Any) -> Any:
        """JSON of a part.

        Raises:
            ValueError: It is traced, or something that only code can make.
        """
        if isinstance(value, float):
            return {"float": value.hex()}
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            return self._array(place, value)
        if type(value) in (list, tuple):
            return {type(value).__name__: [self.part(f"{place}[{i}]", one) for i, one in enumerate(value)]}
        if type(value) is dict:
            return {"dict": {name: self.part(f"{place}.{name}", one) for name, one in value.items()}}
        name = type(value).__name__
        if named_class(name) is not type(value):
            raise ValueError(
                f"A chip can be saved if its hardware is made of amsim's own parts and of registered ones "
                f"(`amsim.circuits.register`), but {place} is of {type(value).__module__}.{type(value).__qualname__}; "
                f"registered: {registered_names()}."
            )
        fields = {one.name: self.part(f"{place}.{one.name}", getattr(value, one.name)) for one in _fields(value)}
        return {"class": name, "fields": fields}

    def _array(self, place: str, value: Any) -> Any:
        if isinstance(value, jax.core.Tracer):
            raise ValueError(f"A chip cannot be saved inside jit, grad or vmap: {place} is traced.")
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return {"key": self.part(place, jax.random.key_data(value)), "method": str(jax.random.key_impl(value))}
        name = f"array{len(self.arrays)}"
        stored = np.asarray(value)
        described: dict[str, Any] = {"array": name, "dtype": str(stored.dtype)}
        if getattr(value, "weak_type", False) and stored.ndim == 0:
            described["weak"] = True
        # Types that NumPy does not know, such as bfloat16, by their bits.
        known = stored.dtype.kind in "biufc"
        self.arrays[name] = stored if known else stored.view(_WORDS[stored.dtype.itemsize])
        return described


class Decoder:
    """Decoder of JSON back into parts.

    Attributes:
        read: Names of the arrays that parts have referred to.
    """

    def __init__(self, arrays: dict[str, np.ndarray], *, earlier: bool = False) -> None:
        """Decode parts that refer to these arrays.

        `earlier`: the file is of an earlier version, which names classes by their former modules and may lack settings
        that were added later; these take their defaults.
        """
        self.arrays = arrays
        self.earlier = earlier
        self.read: set[str] = set()

    def part(self, value: Any) -> Any:
        """A part from its JSON.

        Raises:
            ValueError: It is not something that an `Encoder` writes.
            KeyError: An array or an entry is missing.
        """
        if value is None or isinstance(value, bool | int | str):
            return value
        if not isinstance(value, dict):
            raise ValueError(f"it has {str(value)[:80]!r} in place of a part")
        readers: dict[frozenset[str], Callable[[dict[str, Any]], Any]] = {
            frozenset({"float"}): lambda v: float.fromhex(v["float"]),
            frozenset({"list"}): lambda v: [self.part(one) for one in v["list"]],
            frozenset({"tuple"}): lambda v: tuple(self.part(one) for one in v["tuple"]),
            frozenset({"dict"}): lambda v: {name: self.part(one) for name, one in v["dict"].items()},
            frozenset({"class", "fields"}): self._module,
            frozenset({"array", "dtype"}): self._array,
            frozenset({"array", "dtype", "weak"}): self._array,
            frozenset({"key", "method"}): lambda v: jax.random.wrap_key_data(self.part(v["key"]), impl=v["method"]),
        }
        reader = readers.get(frozenset(value))
        if reader is None:
            raise ValueError(f"it has a part of entries {sorted(value)[:8]}")
        return reader(value)

    def _array(self, value: dict[str, Any]) -> jax.Array:
        name = value["array"]
        self.read.add(name)
        stored, dtype = self.arrays[name], jnp.dtype(value["dtype"])
        if dtype.kind not in "biufc":
            stored = stored.view(dtype)
        if stored.dtype != dtype:
            raise ValueError(f"array {name!r} is of type {stored.dtype}, not {dtype}")
        if jax.dtypes.canonicalize_dtype(dtype) != dtype:
            raise ValueError(f"array {name!r} is of type {dtype}: set jax_enable_x64 to use it")
        if value.get("weak"):
            return jnp.asarray(stored.item())
        return jnp.asarray(stored)

    def _module(self, value: dict[str, Any]) -> Any:
        name, fields = value["class"], value["fields"]
        own = name.rpartition(".")[2] if self.earlier and str(name).startswith("amsim.") else name
        kind = named_class(own) if isinstance(own, str) else None
        if kind is None:
            raise ValueError(
                f"it has a part of the unknown class {str(name)[:80]!r}, which is none of amsim's; registered "
                f"(`amsim.circuits.register`): {registered_names()}"
            )
        part: Any = object.__new__(kind)
        wanted = {one.name: one for one in _fields(part)}
        later = {
            one: _default(wanted[one])
            for one in wanted
            if self.earlier and one not in fields and _has_default(wanted[one])
        }
        if set(wanted) != set(fields) | set(later):
            different = sorted(set(wanted).symmetric_difference(fields))
            raise ValueError(f"its {name} has other settings: {different}")
        for field, one in wanted.items():
            found = later[field] if field in later else self.part(fields[field])
            # Checked as when it was made, but kept bit for bit.
            converter = one.metadata.get("converter")
            if converter is not None:
                converter(found)
            object.__setattr__(part, field, found)
        for base in kind.__mro__:
            check = base.__dict__.get("__check_init__")
            if check is not None:
                check(part)
        return part


def _has_default(field: Any) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _default(field: Any) -> Any:
    made = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    converter = field.metadata.get("converter")
    return made if converter is None else converter(made)


def _fields(part: Any) -> tuple[Any, ...]:
    return dataclasses.fields(part)
