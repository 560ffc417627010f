"""Workers of a sweep, on this machine or of a cluster."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

SILENT_TRACKER = "ignore::UserWarning:multiprocessing.resource_tracker"
"""An interrupt leaves semaphores to be removed by their tracker, which says so."""


@contextmanager
def dask_client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """Dask client of local or remote workers, or None to compute in this process."""
    if workers is None and scheduler is None:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError(
            "Arguments `--workers` and `--scheduler` need dask.distributed: pip install 'amsim[distributed]'."
        ) from None
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"Argument `--scheduler`: {scheduler} cannot be reached: {error}.") from None
        with client:
            yield client
        return
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with _deaf_loop() as loop, LocalCluster(loop=loop, **options) as cluster, Client(cluster) as client:
        yield client


@contextmanager
def _deaf_loop() -> Iterator[Any]:
    """Event loop whose processes do not hear Ctrl-C, which a terminal sends to all: this process ends them."""
    from distributed.utils import LoopRunner

    runner = LoopRunner(asynchronous=False)
    deaf = hasattr(signal, "pthread_sigmask")  # not on Windows
    if deaf:
        _start_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if deaf else set()
    try:
        runner.start()  # a thread, which inherits the mask and hands it on to the processes that it starts
    finally:
        if deaf:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield runner.loop
    finally:
        runner.stop()


def _start_tracker() -> None:
    """Start the process that removes semaphores, which is silent, and would else clear the mask of who starts it."""
    sys.warnoptions.append(SILENT_TRACKER)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(SILENT_TRACKER)
