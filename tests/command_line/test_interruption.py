"""Ctrl-C and SIGTERM in real processes: one line, its status, and nothing half-written."""

import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    ("number", "status", "seconds"),
    [(signal.SIGINT, 130, 0.3), (signal.SIGINT, 130, 1.5), (signal.SIGTERM, 143, 1.0)],
)
def test_a_signal_ends_a_command_in_one_line(number, status, seconds, tmp_path):
    code = "from amsim.command_line import main; print('started', flush=True); main()"
    command = [sys.executable, "-c", code, "compare", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "started\n"
        time.sleep(seconds)
        running.send_signal(number)
        _, said = running.communicate(timeout=20)
    lines = [line for line in said.splitlines() if line.strip() and "WARNING" not in line]
    assert running.returncode == status, said
    assert len(lines) == 1, said
    assert lines[0].startswith("Interrupted; "), said
    assert list(tmp_path.iterdir()) == []
