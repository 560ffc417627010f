"""Citations of the facts become links to sections that exist."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


facts_links = loaded("facts_links")
KNOWN = facts_links.sections((DOCS / "facts.md").read_text())


def with_links(page):
    return facts_links.with_links(page, "../facts/", KNOWN, "a.md")


def link(section):
    return f'<a href="../facts/#facts-{section}">{section}</a>'


def test_sections_are_those_of_the_page():
    assert {"1", "1.1", "1b", "3", "3b", "5.3", "7.6", "8", "9"} <= KNOWN
    assert not {"0", "28", "2.035"} & KNOWN


def test_every_citation_names_a_section():
    files = [path for folder in ("amsim", "circuits", "noise") for path in (ROOT / folder).rglob("*.py")]
    cited = 0
    for path in files:
        cited += with_links(path.read_text().replace("<", "(")).count("<a href")
    assert cited > 150


def test_what_is_cited_is_linked():
    assert with_links("<p>Law (facts 5.3).</p>") == f"<p>Law (facts {link('5.3')}).</p>"
    assert with_links("facts 7.1, 7.4 and\n8: x") == f"facts {link('7.1')}, {link('7.4')} and\n{link('8')}: x"
    assert with_links("(facts\n1b, Jia'20)") == f"(facts\n{link('1b')}, Jia'20)"
    for rest in (", 28 nm", ", 2 bit and more", ": 5-20 pA", ", 1-100 pA", ", 1.5-2.5", ". 3"):
        assert with_links(f"facts 6.4{rest}") == f"facts {link('6.4')}{rest}"
    for untouched in ("<code>facts 5.3</code>", '<a href="x">facts <em>5.3</em></a>', "artefacts 5", "facts of 5"):
        assert with_links(untouched) == untouched
    assert with_links("<pre>facts 9</pre> facts 9") == f"<pre>facts 9</pre> facts {link('9')}"


def test_a_section_that_is_not_there_stops_the_build():
    with pytest.raises(ValueError, match=r"^a[.]md cites facts 5[.]9, a section that facts[.]md does not have"):
        with_links("facts 5.3, 5.9")


def test_pages_are_linked_from_where_they_are():
    target = SimpleNamespace(
        abs_src_path=str(DOCS / "facts.md"), url_relative_to=lambda file: f"../from-{file.src_uri}"
    )
    files = SimpleNamespace(get_file_from_path={"facts.md": target}.get)

    def content(page, name):
        context = {"page": SimpleNamespace(file=SimpleNamespace(src_uri=name)), "files": files, "config": {}}
        return facts_links.on_page_content(page, **context)

    assert content("facts 8", "a.md") == 'facts <a href="../from-a.md#facts-8">8</a>'
    page = content('<h2 id="5-noise">5 Noise</h2><li><strong>5.3</strong> Found: facts 5.3</li>', "facts.md")
    targets = set(re.findall(r'id="(facts-[^"]*)"', page))
    assert targets == {"facts-5", "facts-5.3"}
    assert "<a" not in page
