"""What a user should hear once: something asked for that changes nothing."""

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parents[1])
_FOLDERS = (_PACKAGE, *(str(Path(_PACKAGE, one).resolve()) for one in ("circuits", "noise")))

_GIVEN: set[str] = set()


class NoEffectWarning(UserWarning):
    """Something that was asked for changes nothing; the result says so too, in an attribute."""


def warn_once(text: str) -> None:
    """Give a `NoEffectWarning` at the caller's own line, each text once in a process."""
    if text in _GIVEN:
        return
    _GIVEN.add(text)
    level, frame = 2, sys._getframe(1).f_back
    while frame is not None and str(Path(frame.f_code.co_filename).resolve()).startswith(_FOLDERS):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, NoEffectWarning, stacklevel=level + 1)
