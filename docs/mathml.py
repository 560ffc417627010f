"""Equations of the site: LaTeX becomes MathML, which browsers draw without a script or a font from elsewhere."""

import html
import re
from typing import Any

from math_core import LatexError, LatexToMathML

# What Markdown hands on: \(...\) in a line, \[...\] on lines of its own.
MARKED = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
CONVERTER = LatexToMathML(fancy_error=False)


def with_mathml(page: str, name: str) -> str:
    r"""HTML whose equations are MathML.

    Args:
        page: HTML as Markdown makes it, with equations as `\(...\)` and `\[...\]`.
        name: Page that an error speaks of.

    Raises:
        ValueError: An equation that is no LaTeX, or has a command that is not known.
    """

    def converted(found: re.Match[str]) -> str:
        tag, latex = found[1], html.unescape(found[2])
        try:
            drawn = CONVERTER.convert_with_local_state(latex, displaystyle=tag == "div")
        except LatexError as error:
            raise ValueError(f"{name} has the equation {latex.strip()!r}, which cannot be drawn: {error}") from None
        return f'<{tag} class="arithmatex">{drawn}</{tag}>'

    return MARKED.sub(converted, page)


def on_page_content(page: str, /, **context: Any) -> str:
    """What the generator calls with each page's HTML, docstrings included."""
    return with_mathml(page, context["page"].file.src_uri)
