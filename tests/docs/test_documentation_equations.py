"""Equations of the documentation become MathML, and its pages fetch nothing from elsewhere."""

import html
import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import markdown
import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SETTINGS = yaml.safe_load((DOCS / "mkdocs.yml").read_text())


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mathml = loaded("mathml")
self_contained = loaded("self_contained")


def as_html(text):
    """Text through the site's own Markdown extensions."""
    chosen = [one if isinstance(one, dict) else {one: {}} for one in SETTINGS["markdown_extensions"]]
    options = {name: given for one in chosen for name, given in one.items()}
    return markdown.markdown(text, extensions=list(options), extension_configs=options)


def called(function, page):
    return function(page, page=SimpleNamespace(file=SimpleNamespace(src_uri="a.md")), config={}, files=[])


def equations(page):
    """The MathML of a page."""
    found = re.findall(r"<math.*?</math>", page, re.DOTALL)
    plain = [re.sub(r"&(?!lt;|gt;|amp;)\w+;", lambda one: html.unescape(one[0]), one) for one in found]
    return [ElementTree.fromstring(one) for one in plain]


def test_every_equation_becomes_mathml():
    written = 0
    for path in PAGES:
        prose = re.sub(r"^```.*?^```$|`[^`]+`", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        blocks = len(re.findall(r"^\$\$\n", prose, re.MULTILINE)) // 2
        inline = len(re.findall(r"(?<!\$)\$[^$]+\$(?!\$)", re.sub(r"\$\$.*?\$\$", "", prose, flags=re.DOTALL)))
        trees = equations(mathml.with_mathml(as_html(path.read_text()), path.name))
        assert len(trees) == blocks + inline, path.name
        assert sum(tree.get("display") == "block" for tree in trees) == blocks
        assert not any("\\" in "".join(tree.itertext()) for tree in trees)
        written += len(trees)
    assert written > 100


def test_an_equation_is_the_one_that_is_written():
    page = called(mathml.on_page_content, as_html("for $V_{DD} < 1$:\n\n$$\n\\sqrt{\\frac{kT}{C}}\n$$\n"))
    inline, block = equations(page)
    assert "".join(inline.itertext()) == "VDD<1"
    (root,) = block.findall(".//msqrt")
    (fraction,) = root.findall(".//mfrac")
    assert ["".join(part.itertext()) for part in fraction] == ["kT", "C"]
    assert "\\" not in page


@pytest.mark.parametrize("wrong", [r"\fraction{a}{b}", r"\frac{a", "a}", r"\left( x"])
def test_what_is_no_equation_stops_the_build(wrong):
    with pytest.raises(ValueError, match=r"^a[.]md has the equation .*, which cannot be drawn: "):
        called(mathml.on_page_content, as_html(f"$$\n{wrong}\n$$\n"))


def test_pages_fetch_nothing_from_elsewhere():
    assert SETTINGS["theme"]["font"] is False
    assert not SETTINGS.get("extra_javascript")
    assert not any("//" in one for one in SETTINGS["extra_css"])
    assert not re.findall(r"url\(|@import", "".join(path.read_text() for path in DOCS.rglob("*.css")))
    own = '<script src="../a.js"></script><link rel="canonical" href="https://x.org/"><a href="https://x.org">x</a>'
    assert called(self_contained.on_post_page, own) == own
    for foreign in (
        '<script src="https://x.org/a.js"></script>',
        '<link rel="stylesheet" href="//x.org/a.css">',
        '<img src="http://x.org/a.png">',
    ):
        with pytest.raises(ValueError, match=r"^a[.]md fetches .*x[.]org/a"):
            called(self_contained.on_post_page, own + foreign)
