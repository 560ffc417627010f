"""The entry of `amsim`: Ctrl-C and SIGTERM end it in one line, from the first import to the last line printed."""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

PATIENCE = 2.0
"""Seconds that clean-up has before the process ends without it."""

RETRY = 0.02
"""Seconds until an interrupt that an import holds up is tried again."""

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}

BAR_AWAY = b"\r\x1b[2K\x1b[?25h"
"""Clears the line in which a progress bar stood, and shows the cursor that it hides."""

_received: list[int] = []
_finished = threading.Event()
_said = threading.Event()
_leaving = threading.RLock()


def how_to_go_on(arguments: Sequence[str]) -> str:
    """What an interrupted command left, and how to go on; the only place that says so.

    Args:
        arguments: Words behind `amsim`.
    """
    if "sweep" not in arguments:
        return "files are whole or not there; the same command starts again."
    if any(one.split("=")[0] == "--store" for one in arguments):
        return "the store keeps what is done, and the same command resumes from it."
    return "files are whole or not there; the same command starts again, and with --store it could resume."


def _leave_interrupted() -> NoReturn:
    """Say so and end at once: threads of XLA crash in an ordinary exit."""
    _leaving.acquire()  # for good: the command, the watchdog and another signal may come here together
    if not _said.is_set():
        _said.set()
        line = f"Interrupted; {how_to_go_on(sys.argv[1:])}\n".encode()
        # Not through `sys.stderr`, whose lock the interrupted code may hold; nobody may be there to read it.
        with suppress(OSError):
            os.write(2, (BAR_AWAY if os.isatty(2) else b"") + line)
    os._exit(STATUS[signal.Signals(_received[0])] if _received else STATUS[signal.SIGINT])


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _said.is_set():
        return  # Into the code below that says so and ends: `timeout`, for one, sends a signal twice at once.
    _received.append(number)
    if len(_received) > 1 or _finished.is_set():
        _leave_interrupted()
    watchdog = threading.Timer(PATIENCE, _leave_interrupted)
    watchdog.daemon = True
    watchdog.start()
    # A callback that may not raise, such as one of the garbage collector, drops the interrupt; the watchdog remains.
    sys.unraisablehook = lambda _: None
    # What is left unfinished is no news, such as coroutines never awaited, or connections of workers.
    warnings.simplefilter("ignore")
    logging.disable()
    _raise_after_imports(number, frame)


def _raise_after_imports(number: int, frame: FrameType | None) -> None:
    """Raise, but not inside an import: extension modules that are interrupted while they load crash."""
    while frame is not None:
        # Without timers, as on Windows, the watchdog remains.
        if frame.f_code.co_filename.startswith("<frozen importlib") and hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, _raise_after_imports)
            signal.setitimer(signal.ITIMER_REAL, RETRY)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; what a signal interrupts cleans up for at most `PATIENCE`."""
    for number in STATUS:
        signal.signal(number, _interrupt)
    status = None
    try:
        try:
            from amsim.command_line.application import run

            status = run(lambda: bool(_received))
        finally:
            _finished.set()
    except BaseException:
        if not _received:
            raise
    if _received or status == STATUS[signal.SIGINT]:
        _leave_interrupted()
    sys.exit(status)
