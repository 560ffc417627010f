"""Code of Python functions: what it does, which names it reads, and whether it is installed or somebody's own."""

import dis
import functools
import hashlib
import sys
import sysconfig
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple


class Names(NamedTuple):
    """Names that a function and the functions inside it read.

    Attributes:
        variables: Global variables.
        attributes: Attributes, of whatever object.
        modules: Modules that are imported while it runs.
    """

    variables: tuple[str, ...]
    attributes: tuple[str, ...]
    modules: tuple[str, ...]


_KINDS = {
    "LOAD_GLOBAL": 0, "LOAD_NAME": 0, "LOAD_FROM_DICT_OR_GLOBALS": 0,
    "LOAD_ATTR": 1, "LOAD_METHOD": 1, "LOAD_SUPER_ATTR": 1, "IMPORT_FROM": 1,
    "IMPORT_NAME": 2,
}  # fmt: skip
"""Instructions of CPython 3.11 to 3.14 that read a name, and the place of such names in `Names`."""

_FOLDERS = tuple(str(Path(sysconfig.get_paths()[kind]).resolve()) for kind in ("stdlib", "purelib", "platlib"))


@functools.lru_cache(maxsize=4096)
def names_read(code: CodeType) -> Names:
    """Names that this code and the code inside it read."""
    found: list[dict[str, None]] = [{} for _ in Names._fields]
    for one in dis.get_instructions(code):
        if one.opname in _KINDS:
            found[_KINDS[one.opname]][one.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            for mine, inner in zip(found, names_read(constant), strict=True):
                mine.update(dict.fromkeys(inner))
    return Names(*map(tuple, found))


@functools.lru_cache(maxsize=4096)
def code_digest(code: CodeType) -> str:
    """Digest of what this code does, without its place in a file: instructions, constants, names."""
    return hashlib.sha256(repr(_content(code)).encode()).hexdigest()


def _content(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(_content(one) if isinstance(one, CodeType) else _constant(one) for one in code.co_consts)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return counts, code.co_code, constants, code.co_names, code.co_freevars, code.co_cellvars


def _constant(value: Any) -> tuple[str, Any]:
    # The order of a set differs between processes.
    return type(value).__name__, sorted(map(repr, value)) if isinstance(value, frozenset) else value


@functools.lru_cache(maxsize=4096)
def is_installed(module: str) -> bool:
    """Whether a module is of Python, of an installed package or of amsim, and so no code of the user's own."""
    if module.partition(".")[0] == "amsim" or module in sys.builtin_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(file, str):
        return False
    path = Path(file).resolve()
    return str(path).startswith(_FOLDERS) or not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
