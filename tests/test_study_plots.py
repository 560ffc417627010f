"""Pictures of studies: what is drawn, labels, and what is refused."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from amsim.plot import plot_sweep

SUPPLY = np.array([0.6, 0.5, 0.7])
VALUES = 0.8 + 0.1 * SUPPLY[:, None, None] + np.array([0.0, 0.02])[None, :, None] + np.linspace(0, 0.01, 4)
STUDY = xr.Dataset(
    {"accuracy": (("macro.supply", "macro.adc.bits", "die"), VALUES, {"units": "1", "long_name": "accuracy"})},
    coords={
        "macro.supply": ("macro.supply", SUPPLY, {"units": "V", "long_name": "supply"}),
        "macro.adc.bits": ("macro.adc.bits", [4, 6], {"units": "bit", "long_name": "adc bits"}),
    },
)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def test_means_and_bands():
    ax = plot_sweep(STUDY)
    assert len(ax.lines) == len(ax.collections) == 2
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.sort(SUPPLY))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.sort(VALUES.mean(axis=2)[:, 1]))
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((VALUES[:, 0].min(), VALUES[:, 0].max()))
    assert ax.get_xlabel() == "supply (V)"
    assert ax.get_ylabel() == "accuracy"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0].startswith("adc bits 4 bit, mean and range of 4 dies")


def test_one_curve_on_given_axes():
    _, ax = plt.subplots()
    assert plot_sweep(STUDY.isel({"macro.adc.bits": 0}), x="macro.supply", ax=ax) is ax
    assert len(ax.lines) == 1


def test_refusals():
    with pytest.raises(ValueError, match="`x` must be an axis of numbers"):
        plot_sweep(STUDY, x="macro.clock")
    with pytest.raises(ValueError, match="at most one other axis"):
        plot_sweep(STUDY.expand_dims({"macro.rows": [8]}), x="macro.supply", hue="macro.adc.bits")
    with pytest.raises(ValueError, match="lacks energy"):
        plot_sweep(STUDY, "energy")
