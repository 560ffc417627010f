"""Public names of amsim's modules, read from their source without importing it."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def source(module: str) -> Path:
    """File of a module, or of a package's `__init__`: its stub where it loads names by their use."""
    path = ROOT.joinpath(*module.split("."))
    if not path.is_dir():
        return path.with_suffix(".py")
    stub = path / "__init__.pyi"
    return stub if stub.exists() else path / "__init__.py"


@cache
def public_names(module: str) -> dict[str, str]:
    """Names that a module offers, each with the full name of what it stands for.

    These are its functions and classes, the constants that a string describes, and what it hands on: imports under
    their own name (`from amsim.x import y as y`) or a name of `__all__`.
    """
    body = ast.parse(source(module).read_text()).body
    listed = next((ast.literal_eval(node.value) for node in body if _is_list_of_names(node)), ())
    found = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = f"{module}.{node.name}"
        elif isinstance(node, ast.ImportFrom):
            handed_on = [name for name in node.names if name.asname and name.asname in (name.name, *listed)]
            found |= {str(name.asname): f"{node.module}.{name.name}" for name in handed_on}
        elif isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found |= {target.id: f"{module}.{target.id}" for target in node.targets if isinstance(target, ast.Name)}
    return {name: origin for name, origin in found.items() if not name.startswith("_")}


def _is_list_of_names(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def origin(name: str) -> str:
    """Full name of where a public name is defined, through all modules that hand it on."""
    module, _, last = name.rpartition(".")
    further = public_names(module).get(last, name) if source(module).exists() else name
    return name if further == name else origin(further)


def described(reference: str) -> list[str]:
    """Names that pages of the reference describe; `module.*` stands for each function and class it offers."""
    found = []
    for name in re.findall(r"^::: (\S+)$", reference, re.MULTILINE):
        module = name.removesuffix(".*")
        found += [name] if module == name else [f"{module}.{part}" for part in public_names(module)]
    return found
