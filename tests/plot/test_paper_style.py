"""Pictures as wide as a column, with a style of one's own, and files whose text is text."""

import logging
import re

import matplotlib
import pytest
from drawings import large_enough
from plotted_results import make_comparison
from plotted_studies import two_axes

from amsim.plot import paper_style, plot_comparison, plot_energy_breakdown, plot_sweep
from amsim.plot.style import font_size

pytestmark = pytest.mark.usefixtures("only_drawn")


def noise_curve():
    return plot_sweep(two_axes().isel({"macro.unit_capacitance": 0}))


@pytest.mark.parametrize(("width", "inches"), [("single", 3.5), ("double", 7.16), (5, 5.0), ("4.5", 4.5)])
def test_pictures_are_as_wide_as_a_column(width, inches):
    with paper_style(width):
        assert noise_curve().figure.get_figwidth() == pytest.approx(inches)
        assert plot_comparison(make_comparison()).get_figwidth() == pytest.approx(inches)
    assert noise_curve().figure.get_figwidth() == 6.0
    assert large_enough(noise_curve())


def test_nothing_leaves_a_column():
    with paper_style("single"):
        figures = [
            noise_curve().figure,
            plot_energy_breakdown(make_comparison()).figure,
            plot_comparison(make_comparison()),
        ]
        for figure in figures:
            figure.draw_without_rendering()
            frame, drawn = figure.bbox, figure.get_tightbbox()
            assert drawn.x0 >= -0.02
            assert drawn.x1 * figure.dpi <= frame.x1 + 1
    assert min(text.get_fontsize() for text in figures[0].findobj(matplotlib.text.Text) if text.get_text()) >= 7


def test_a_style_of_ones_own(tmp_path):
    sheet = tmp_path / "mine.mplstyle"
    sheet.write_text("xtick.labelsize: 6.5\nlines.markersize: 3\n")
    for style in ({"xtick.labelsize": 6.5, "lines.markersize": 3}, sheet, str(sheet)):
        with paper_style("single", style=style):
            assert font_size() == 6.5
            assert matplotlib.rcParams["lines.markersize"] == 3
            ax = noise_curve()
        assert {text.get_fontsize() for text in ax.get_xticklabels()} == {6.5}
    assert font_size() == 8.5


def test_wrong_styles(tmp_path, caplog, as_a_user_runs_it):
    (tmp_path / "bad.mplstyle").write_text("font.siz: 3\n")
    for options, said in (
        ({"width": "triple"}, "`width` must be single, double or inches from 2 to 30, but is 'triple'"),
        ({"width": 1}, "but is 1"),
        ({"style": {"font.siz": 3}}, "`style` must be settings that Matplotlib knows, but is not: .*font.siz"),
        ({"style": {"font.size": "large-ish"}}, "large-ish"),
        ({"style": tmp_path / "bad.mplstyle"}, "Bad key font.siz in file"),
        ({"style": tmp_path / "missing.mplstyle"}, "missing.mplstyle"),
        ({"style": 3}, "`style` must be a style sheet or a dict of settings, but is 3"),
    ):
        with pytest.raises(ValueError, match=said), paper_style(**options):
            pass
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_an_error_inside_leaves_the_style():
    with pytest.raises(RuntimeError), paper_style("single"):
        raise RuntimeError
    assert font_size() == 8.5
    assert re.match("6", str(noise_curve().figure.get_figwidth()))


def test_areas_are_in_square_millimetres():
    study = two_axes().isel({"macro.unit_capacitance": 0})
    study["area"] = ("macro.comparator.noise", [1e-6, 2e-6, 3e-6, 4e-6], {"units": "m2", "long_name": "chip area"})
    ax = plot_sweep(study, "area")
    assert ax.get_ylabel() == "chip area (mm2)"
    ax.figure.draw_without_rendering()
    assert "2" in [text.get_text() for text in ax.get_yticklabels()]
