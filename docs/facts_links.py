"""Citations such as "facts 5.3", in pages and docstrings, become links to the sections of `facts.md`."""

import re
from pathlib import Path
from typing import Any

FACTS = "facts.md"
# A section as its number is written; not the start of "28 nm", "1-100 pA" or "2 bit".
SECTION = r"\d(?:\.\d|b)?(?![\d-]|\.\d| bit)"
CITED = re.compile(rf"(?<=\bfacts)\s+{SECTION}(?:(?:,\s+|\s+and\s+){SECTION})*")
TAG = re.compile(r"(<[^>]*>)")
# Inside of these nothing is linked.
CLOSED = ("a", "code", "pre")


def sections(text: str) -> set[str]:
    """Numbers of the sections of the page of facts: its headings, and what starts an entry of a list."""
    return set(re.findall(r"^(?:## (?=\d )|- \*\*)(\d(?:\.\d|b)?)\b", text, re.MULTILINE))


def with_targets(page: str) -> str:
    """HTML of the page of facts in which each section can be linked to."""
    page = re.sub(r"<strong>(\d(?:\.\d|b))</strong>", r'<strong id="facts-\1">\1</strong>', page)
    return re.sub(r"(<h2[^>]*>)(\d) ", r'\1<span id="facts-\2"></span>\2 ', page)


def with_links(page: str, address: str, known: set[str], name: str) -> str:
    """HTML whose citations are links.

    Args:
        page: HTML.
        address: Of the page of facts, from this one.
        known: Its sections.
        name: Page that an error speaks of.

    Raises:
        ValueError: A citation of a section that does not exist.
    """

    def link(section: re.Match[str]) -> str:
        if section[0] not in known:
            raise ValueError(f"{name} cites facts {section[0]}, a section that {FACTS} does not have.")
        return f'<a href="{address}#facts-{section[0]}">{section[0]}</a>'

    parts, within = TAG.split(page), 0
    for place, part in enumerate(parts):
        if place % 2:
            kind = re.match(r"</?(\w*)", part)
            if kind and kind[1] in CLOSED:
                within += -1 if part.startswith("</") else 1
        elif not within:
            parts[place] = CITED.sub(lambda found: re.sub(SECTION, link, found[0]), part)
    return "".join(parts)


def on_page_content(page: str, /, **context: Any) -> str:
    """What the generator calls with each page's HTML, docstrings included."""
    file = context["page"].file
    if file.src_uri == FACTS:
        return with_targets(page)
    target = context["files"].get_file_from_path(FACTS)
    known = sections(Path(target.abs_src_path).read_text())
    return with_links(page, target.url_relative_to(file), known, file.src_uri)
