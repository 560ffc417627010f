"""Check that each notebook pair is in step and run them all, two at a time; a failing cell ends with its error."""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import jupytext
import nbclient

FOLDER = Path(__file__).parent


def run(source: Path) -> None:
    """Check one pair and execute it."""
    notebook = jupytext.read(source)
    paired = jupytext.read(source.with_suffix(".ipynb"))
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    if cells != [(cell.cell_type, cell.source) for cell in paired.cells]:
        raise ValueError(f"{source.name} and its .ipynb differ: run `jupytext --sync {source}`")
    if any(cell.get("outputs") for cell in paired.cells):
        raise ValueError(f"{source.stem}.ipynb has outputs: clear them")
    print(f"running {source.name}", flush=True)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()


def main() -> None:
    sources = sorted(FOLDER.glob("[0-9]*.py"))
    if not sources:
        sys.exit("no notebooks found")
    # A kernel keeps little more than one core busy.
    with ProcessPoolExecutor(max_workers=2) as pool:
        list(pool.map(run, sources))


if __name__ == "__main__":
    main()
