"""A picture of each kind of result, as pixels or as lines."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from plotted_results import make_characteristic, make_comparison, make_cost, make_decisions
from plotted_studies import families, two_axes
from typer.testing import CliRunner

from amsim.command_line.application import app
from amsim.plot import plot_yield
from amsim.report import result_picture
from amsim.report.picture_file import check_picture, write_picture
from amsim.report.result_file import write_result

pytestmark = pytest.mark.usefixtures("only_drawn")


def ladder():
    """Two rungs, of which one is missed."""
    variables = {
        "ratio": [1.0, 3.0], "within": [True, False], "held_out": [False, True],
        "level": ["closed form"] * 2, "kind": ["predicted"] * 2,
    }  # fmt: skip
    return xr.Dataset({name: ("rung", values) for name, values in variables.items()}, coords={"rung": ["a", "b"]})


def evaluated(dies=(0.90, 0.92, 0.88, 0.91)):
    values = np.array(dies)[:, None]
    return xr.Dataset(
        {"accuracy": (("die", "read"), values, {"units": "1", "long_name": "classification accuracy"})},
        coords={"die": np.arange(len(dies)), "read": [0]},
    )


KINDS = {
    "comparison": (make_comparison, "energy per inference (J)"),
    "ladder": (ladder, "model over reference (1)"),
    "cost": (make_cost, "energy per inference (J)"),
    "characteristic": (make_characteristic, "ideal sum of products (counts)"),
    "decisions": (make_decisions, "ideal sum of products (counts)"),
    "study": (lambda: two_axes().assign_attrs(axes="{}"), "macro.unit_capacitance"),
    "families": (lambda: families().assign_attrs(axes="{}"), "adc bits (bit)"),
    "evaluated": (evaluated, "classification accuracy"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_picture(kind):
    make, label = KINDS[kind]
    figure = result_picture(make())
    assert label in [ax.get_xlabel() for ax in figure.axes]


def test_results_without_a_picture():
    with pytest.raises(ValueError, match="a result over a has no picture"):
        result_picture(xr.Dataset({"x": ("a", [1.0])}))
    with pytest.raises(ValueError, match="`along` is for pictures of studies"):
        result_picture(make_comparison(), along="die")


def test_yield_of_an_evaluation_at_a_limit():
    """Against a count: of 0.90, 0.92, 0.88 and 0.91 three reach 0.90."""
    ax = plot_yield(evaluated(), limit=0.9)
    (place,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert (place.get_xdata()[0], place.get_ydata()[0]) == (0.9, 0.75)
    assert "75 % (19.4 .. 99.4) at least 0.9" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_pixels_and_lines(tmp_path):
    figure = result_picture(make_comparison())
    for kind in ("png", "pdf", "svg"):
        write_picture(tmp_path / f"p.{kind}", figure)
        write_picture(tmp_path / f"again.{kind}", figure)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    raw = (tmp_path / "p.pdf").read_bytes()
    # Type 42 is TrueType inside of a Type 0 font; the default, Type 3, is refused by journals.
    assert b"/FontFile2" in raw
    assert b"/Type3" not in raw
    text = (tmp_path / "p.svg").read_text()
    assert ">multi-precision-8b</text>" in text
    for kind in ("png", "pdf"):
        assert (tmp_path / f"p.{kind}").read_bytes() == (tmp_path / f"again.{kind}").read_bytes()


@pytest.mark.parametrize("name", ["p.jpg", "p", "p.PNG"])
def test_other_endings_are_refused(name):
    with pytest.raises(ValueError, match=f"`--plot` must end in .png, .pdf or .svg, but is {name}"):
        check_picture(Path(name))


def test_show_draws_any_result_for_a_column(tmp_path):
    write_result(tmp_path / "r.nc", evaluated().assign_attrs(amsim_version="0.1"))
    (tmp_path / "s.mplstyle").write_text("font.family: serif\n")
    arguments = ["show", tmp_path / "r.nc", "--plot", tmp_path / "p.svg", "--width", "single"]
    ended = CliRunner().invoke(app, list(map(str, [*arguments, "--style", tmp_path / "s.mplstyle"])))
    assert ended.exit_code == 0, ended.exception
    text = (tmp_path / "p.svg").read_text()
    assert f'width="{3.5 * 72:g}pt"' in text
    assert "serif" in text
    for more, said in (
        (["--width", "single"], "`--width` needs `--plot`"),
        (["--plot", tmp_path / "p.pdf", "--width", "wide"], "`--width` must be single, double or inches"),
        (["--plot", tmp_path / "p.gif"], "`--plot` must end in .png, .pdf or .svg"),
        (["--plot", tmp_path / "p.pdf", "--along", "die"], "`--along` is for pictures of studies"),
    ):
        refused = CliRunner().invoke(app, list(map(str, ["show", tmp_path / "r.nc", *more])))
        assert said in str(refused.exception)
        assert not (tmp_path / "p.pdf").exists()
