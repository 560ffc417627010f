"""Time that importing amsim takes beside `import jax, equinox, xarray`, and that of `amsim --help`.

    python benchmarks/imports.py [--runs 9]

Every run is a fresh process, runs of all statements take turns, and medians are printed with their ratio to the
baseline. The aims: `import amsim` at most 1.3 times the baseline, `amsim --help` at most 1 s on a free core.
"""

import argparse
import statistics
import subprocess
import sys
import time

BASELINE = "import jax, equinox, xarray"
STATEMENTS = (
    BASELINE,
    "import amsim",
    "import amsim; amsim.circuits",
    "import amsim; amsim.Accelerator",
    "import amsim; amsim.deploy",
    "import amsim; amsim.evaluate",
    "import amsim; amsim.fine_tune",
    "import amsim; amsim.sweep",
    "import amsim; amsim.compare",
    "import amsim; amsim.plot",
)
HELP = "amsim --help"


def seconds(statement):
    """Time of a fresh process that runs a statement, or the command's help."""
    code = "from amsim.command_line import main; main()" if statement == HELP else statement
    start = time.perf_counter()
    arguments = ["--help"] if statement == HELP else []
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, help="fresh processes per statement")
    runs = parser.parse_args().runs
    statements = (*STATEMENTS, HELP)
    for statement in statements:  # files into the page cache, bytecode written
        seconds(statement)
    times = {statement: [] for statement in statements}
    for _ in range(runs):
        for statement in statements:
            times[statement].append(seconds(statement))
    medians = {statement: statistics.median(found) for statement, found in times.items()}
    for statement, median in medians.items():
        print(f"{statement:34s}{median:7.2f} s {median / medians[BASELINE]:7.2f} x")


if __name__ == "__main__":
    main()
