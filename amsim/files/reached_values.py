"""Values that Python code can reach: their digest, and whether any of them has changed since.

Reached are cells, defaults and named globals of functions, items of containers, fields of objects and code of classes,
and what these reach in turn. Functions and classes of Python, of installed packages and of amsim are known by their
names, with what they hold; their globals and attributes of installed modules are not looked at.
"""

import hashlib
from collections.abc import Callable, Collection
from operator import is_
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from amsim.files.python_code import names_read
from amsim.files.python_parts import MISSING, Described, NamedParts, described, held_fields

ANY_FIELD = {"getattr", "vars", "dir", "__dict__", "attrgetter"}
"""Names with which code reads fields that it does not name."""


class Reading(NamedTuple):
    """Parts of something that can change, as they were.

    Attributes:
        read: Gives its parts as they are now.
        parts: Its parts as they were.
    """

    read: Callable[[], tuple[Any, ...]]
    parts: tuple[Any, ...]

    def stands(self) -> bool:
        """Whether each part is the very object that it was."""
        now = self.read()
        return len(now) == len(self.parts) and all(map(is_, now, self.parts))


class Reached(NamedTuple):
    """All that a value reaches, as it was.

    Attributes:
        digest: Digest of it, the same in every process with one version of Python and of the packages.
        readings: Parts of all that can change.
        arrays: Arrays of NumPy, and their bits.
        unknown: Values that the digest knows by their type alone.
    """

    digest: str
    readings: tuple[Reading, ...]
    arrays: tuple[tuple[np.ndarray, bytes], ...]
    unknown: tuple[Any, ...]

    def stands(self) -> bool:
        """Whether all is as it was; what a stored random generator or iterator has come to is not looked at."""
        for reading in self.readings:
            if not reading.stands():
                return False
        return all(array.tobytes() == bits for array, bits in self.arrays)


def reached_from(value: Any, *, without: Collection[int] = ()) -> Reached:
    """All that a value reaches.

    Args:
        value: A function, an object, anything.
        without: Identities (`id`) of values whose content does not matter.
    """
    walk = _Walk(frozenset(without))
    walk.run(value)
    return Reached(walk.sha.hexdigest(), tuple(walk.readings), tuple(walk.arrays), tuple(walk.unknown))


class _Walk:
    """Walk over all that a value reaches, without recursion: chains of objects can be long."""

    def __init__(self, without: frozenset[int]) -> None:
        self.without = without
        self.sha = hashlib.sha256()
        self.readings: list[Reading] = []
        self.arrays: list[tuple[np.ndarray, bytes]] = []
        self.unknown: list[Any] = []
        self.seen: dict[Any, tuple[int, Any]] = {}  # with the values, so that no identity is used again
        self.named: set[str] = set()
        self.by_name: list[tuple[Any, list[str]]] = []

    def run(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            while waiting:
                waiting.extend(reversed(self._enter(waiting.pop())))
            waiting = self._named_fields()
        self.readings += [_fields_reading(one, names) for one, names in self.by_name]

    def _say(self, *words: Any) -> None:
        self.sha.update(f"{words!r}\n".encode())

    def _enter(self, value: Any) -> tuple[Any, ...]:
        """Take note of a value and return what it holds."""
        if id(value) in self.without:
            self._say("left out")
            return ()
        found = described(value)
        if found.read is not None or found.by_name or (found.parts and type(value) is not tuple):
            identity = (id(value.module), value.names) if isinstance(value, NamedParts) else id(value)
            if identity in self.seen:
                self._say("seen", self.seen[identity][0])
                return ()
            self.seen[identity] = len(self.seen), value
        self._say(*found.words)
        self._keep(value, found)
        return found.parts

    def _keep(self, value: Any, found: Described) -> None:
        if found.read is not None:
            self.readings.append(Reading(found.read, found.read()))
        if found.by_name:
            self.by_name.append((value, []))
        if not found.known:
            self.unknown.append(value)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self.arrays.append((value, value.tobytes()))
        if isinstance(value, CodeType):
            names = names_read(value)
            self.named.update(names.attributes, names.variables)

    def _named_fields(self) -> list[Any]:
        """Fields that the code so far names, of objects whose fields no other code reads, without those of before."""
        every, waiting = not ANY_FIELD.isdisjoint(self.named), []
        for value, taken in self.by_name:
            fields = held_fields(value)
            further = [name for name in fields if (every or name in self.named) and name not in taken]
            self._say("fields", further)
            taken += further
            waiting += [fields[name] for name in further]
        return waiting


def _fields_reading(value: Any, names: list[str]) -> Reading:
    def read() -> tuple[Any, ...]:
        fields = held_fields(value)
        return (*fields, *[fields.get(name, MISSING) for name in names])

    return Reading(read, read())
