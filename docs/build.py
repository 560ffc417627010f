"""Build the documentation site; a warning is an error.

    python docs/build.py --out FOLDER [--notebooks FOLDER]
    python docs/build.py --serve

The pages are those of this folder, the README, the changelog and the notebooks. With `--notebooks`, a folder that
`notebooks/run.py --out` has filled, the tutorials have their outputs. `--serve` runs the notebooks itself, where they
have not run before with the same code, and shows changes of pages and docstrings as they are saved.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jupytext
import yaml
from links import MOVED, linked
from nbconvert import MarkdownExporter
from public_names import described
from reference_pages import divided, title
from traitlets.config import Config

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
WATCHED = ("docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "amsim", "circuits", "noise")
# Text before HTML: the tables of xarray and pandas bring styles of their own.
OUTPUTS = ["image/png", "text/markdown", "text/plain"]


def tutorial(source: Path, folder: Path) -> str:
    """A notebook as Markdown, its pictures written into a folder."""
    exporter = MarkdownExporter(config=Config(NbConvertBase={"display_data_priority": OUTPUTS}))
    text, resources = exporter.from_notebook_node(
        jupytext.read(source), {"unique_key": source.stem, "output_files_dir": source.stem}
    )
    for name, content in resources["outputs"].items():
        write_if_other(folder / name, content)
        # Drawn with two points for each of the page.
        width = int.from_bytes(content[16:20], "big") // 2 if name.endswith(".png") else None
        text = text.replace(f"]({name})", f']({name}){{ width="{width}" }}') if width else text
    return re.sub(r"\n{4,}", "\n\n", text)  # between the outputs of a cell


def assemble(folder: Path, notebooks: Path) -> None:
    """Bring all pages together."""
    sources = {str(path.relative_to(DOCS)): path for path in DOCS.rglob("*.md")}
    sources |= {page: ROOT / name for name, page in MOVED.items()}
    texts = {page: path.read_text() for page, path in sources.items()}
    for source in sorted(notebooks.glob("[0-9]*.ipynb")):
        texts[f"tutorials/{source.stem}.md"] = tutorial(source, folder / "tutorials")
    for path in (path for kind in ("png", "svg", "css") for path in DOCS.rglob(f"*.{kind}")):
        write_if_other(folder / path.relative_to(DOCS), path.read_bytes())
    names = set()
    for page in [page for page in texts if page.startswith("reference/")]:
        names |= set(described(texts[page]))
        texts |= divided(page, texts[page])
    for page, text in texts.items():
        write_if_other(folder / page, linked(text, page, set(texts), names).encode())


def write_if_other(path: Path, content: bytes) -> None:
    """Write a file whose content is not this already: the server builds anew at each change in its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def expanded(entry: object, pages: Path) -> object:
    """Entry of the navigation in which each folder is the list of its pages; those with own pages open them."""
    if isinstance(entry, dict):
        return {title: expanded(part, pages) for title, part in entry.items()}
    if isinstance(entry, list):
        found = [expanded(part, pages) for part in entry]
        return [page for part in found for page in (part if isinstance(part, list) else [part])]
    if isinstance(entry, str) and entry.endswith("/"):
        return [unfolding(path, pages) for path in sorted((pages / entry).glob("*.md"))]
    return entry


def unfolding(path: Path, pages: Path) -> object:
    """A page of the navigation; where a folder has its name, its title opens them."""
    page, below = str(path.relative_to(pages)), sorted(path.with_suffix("").glob("*.md"))
    return {title(path.read_text()): [page, *(str(one.relative_to(pages)) for one in below)]} if below else page


def configuration(pages: Path, site: Path, notebooks: Path, watched: bool) -> dict:
    """Settings of the site with all of its pages; where it is watched, they are assembled anew at each change."""
    settings = yaml.safe_load((DOCS / "mkdocs.yml").read_text())
    settings |= {"docs_dir": str(pages), "site_dir": str(site), "nav": expanded(settings["nav"], pages)}
    settings["hooks"] = [str(DOCS / name) for name in ("mathml.py", "facts_links.py", "self_contained.py")]
    if watched:
        settings["hooks"].append(str(DOCS / "assembled_anew.py"))
        settings["watch"] = [str(ROOT / name) for name in WATCHED]
        settings["extra"] = settings.get("extra", {}) | {"notebooks": str(notebooks)}
    python = next(part["mkdocstrings"] for part in settings["plugins"] if "mkdocstrings" in part)["handlers"]["python"]
    python["paths"] = [str(ROOT)]
    python["options"]["extensions"] = [str(DOCS / "module_fields.py")]
    return settings


def main() -> int:
    """Read the options, assemble and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="folder for the site")
    parser.add_argument("--notebooks", type=Path, help="folder of executed notebooks")
    parser.add_argument("--serve", action="store_true", help="show the site on this machine instead of writing it")
    options = parser.parse_args()
    notebooks = options.notebooks or ROOT / "notebooks"
    if options.serve and options.notebooks is None:
        notebooks = ROOT / "build" / "notebooks"
        run = [sys.executable, ROOT / "notebooks" / "run.py", "--cached", "--out", notebooks]
        if subprocess.run(run, check=False).returncode:
            return 1
    with tempfile.TemporaryDirectory() as work:
        pages = Path(work, "pages")
        pages.mkdir()
        assemble(pages, notebooks)
        config = Path(work, "mkdocs.yml")
        config.write_text(
            yaml.safe_dump(configuration(pages, options.out.resolve(), notebooks, options.serve), sort_keys=False)
        )
        command = ["serve"] if options.serve else ["build", "--strict"]
        return subprocess.run([sys.executable, "-m", "properdocs", *command, "-f", str(config)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
