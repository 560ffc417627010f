"""Pareto fronts of studies: against a plain loop, what is drawn and what is refused."""

import inspect

import numpy as np
import pytest
import xarray as xr
from drawings import legend
from plotted_studies import MAP, errorbars, families, two_axes

from amsim.plot import plot_pareto
from amsim.statistics.dies import summary
from amsim.statistics.pareto import pareto_front

pytestmark = pytest.mark.usefixtures("only_drawn")


def beaten(price, value):
    """Plain double loop over points, NaN being beaten by anything."""
    found = np.zeros(len(price), bool)
    for one in range(len(price)):
        found[one] = not np.isfinite(price[one] + value[one])
        for other in range(len(price)):
            no_worse = price[other] <= price[one] and value[other] >= value[one]
            better = price[other] < price[one] or value[other] > value[one]
            found[one] |= no_worse and better
    return found


def test_the_front_is_that_of_a_plain_loop():
    study = families()
    price, value = (array.values.ravel() for array in (study["energy"], study["accuracy"].mean("die", skipna=False)))
    front = pareto_front(study["energy"], study["accuracy"])
    np.testing.assert_array_equal(front.values.ravel(), ~beaten(price, value))
    generator = np.random.default_rng(0)
    for _ in range(20):
        rough = xr.DataArray(generator.integers(0, 6, (2, 30)).astype(float), dims=("which", "spot"))
        rough[0, 3] = np.nan
        mask = pareto_front(rough[0], rough[1]).values
        np.testing.assert_array_equal(mask, ~beaten(rough[0].values, rough[1].values))
    with pytest.raises(ValueError, match="`value` must be a DataArray, but is of type float"):
        inspect.unwrap(pareto_front)(rough[0], 1.0)


def test_pareto_draws_every_point_and_labels_the_front():
    study = families()
    ax = plot_pareto(study)
    groups = [one for one in errorbars(ax) if np.size(one.lines[0].get_xdata())]
    drawn = np.concatenate([np.asarray(one.lines[0].get_xydata()) for one in groups])
    mean = study["accuracy"].mean("die", skipna=False).values
    known = np.isfinite(mean)
    expected = np.stack([study["energy"].values[known], mean[known]], axis=1)
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
    intervals = summary(study["accuracy"])
    segments = np.concatenate([one.lines[2][0].get_segments() for one in groups if one.has_yerr])
    np.testing.assert_allclose(np.sort(segments[:, 0, 1]), np.sort(intervals["low"].values[known]))
    np.testing.assert_allclose(np.sort(segments[:, 1, 1]), np.sort(intervals["high"].values[known]))
    front = pareto_front(study["energy"], study["accuracy"]).values
    rows, columns = np.nonzero(front)
    assert sorted(text.get_text() for text in ax.texts) == sorted(f"{4 + 2 * column} bit" for column in columns)
    names = [study["hardware"].values[row] for row in set(rows)]
    assert set(names) <= set(legend(ax))
    assert "labels: adc bits" in legend(ax)
    steps = next(line for line in ax.lines if line.get_label() == "no other point beats these")
    np.testing.assert_allclose(np.asarray(steps.get_xdata()), np.sort(study["energy"].values[front]))


def test_pareto_labels_leave_out_settings_that_do_not_exist():
    energy, accuracy = np.full((3, 2, 2), np.nan), np.full((3, 2, 2), np.nan)
    for place, point in {(0, 0, 1): (1.0, 0.5), (1, 1, 0): (3.0, 0.4), (2, 1, 1): (2.0, 0.9)}.items():
        energy[place], accuracy[place] = point
    dims = ("hardware", "macro.rows", "macro.adc.bits")
    coordinates = {"hardware": ["analog", "converted", "digital"], dims[1]: [640.0, np.nan], dims[2]: [6.0, np.nan]}
    study = xr.Dataset({"energy": (dims, energy), "accuracy": (dims, accuracy)}, coordinates)
    ax = plot_pareto(study)
    assert [text.get_text() for text in ax.texts] == ["640"]
    assert "labels: macro.rows" in legend(ax)


def test_pareto_of_points_and_of_one_die():
    study = two_axes(dies=1)
    listed = study.stack(point=(MAP["x"], MAP["y"]), create_index=False).assign_coords(point=np.arange(20))
    ax = plot_pareto(listed, hue=MAP["x"])
    assert [text for text in legend(ax) if text.startswith("noise")] == [
        "noise 100 µV", "noise 464 µV", "noise 2.15 mV", "noise 10 mV",
    ]  # fmt: skip
    assert "labels: macro.unit_capacitance" in legend(ax)
    assert not any(one.has_yerr for one in errorbars(ax) if np.size(one.lines[0].get_xdata()))
    with pytest.raises(ValueError, match=r"`hue` must be one of .* but is 'rows'"):
        plot_pareto(listed, hue="rows")
    with pytest.raises(ValueError, match="`hue` must have at most 7 values, but 'point' has 20"):
        plot_pareto(listed, hue="point")
    with pytest.raises(ValueError, match="must have a point with both"):
        plot_pareto(study * np.nan)
    with pytest.raises(ValueError, match="`logarithmic` must be False where 'accuracy'"):
        plot_pareto(study, x="accuracy", y="energy", logarithmic=True)
