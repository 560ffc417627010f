"""Check that each notebook pair is in step and run them all, two at a time; a failing cell ends with its error.

With `--out FOLDER` the notebooks with their outputs are written there, which is what the documentation shows; with
`--cached` those are left out that ran there before, with the same cells and the same code of the package.
"""

import argparse
import ast
import hashlib
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import jupytext
import nbclient

FOLDER = Path(__file__).parent
PACKAGE = ("amsim", "circuits", "noise")
SHARP = ["--InlineBackend.figure_formats=retina"]
"""Pictures with two points for each of the page, as modern screens have."""
RECORD = "ran.json"
"""File beside the outputs: digest and seconds of each notebook that ran."""


def run(source: Path, out: Path | None) -> float:
    """Check one pair, execute it and write it with its outputs; the seconds it took."""
    notebook = jupytext.read(source)
    paired = jupytext.read(source.with_suffix(".ipynb"))
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    if cells != [(cell.cell_type, cell.source) for cell in paired.cells]:
        raise ValueError(f"{source.name} and its .ipynb differ: run `jupytext --sync {source}`")
    if any(cell.get("outputs") for cell in paired.cells):
        raise ValueError(f"{source.stem}.ipynb has outputs: clear them")
    print(f"running {source.name}", flush=True)
    start = time.monotonic()
    # Pictures become outputs, whatever is set for programs without a screen.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    place = {"metadata": {"path": str(FOLDER)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=place, extra_arguments=SHARP).execute()
    if out is not None:
        jupytext.write(notebook, out / f"{source.stem}.ipynb")
    return round(time.monotonic() - start, 1)


def code_digest() -> str:
    """Digest of the package's code without comments and docstrings, which change no output."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in PACKAGE for path in (FOLDER.parent / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
        digest.update(f"{path.relative_to(FOLDER.parent)}\0{ast.dump(tree)}\0".encode())
    return digest.hexdigest()


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def to_run(sources: list[Path], out: Path, digests: dict[str, str], record: dict[str, dict]) -> list[Path]:
    """Notebooks whose outputs are not there or not of these digests; says how long they will take."""
    found = [
        source
        for source in sources
        if record.get(source.stem, {}).get("digest") != digests[source.stem]
        or not (out / f"{source.stem}.ipynb").exists()
    ]
    known = [record[source.stem]["seconds"] for source in found if source.stem in record]
    # Two at a time.
    took = f", which took {sum(known) / 2:.0f} s last time" if known and len(known) == len(found) else ""
    as_before = len(sources) - len(found)
    print(f"{as_before} of {len(sources)} notebooks are as they ran before; {len(found)} run now{took}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Check and run all notebooks.")
    parser.add_argument("--out", type=Path, help="folder for the notebooks with their outputs")
    parser.add_argument("--cached", action="store_true", help="leave out notebooks that ran before with the same code")
    options = parser.parse_args()
    out = options.out
    if options.cached and out is None:
        parser.error("--cached needs --out")
    sources = sorted(FOLDER.glob("[0-9]*.py"))
    if not sources:
        sys.exit("no notebooks found")
    record: dict[str, dict] = {}
    chosen, digests = sources, {}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        code = code_digest()
        digests = {one.stem: hashlib.sha256(f"{code}{one.read_text()}".encode()).hexdigest() for one in sources}
        if options.cached and (out / RECORD).exists():
            record = json.loads((out / RECORD).read_text())
        if options.cached:
            chosen = to_run(sources, out, digests, record)
    # A kernel keeps little more than one core busy.
    with ProcessPoolExecutor(max_workers=2) as pool:
        for source, seconds in zip(chosen, pool.map(partial(run, out=out), chosen), strict=True):
            if out is not None:
                record[source.stem] = {"digest": digests[source.stem], "seconds": seconds}
                (out / RECORD).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
