"""The page of a result: its structure, its numbers, what it makes of hostile names, and how a browser shows it."""

import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from page_parts import CHROMIUM, Page, as_a_browser_shows_it
from plotted_results import make_characteristic, make_comparison, make_cost
from plotted_studies import families, two_axes
from typer.testing import CliRunner

from amsim.command_line.application import app
from amsim.report import write_report
from amsim.report.charts import charts_of
from amsim.report.result_file import write_result
from amsim.report.scope import NOT_MODELLED, modelled

HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">&amp;{{7*7}}"
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")


def stored(result, **attributes):
    return result.assign_attrs(amsim_version="0.1", jax_version="0.7", **attributes)


def comparison(**options):
    result = make_comparison(**options)
    count = result.sizes["design"]
    result["latency"] = ("design", np.arange(1, count + 1) * 1e-4, {"units": "s", "long_name": "time"})
    result["area"] = ("design", np.arange(1, count + 1) * 1e-6, {"units": "m2", "long_name": "area"})
    hardware = '{"type": "Accelerator", "macros": [{"type": "SwitchedCapacitor", "rows": 1024, "drivers": null}]}'
    return stored(result, seed=3, accelerators=[hardware])


RESULTS = {
    "comparison": comparison,
    "study of two axes": lambda: stored(two_axes(), axes="{}"),
    "study of families": lambda: stored(families(), axes="{}"),
    "cost": lambda: stored(make_cost()),
    "characteristic": lambda: stored(make_characteristic(), macro="{}"),
    "single die": lambda: comparison(dies=1),
    "one number": lambda: stored(xr.Dataset({"a": ((), 1.0, {"units": "J", "long_name": "a"})})),
}


@pytest.fixture(autouse=True)
def short_library(request, monkeypatch):
    """In place of the megabytes of plotly.js, which only a browser needs."""
    if "browser" not in request.node.name:
        monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly.js */")


@pytest.fixture
def page(tmp_path):
    return Page(write_report(comparison(), tmp_path / "page.html", title="Three families").read_text())


def test_structure(page):
    assert page.texts("h1") == ["Three families"]
    assert page.texts("h3")[:2] == ["Verdict", "Accuracy against energy"]
    assert page.texts("h3")[-3:] == ["Numbers", "Where it comes from", "What is modelled, and what is not"]
    assert list(page.charts()) == ["Accuracy against energy", "Breakdown by component", "Dies", "Every quantity"]
    assert len(page.rows()) == 2 * 6
    assert ("seed", "3") in zip(page.texts("dt"), page.texts("dd"), strict=True)
    assert '"rows": 1024' in page.texts("pre")[page.texts("summary").index("accelerators")]
    assert any("None here: drivers" in text for text in page.texts("li"))


def test_numbers_are_those_of_the_result(page):
    result = comparison()
    energy = result["energy"].sum("component")
    (plane,) = page.charts()["Accuracy against energy"]["choices"].values()
    points = {
        (name, x, y)
        for trace in plane["data"][1:]
        for name, x, y in zip(
            [re.findall("<b>(.*?)</b>", text)[0] for text in trace["hovertext"]], trace["x"], trace["y"], strict=True
        )
    }
    assert points == {
        (str(name), float(energy[n]), 100 * float(result["accuracy"][n].mean()))
        for n, name in enumerate(result["design"].values)
    }
    assert {trace["name"] for trace in plane["data"][1:]} == {
        "switched-capacitor", "digital-binary", "multi-precision",
    }  # fmt: skip
    ends = {
        round(y + up, 9)
        for trace in plane["data"][1:]
        for y, up in zip(trace["y"], trace["error_y"]["array"], strict=True)
    }
    assert ends == {round(100 * float(high), 9) for high in result["accuracy_high"]}
    parts = page.charts()["Breakdown by component"]["choices"]["energy per inference"]["data"]
    np.testing.assert_array_equal([trace["x"] for trace in parts], result["energy"].transpose("component", ...).values)
    dies = page.charts()["Dies"]["choices"]["classification accuracy"]["data"]
    np.testing.assert_allclose([trace["x"] for trace in dies], 100 * result["accuracy"].values, rtol=1e-12)
    areas = page.charts()["Every quantity"]["choices"]["area"]
    assert areas["layout"]["xaxis"]["title"]["text"] == "area (mm2)"
    shown = sorted(x for trace in areas["data"] for x in trace["x"])
    np.testing.assert_allclose(shown, 1e6 * result["area"].values)
    first = page.rows()[0]
    assert first[0] == "switched-capacitor-1b"
    assert first[3] == f"{1e6 * float(energy[0]):.3g}"


def test_a_study_is_drawn_by_its_axes(tmp_path):
    result = RESULTS["study of two axes"]()
    page = Page(write_report(result, tmp_path / "page.html").read_text())
    every = page.charts()["Every quantity"]["choices"]
    curves = every["accuracy"]["data"]
    means = result["accuracy"].mean(["die", "read"]).values
    np.testing.assert_allclose(sorted(curve["y"] for curve in curves), sorted((100 * means).T.tolist()))
    assert every["accuracy"]["layout"]["xaxis"]["type"] == "log"
    assert len(page.rows()) == 20


@pytest.mark.parametrize("kind", RESULTS)
def test_figures_are_right_for_plotly(kind):
    """Its Python package checks every name and value of a figure."""
    from plotly import graph_objects

    for chart in charts_of(RESULTS[kind]()):
        for figure in chart["choices"].values():
            drawn = graph_objects.Figure({"data": figure["data"], "layout": figure["layout"]})
            if figure.get("ticks"):
                drawn.update_xaxes(**figure["ticks"])


@pytest.mark.parametrize("kind", RESULTS)
def test_a_page_of_any_result_fetches_nothing(kind, tmp_path):
    text = write_report(RESULTS[kind](), tmp_path / "page.html").read_text()
    page = Page(text)
    addresses = [given.get(name) or "" for _, given, _ in page.elements for name in ("src", "href", "data", "action")]
    assert not [one for one in addresses if one and not one.startswith("#")]
    assert not {"img", "link", "iframe", "object", "base", "form"} & {name for name, _, _ in page.elements}
    assert not re.findall(r"url\(|@import", "".join(page.texts("style")))
    assert page.texts("caption") or kind in ("one number", "characteristic", "cost")
    assert page.rows()


def test_only_its_two_scripts_may_run(page):
    (policy,) = [given["content"] for given, _ in page.all("meta") if "http-equiv" in given]
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in page.scripts()]
    assert len(digests) == 2
    allowed = " ".join(f"'sha256-{one}'" for one in digests)
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def hostile():
    """Texts of a stranger in every place that a page shows."""
    result = comparison(designs={f"{HOSTILE}-{n}b": (0.8 + n / 100, n * 1e-7) for n in (1, 2, 3)})
    result = result.assign_coords(component=[HOSTILE, *result["component"].values[1:]])
    for values in result.variables.values():
        values.attrs["long_name"] = HOSTILE
    macro = '{"type": "<script>1</script>", "<b>": null}'
    return stored(result, data=HOSTILE, network=HOSTILE, note=HOSTILE, macro=macro)


def test_hostile_names_are_text(tmp_path):
    write_report(hostile(), tmp_path / "page.html", title=HOSTILE)
    page = Page((tmp_path / "page.html").read_text())
    assert len(page.scripts()) == 2
    assert not page.all("img")
    assert page.texts("h1") == [HOSTILE]
    assert f"{HOSTILE}-1b" in [row[0] for row in page.rows()]
    for chart in page.charts().values():
        for figure in chart["choices"].values():
            for label in re.findall(r"<(?!/?b>|br>)[^']*", str(figure["data"])):
                raise AssertionError(label)


def test_several_results_share_a_page(tmp_path):
    write_result(tmp_path / "a.nc", comparison())
    path = write_report([tmp_path / "a.nc", RESULTS["cost"](), tmp_path / "a.nc"], tmp_path / "page.html")
    page = Page(path.read_text())
    assert page.texts("h2") == ["a.nc", "result 2", "a.nc (3)"]
    assert [given["href"] for given, _ in page.all("a")] == ["#result-1", "#result-2", "#result-3"]
    assert len({given["id"] for given, _ in page.all("div", role="img")}) == len(page.all("div", role="img"))
    assert len(page.scripts()) == 2


def test_wrong_results(tmp_path, as_a_user_runs_it):
    with pytest.raises(ValueError, match="`results` must be results or paths of results, at least one, but is \\[\\]"):
        write_report([], tmp_path / "page.html")
    with pytest.raises(ValueError, match="`results` must be a result of amsim"):
        write_report([1], tmp_path / "page.html")
    with pytest.raises(ValueError, match="is not a result of amsim"):
        write_report(make_comparison(), tmp_path / "page.html")
    with pytest.raises(FileNotFoundError, match="There is no"):
        write_report(tmp_path / "missing.nc", tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_command(tmp_path):
    write_result(tmp_path / "a.nc", comparison())
    ended = run(tmp_path / "a.nc", "--out", tmp_path / "new" / "page.html", "--title", "Mine")
    assert ended.output == f"Written: {tmp_path / 'new' / 'page.html'}\n"
    assert Page((tmp_path / "new" / "page.html").read_text()).texts("title") == ["Mine"]


@pytest.mark.parametrize("package", ["plotly.offline", "jinja2"])
def test_a_missing_package_is_told_in_one_line(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    write_result(tmp_path / "a.nc", comparison())
    said = "A page needs plotly and Jinja2: pip install 'amsim[report]'."
    with pytest.raises(ImportError, match=re.escape(said)):
        write_report(tmp_path / "a.nc", tmp_path / "page.html")
    assert str(run(tmp_path / "a.nc", "--out", tmp_path / "page.html").exception) == said


def test_what_is_not_modelled_is_that_of_the_readme():
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    assert not [one for one in NOT_MODELLED if one not in readme]


def test_what_is_modelled_follows_the_hardware():
    lines = modelled(
        [{"type": "Accelerator", "macros": [{"type": "DigitalBinary", "weight_cells": None}]}, {"type": "X"}]
    )
    assert lines[0].startswith("DigitalBinary: XNOR and popcount")
    assert lines[0].endswith("None here: weight cells.")
    assert lines[1] == "X: a family that this page does not know."


@pytest.mark.sampled(1)
@in_a_browser
@pytest.mark.parametrize("width", [1280, 360])
def test_a_browser_draws_every_chart(width, tmp_path):
    path = write_report(comparison(), tmp_path / "page.html")
    page, complaints = as_a_browser_shows_it(path, tmp_path / "profile", width=width)
    assert complaints == []
    drawn = [given for given, _ in page.all("svg") if "main-svg" in (given.get("class") or "")]
    assert len(drawn) >= 4
    # Six designs, and as many dies as there are; the front has no markers.
    markers = [given for given, _ in page.all("path") if (given.get("class") or "").startswith("point")]
    assert len(markers) >= 6 + 6 * comparison().sizes["die"]
    assert max(float(given["width"]) for given in drawn) <= max(width, 500)


@in_a_browser
def test_a_reader_can_switch_axes_and_quantities_in_a_browser(tmp_path):
    """As a reader clicks, in a copy of the page that may run one more script."""
    text = write_report(comparison(), tmp_path / "page.html").read_text()
    clicks = (
        "<script>document.querySelector('input').click();"
        "const one = document.querySelector('select'); one.selectedIndex = 1; one.dispatchEvent(new Event('change'));"
        "</script></body>"
    )
    text = re.sub(r"<meta http-equiv.*?>", "", text, count=1).replace("</body>", clicks)
    (tmp_path / "clicked.html").write_text(text)
    before, _ = as_a_browser_shows_it(tmp_path / "page.html", tmp_path / "profile")
    after, complaints = as_a_browser_shows_it(tmp_path / "clicked.html", tmp_path / "profile")
    assert complaints == []
    ticks = [
        [text for given, text in page.all("g") if "xtick" in (given.get("class") or "")] for page in (before, after)
    ]
    assert {"100 nJ", "1 uJ"} <= set(ticks[0])
    assert not {"100 nJ", "1 uJ"} & set(ticks[1])
    assert "share (%)" not in before.texts("text")
    assert "share (%)" in after.texts("text")


@in_a_browser
def test_hostile_names_do_not_run_in_a_browser(tmp_path):
    path = write_report(hostile(), tmp_path / "page.html", title="still")
    page, complaints = as_a_browser_shows_it(path, tmp_path / "profile")
    assert page.texts("title")[0] == "still"
    assert not page.all("img")
    assert complaints == []


@in_a_browser
def test_a_browser_prints_a_page_on_a4(tmp_path):
    path = write_report(comparison(), tmp_path / "page.html")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--virtual-time-budget=6000", "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'page.pdf'}"]
    subprocess.run([CHROMIUM, *options, path.as_uri()], capture_output=True, timeout=180, check=True)
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    sizes = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content))
    assert [[round(float(one)) for one in size] for size in sizes] == [[595, 842]]
