"""Links that hold on the code host, made to hold on the site too."""

import posixpath
import re
from pathlib import Path

# Where pages and folders of the repository stand on the site.
MOVED = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
# What a table leaves away: the modules before a function or class.
SHORT = re.compile(r"^([a-z_]+\.)+(?=[A-Z]|\w+$)")


def page_of(path: str) -> str:
    """Page of the site for a file of the repository."""
    folder, _, rest = path.partition("/")
    if folder == "notebooks":
        return f"tutorials/{rest}" if path.endswith(".png") else f"tutorials/{Path(rest).stem}.md"
    return rest if folder == "docs" else MOVED.get(path, path)


def source_folder(page: str) -> str:
    """Folder of the repository that the links of a page start from."""
    if page in MOVED.values():
        return "."
    return "notebooks" if page.startswith("tutorials/") else str(Path("docs", page).parent)


def linked(text: str, page: str, pages: set[str], names: set[str]) -> str:
    """Page whose links hold on the site; pages and names of the reference that it has in code font become links."""

    def link(target: str) -> str:
        return posixpath.relpath(target, posixpath.dirname(page) or ".")

    def moved(found: re.Match[str]) -> str:
        path, mark, place = found[1].partition("#")
        inside = posixpath.normpath(posixpath.join(source_folder(page), path))
        return f"]({link(page_of(inside))}{mark}{place})"

    def mention(found: re.Match[str]) -> str:
        word = found[1]
        for target in (page_of(word), f"tutorials/{word}.md"):
            if target in pages - {page}:
                return f"[`{word}`]({link(target)})"
        if not any(f"{word}.".startswith(f"{name}.") for name in names):
            return found[0]
        in_table = found.string[found.string.rfind("\n", 0, found.start()) + 1] == "|"
        return f"[`{SHORT.sub('', word) if in_table else word}`][{word}]"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    for i in range(0, len(parts), 2):
        prose = re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", moved, parts[i])
        parts[i] = re.sub(r"(?<!\[)`([\w./]+)`(?!\])", mention, prose)
    return "".join(parts)
