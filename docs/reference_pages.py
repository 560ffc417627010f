"""Pages of the reference: an overview of each topic, a page for each class, one for the functions of a heading."""

import ast
import re
from functools import cache
from pathlib import PurePosixPath

from public_names import described, origin, source

DIRECTIVE = re.compile(r"^::: (\S+)$")


def divided(page: str, text: str) -> dict[str, str]:
    """Pages that a topic of the reference becomes.

    A class, or a whole module, has a page of its own; functions and constants below one heading share one. The page
    of the topic keeps its words and lists them all, each with the first line of its docstring.

    Args:
        page: Name of the topic's page, `reference/04_converters.md`.
        text: Its Markdown, with a directive `::: name` for each name; `::: module.*` stands for all that it offers.

    Raises:
        ValueError: Two pages would have one name.
    """
    folder = PurePosixPath(page).with_suffix("")
    overview, pages, heading = [], {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not DIRECTIVE.match(line):
            overview.append(line)
            continue
        for name in described(line):
            last = name.rpartition(".")[2]
            own = is_class(name) or source(name).exists()
            title = last if own else f"{heading}: functions"
            to = str(folder / f"{file_name(title)}.md")
            if own and to in pages:
                raise ValueError(f"{page} has two pages {to}; one of them is of {name}.")
            pages.setdefault(to, f"# {title}\n")
            pages[to] += f"\n::: {name}\n"
            overview.append(f"- [`{last}`][{name}]: {first_line(name)}")
    # Directives stand apart in the source; their entries are one list.
    listed = re.sub(r"(^- .*\n)\n+(?=- )", r"\1", "\n".join(overview) + "\n", flags=re.MULTILINE)
    return {page: listed, **pages}


def file_name(title: str) -> str:
    """Words in lower case with a line between: some disks take `Chip` and `chip` for one name."""
    return re.sub(r"\W+", "_", title.lower()).strip("_")


def title(text: str) -> str:
    """Title of a page: its first heading."""
    return next(line.lstrip("# ") for line in text.splitlines() if line.startswith("# "))


@cache
def _definition(name: str) -> tuple[ast.AST | None, str]:
    """What defines a name, and the string that describes it."""
    if source(name).exists():
        module = ast.parse(source(name).read_text())
        return module, ast.get_docstring(module) or ""
    module, _, last = origin(name).rpartition(".")
    body = ast.parse(source(module).read_text()).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == last:
            return node, ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and last in {ast.unparse(target) for target in node.targets}:
            return node, after.value.value if isinstance(after, ast.Expr) else ""
    return None, ""


def is_class(name: str) -> bool:
    """Whether a name stands for a class."""
    return isinstance(_definition(name)[0], ast.ClassDef)


def first_line(name: str) -> str:
    """First line of the docstring of a name."""
    return _definition(name)[1].strip().partition("\n")[0]
