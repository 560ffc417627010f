"""The entry of `amsim`: Ctrl-C and SIGTERM end it in one line, from the first import to the last line printed."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

PATIENCE = 2.0
"""Seconds that clean-up has before the process ends without it."""

RETRY = 0.02
"""Seconds until an interrupt that an import holds up is tried again."""

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}

_received: list[int] = []
_finished = threading.Event()


def _how_to_go_on() -> str:
    arguments = sys.argv[1:]
    stored = arguments[:1] == ["sweep"] and any(one.split("=")[0] == "--store" for one in arguments)
    if stored:
        return "the store keeps what is done, and the same command resumes from it."
    return "files are whole or not there; the same command starts again."


def _leave_interrupted() -> NoReturn:
    # Not through `sys.stderr`, whose lock the interrupted code may hold.
    os.write(2, f"Interrupted; {_how_to_go_on()}\n".encode())
    _end()


def _end() -> NoReturn:
    """End at once: threads of XLA crash in an ordinary exit."""
    os._exit(STATUS[signal.Signals(_received[0])])


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if len(_received) > 1 or _finished.is_set():
        _leave_interrupted()
    watchdog = threading.Timer(PATIENCE, _leave_interrupted)
    watchdog.daemon = True
    watchdog.start()
    # A callback that may not raise, such as one of the garbage collector, drops the interrupt; the watchdog remains.
    sys.unraisablehook = lambda _: None
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
        from amsim.command_line.application import run

        status = run()
        _finished.set()
    except BaseException:
        if not _received:
            raise
    if _received:
        # Status 130 is that of a command that has said its line.
        _end() if status == STATUS[signal.SIGINT] else _leave_interrupted()
    sys.exit(status)
