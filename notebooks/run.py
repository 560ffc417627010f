"""Check that each notebook pair is in step and run them all, two at a time; a failing cell ends with its error.

With `--out FOLDER` the notebooks with their outputs are written there, which is what the documentation shows.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import jupytext
import nbclient

FOLDER = Path(__file__).parent


def run(source: Path, out: Path | None) -> None:
    """Check one pair, execute it and write it with its outputs."""
    notebook = jupytext.read(source)
    paired = jupytext.read(source.with_suffix(".ipynb"))
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    if cells != [(cell.cell_type, cell.source) for cell in paired.cells]:
        raise ValueError(f"{source.name} and its .ipynb differ: run `jupytext --sync {source}`")
    if any(cell.get("outputs") for cell in paired.cells):
        raise ValueError(f"{source.stem}.ipynb has outputs: clear them")
    print(f"running {source.name}", flush=True)
    # Pictures become outputs, whatever is set for programs without a screen.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    if out is not None:
        jupytext.write(notebook, out / f"{source.stem}.ipynb")


def main() -> None:
    parser = argparse.ArgumentParser(description="Check and run all notebooks.")
    parser.add_argument("--out", type=Path, help="folder for the notebooks with their outputs")
    out = parser.parse_args().out
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    sources = sorted(FOLDER.glob("[0-9]*.py"))
    if not sources:
        sys.exit("no notebooks found")
    # A kernel keeps little more than one core busy.
    with ProcessPoolExecutor(max_workers=2) as pool:
        list(pool.map(partial(run, out=out), sources))


if __name__ == "__main__":
    main()
