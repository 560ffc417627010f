"""Runs `amsim` and sends it a signal at a moment of its life: `interrupted_command.py MOMENT SIGNAL TIMES arguments`.

A moment is `import NAME`, `FUNCTION FILE` (the main thread has called a function of a file with that in its path), or
`exit` (the command has returned). As from a terminal, the signal goes to all processes of the group.
"""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

SECOND = 0.2
"""Seconds between two signals."""

INSIDE = 0.02
"""Seconds after a function was called, so that it is at work, also in code that is not Python."""


def main() -> None:
    """Arm the moment, and run the command."""
    moment, number, times = sys.argv[1].split(), int(sys.argv[2]), int(sys.argv[3])
    sys.argv = ["amsim", *sys.argv[4:]]

    def send() -> None:
        for turn in range(times):
            time.sleep(SECOND if turn else 0)
            os.killpg(0, number)

    arm(moment, send)
    from amsim.command_line import main as command

    command()


def arm(moment: list[str], send: Callable[[], None]) -> None:
    """Have a function called when a moment comes, once."""
    if moment == ["exit"]:
        atexit.register(send)
    elif moment[0] == "import":
        still = [moment[1]]

        def imported(event: str, given: tuple[object, ...]) -> None:
            if event == "import" and given[0] in still:
                still.clear()
                send()

        sys.addaudithook(imported)
    else:
        function, file = moment

        def called(frame: FrameType, event: str, given: object) -> None:
            if event == "call" and frame.f_code.co_name == function and file in frame.f_code.co_filename:
                sys.setprofile(None)
                threading.Timer(INSIDE, send).start()

        sys.setprofile(called)


if __name__ == "__main__":
    main()
