"""Sources of error switched off one at a time: the bars of their plot, and what is refused."""

import numpy as np
import pytest
import xarray as xr
from drawings import legend
from matplotlib.container import BarContainer
from plotted_studies import errorbars
from scipy import stats

from amsim.plot import plot_switched_sources

pytestmark = pytest.mark.usefixtures("only_drawn")


def switched(dies):
    generator = np.random.default_rng(1)
    accuracy = generator.uniform(0.6, 0.8, (3, 2, dies))
    label = {"units": "1", "long_name": "accuracy"}
    return xr.Dataset(
        {
            "accuracy": (("source", "state", "die"), accuracy, label),
            "accuracy_all": (("die",), generator.uniform(0.5, 0.6, dies), label),
            "accuracy_none": (("die",), generator.uniform(0.8, 0.9, dies), label),
        },
        coords={"source": ["mismatch", "noise", "offset"], "state": ["all but this", "this alone"]},
    )


def test_switched_sources_are_differences_on_the_same_dies():
    study = switched(6)
    ax = plot_switched_sources(study)
    names = [text.get_text() for text in ax.get_yticklabels()]
    bars = [one for one in ax.containers if isinstance(one, BarContainer)]
    whiskers = errorbars(ax)
    alone = study["accuracy_none"] - study["accuracy"].sel(state="this alone")
    back = study["accuracy"].sel(state="all but this") - study["accuracy_all"]
    for shown, spread, expected in zip(bars, whiskers, (alone, back), strict=True):
        each = expected.transpose("source", "die").sel(source=names).values
        np.testing.assert_allclose([bar.get_width() for bar in shown], each.mean(axis=1))
        interval = stats.t.interval(0.95, 5, each.mean(axis=1), stats.sem(each, axis=1))
        ends = np.array(spread.lines[2][0].get_segments())[:, :, 0]
        np.testing.assert_allclose(ends.T, interval)
    largest = [max(alone.mean("die").sel(source=name), back.mean("die").sel(source=name)) for name in names]
    assert largest == sorted(largest)
    whole = float((study["accuracy_none"] - study["accuracy_all"]).mean())
    assert legend(ax)[0] == f"all sources together, {whole:.3g}"


def test_switched_sources_of_one_die_and_of_something_else():
    ax = plot_switched_sources(switched(1))
    assert not any(np.size(one.lines[2][0].get_segments()) for one in errorbars(ax))
    with pytest.raises(ValueError, match="lacks accuracy_all, accuracy_none"):
        plot_switched_sources(switched(2)[["accuracy"]])
    with pytest.raises(ValueError, match=r"over macro[.]rows too"):
        plot_switched_sources(switched(2).expand_dims({"macro.rows": [8, 16]}))
