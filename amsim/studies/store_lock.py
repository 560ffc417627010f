"""Lock of a store: one study writes at a time, and readers know whether one does."""

import os
import time
from pathlib import Path

GROUP = "study"
"""Zarr group beside the labelled arrays: its attributes identify the study, its group `parts` holds results that are
not yet in the labelled arrays."""

READERS_LOOK = 0.2
"""Seconds for which a study waits for a lock; readers that look for a writer hold one for an instant."""


def claim_lock(path: Path) -> int | None:
    """Handle that keeps other processes from writing to a store until it is closed or its process ends.

    None where the system has no such locks.

    Raises:
        ValueError: Another process holds one.
    """
    until = time.monotonic() + READERS_LOOK
    while True:
        try:
            return _lock(path)
        except BlockingIOError:
            if time.monotonic() > until:
                text = f"Argument `store` must be written by one study at a time, but another one is at work on {path}."
                raise ValueError(text) from None
            time.sleep(READERS_LOOK / 10)


def writer_at_work(path: Path) -> bool:
    """Whether a process holds the lock of a store."""
    try:
        handle = _lock(path)
    except OSError:
        return (path / GROUP).is_dir()
    if handle is not None:
        os.close(handle)
    return handle is None


def _lock(path: Path) -> int | None:
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(path / GROUP, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    return handle
