import inspect

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawings import annotations, large_enough, legend, line

from amsim import chips, plot, workloads
from amsim.plot import style
from amsim.results.labelled import labelled
from amsim.system.quantities import LABELS

pytestmark = pytest.mark.usefixtures("only_drawn")

MEMORIES = ["weight_memory", "activation_memory", "global_memory", "dram"]
COMPONENTS = ["mac", "weight_memory", "dram", "leakage"]


def make_cost():
    """Three working sites, the second on another macro, and idle time; peaks 1e9 and 2e8 a second."""
    site = ("site",)
    per_memory = ("site", "memory")
    read = np.array([[1e4, 2e4, 0, 0], [1e4, 1e3, 0, 0], [0, 3e4, 0, 5e3], [0, 0, 0, 0]])
    variables = {
        "macs": (site, [1_000_000, 50_000, 250_000, 0]),
        "latency": (site, [2e-3, 1e-3, 5e-4, 1e-2]),
        "cycles": (site, [2e4, 1e4, 4e3, 0.0]),
        "stalls": (site, [5e3, 0.0, 1e3, 0.0]),
        "clock": (site, [1e7, 1e7, 1e7, 0.0]),
        "peak_macs": (site, [100.0, 20.0, 100.0, 0.0]),
        "utilisation": (site, [0.5, 0.25, 0.5, 0.0]),
        "bits_read": (per_memory, read),
        "bits_written": (per_memory, np.array([[0, 1e4, 0, 0], [0, 1e3, 0, 0], [0, 1e4, 0, 5e3], [0, 0, 0, 0]])),
        "bandwidth": (per_memory, np.array([[1e8, 1e7, np.inf, 1e6]] * 3 + [[0.0] * 4])),
    }
    return labelled(variables, {"site": ["a", "b", "c", "(idle)"], "memory": MEMORIES}, {}, labels=LABELS)


def make_sweep(values=(0.5, 0.6, 0.7, 0.8), name="supply", **attributes):
    values = np.asarray(values, float)
    x = np.linspace(0, 1, len(values))
    energy = np.stack([1 + 3 * x**2, 0.5 + 0 * x, 0 * x, 2 * np.exp(-3 * x)], axis=1) * 1e-6
    coordinates = {name: values, "component": COMPONENTS}
    labels = {"capacity": ("bit", "memory capacity")}
    return labelled({"energy": ((name, "component"), energy)}, coordinates, attributes, labels=labels)


def grey(colour):
    return float(np.dot(mpl.colors.to_rgb(colour), [0.299, 0.587, 0.114]))


def test_roofline_shows_sites_under_their_roofs():
    data = make_cost()
    ax = plot.plot_roofline(data, memory="activation_memory")
    assert ax.get_xscale() == ax.get_yscale() == "log"
    at = line(ax, "site").get_xydata()
    np.testing.assert_allclose(at, [[1e6 / 3e4, 5e8], [5e4 / 2e3, 5e7], [2.5e5 / 4e4, 5e8]])
    roofs = [one for one in ax.lines if str(one.get_label()).startswith("peak")]
    texts = ["peak 1 GMAC/s, activation memory 10 Mbit/s", "peak 200 MMAC/s, activation memory 10 Mbit/s"]
    assert [one.get_label() for one in roofs] == texts
    for roof, peak in zip(roofs, (1e9, 2e8), strict=True):
        x, y = roof.get_xydata().T
        np.testing.assert_allclose(y, np.minimum(peak, 1e7 * x))
        assert y.max() == peak
        assert y.min() < peak / 2, "the slope is in the picture"
    assert len({roof.get_linestyle() for roof in roofs}) == 2
    assert sorted(text.get_text() for text in annotations(ax)) == ["a", "b", "c"]
    assert ax.get_xlabel() == "multiply-accumulates per bit of the activation memory"
    assert ax.get_ylabel() == "multiply-accumulates per second"
    assert large_enough(ax)


def test_roofline_takes_the_memory_that_needs_most_time():
    # By hand: weights 2e-4 s, activations 7.2e-3 s, DRAM 1e-2 s.
    ax = plot.plot_roofline(make_cost())
    assert ax.get_xlabel().endswith("of the DRAM")
    np.testing.assert_allclose(line(ax, "site").get_xydata(), [[2.5e5 / 1e4, 5e8]])
    assert "no bits of it moved: a, b" in legend(ax)


def test_a_memory_without_bandwidth_has_no_slope():
    data = make_cost()
    data["bandwidth"] = data["bandwidth"].where(data["memory"] != "dram", np.inf)
    ax = plot.plot_roofline(data, memory="dram")
    assert "peak 1 GMAC/s" in legend(ax)
    assert set(line(ax, "peak 1 GMAC/s").get_ydata()) == {1e9}


def test_sites_in_one_place_share_a_label():
    data = make_cost().isel(site=[0, 0, 1])
    data["site"] = ["first", "second", "third"]
    ax = plot.plot_roofline(data, memory="activation_memory")
    assert [text.get_text() for text in annotations(ax)] == ["first, second", "third"]


@pytest.mark.parametrize("chip", [chips.bankman2018(), chips.envision2017(4), chips.envision2017(16)])
def test_no_site_of_a_model_is_above_its_roof(chip):
    cost = chip.cost(workloads.quantised_image_network())
    # The peak of a site also follows from what the cells are used for.
    used = (cost["macs"] / (cost["utilisation"] * cost["latency"])).values
    np.testing.assert_allclose((cost["peak_macs"] * cost["clock"]).values, used, rtol=1e-5)
    speed = (cost["macs"] / cost["latency"]).values
    for memory in ("weight_memory", "activation_memory"):
        level = cost.sel(memory=memory)
        bits = (level["bits_read"] + level["bits_written"]).values
        intensity = np.divide(cost["macs"].values, bits, where=bits > 0, out=np.full(bits.shape, np.inf))
        assert np.all(speed <= np.minimum(used, intensity * level["bandwidth"].values) * (1 + 1e-5))


def test_utilisation_adds_up_to_the_whole():
    data = make_cost()
    ax = plot.plot_utilisation(data)
    widths = np.array([[bar.get_width() for bar in container] for container in ax.containers])
    expected = [
        [50.0, 25.0, 50.0],  # computing
        [25.0, 75.0, 10.0],  # not used, what is left
        [25.0, 0.0, 20.0],  # stalls: 5e3 and 1e3 cycles of 0.1 us
        [0.0, 0.0, 20.0],  # 5e-4 s less 4e3 cycles
    ]
    np.testing.assert_allclose(widths, expected, atol=1e-9)
    assert legend(ax) == ["cells compute", "cells idle", "stalls", "slow readout"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in annotations(ax)] == ["2 ms", "1 ms", "500 µs"]
    assert large_enough(ax)


def test_parts_of_a_model_fill_its_bars():
    cost = chips.bankman2018().cost(workloads.binary_image_network(64))
    ax = plot.plot_utilisation(cost)
    widths = np.array([[bar.get_width() for bar in container] for container in ax.containers])
    np.testing.assert_allclose(widths.sum(axis=0), 100, rtol=1e-4)
    assert "slow readout" not in legend(ax)


def test_energy_sweep_stacks_components_and_marks_the_least():
    data = make_sweep()
    ax = plot.plot_energy_sweep(data, "supply")
    energy = data["energy"].values[:, [0, 1, 3]]  # DRAM is 0 everywhere
    top = np.cumsum(energy, axis=1)
    assert len(ax.collections) == 3
    for area, upper, own in zip(ax.collections, top.T, energy.T, strict=True):
        edge = area.get_paths()[0].vertices
        assert edge[:, 1].max() == pytest.approx(upper.max())
        assert edge[:, 1].min() == pytest.approx((upper - own).min(), abs=1e-15)
    total = energy.sum(axis=1)
    least = int(np.argmin(total))
    mark = next(one for one in ax.lines if str(one.get_label()).startswith("minimum"))
    np.testing.assert_allclose(mark.get_xydata(), [[data["supply"].values[least], total[least]]])
    assert mark.get_label() == "minimum: 2.57 µJ at 600 mV"
    assert legend(ax)[:3] == ["MAC array", "weight memory", "leakage"]
    assert ax.get_xlabel() == "supply (V)"
    assert ax.get_ylabel() == "energy per inference (J)"
    assert ax.get_xscale() == "linear"
    assert large_enough(ax)


def test_a_refined_minimum_is_the_one_marked():
    data = make_sweep(minimum_supply=0.63, minimum_energy=2.5e-6)
    ax = plot.plot_energy_sweep(data, "supply")
    assert "minimum: 2.5 µJ at 630 mV" in legend(ax)
    other = plot.plot_energy_sweep(make_sweep((1e5, 1e6, 1e7), "capacity", minimum_supply=0.63), "capacity")
    assert any(text.endswith("at 1 Mbit") for text in legend(other))


def test_energy_sweep_as_lines():
    data = make_sweep((1e5, 1e6, 1e7, 1e8), "capacity")
    ax = plot.plot_energy_sweep(data, "capacity", stacked=False)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    energy = data["energy"]
    np.testing.assert_allclose(line(ax, "leakage").get_ydata(), energy.sel(component="leakage").values)
    np.testing.assert_allclose(line(ax, "total").get_ydata(), energy.sum("component").values)
    names = ("MAC array", "weight memory", "leakage")
    assert len({line(ax, name).get_marker() for name in names}) == 3


def test_every_component_looks_different_in_grey():
    looks = [(hatch, grey(colour)) for colour, hatch in style.COMPONENT_STYLES]
    for index, (hatch, shade) in enumerate(looks):
        assert all(hatch != other or abs(shade - tone) > 0.25 for other, tone in looks[:index])


PLOTS = [
    (plot.plot_roofline, make_cost, ()),
    (plot.plot_utilisation, make_cost, ()),
    (plot.plot_energy_sweep, make_sweep, ("supply",)),
]


@pytest.mark.parametrize(("function", "make", "more"), PLOTS)
def test_a_plot_draws_where_it_is_told(function, make, more):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    assert function(make(), *more, ax=left) is left
    assert plt.get_fignums() == [figure.number]
    assert not right.has_data()
    assert function(make(), *more).figure is not figure


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f.plot_roofline(None), "`cost` must be an xarray.Dataset, but is of type NoneType"),
        (lambda f: f.plot_roofline(make_cost().drop_vars("clock")), "`cost` must have variables .* but lacks clock"),
        (lambda f: f.plot_roofline(make_cost(), memory="cache"), "must be one of weight_memory.*, but is 'cache'"),
        (lambda f: f.plot_roofline(make_cost(), memory="global_memory"), "but is 'global_memory', of which none do"),
        (lambda f: f.plot_utilisation(make_cost().isel(site=[])), "must not be empty, but has no site"),
        (lambda f: f.plot_utilisation(make_cost().isel(site=[3])), "must have a site that takes time"),
        (lambda f: f.plot_energy_sweep(make_sweep(), "capacity"), "must have dims capacity, component, but lacks"),
        (lambda f: f.plot_energy_sweep(make_sweep((0.5,)), "supply"), "two or more rising numbers along 'supply'"),
        (lambda f: f.plot_energy_sweep(make_sweep((0.5, 0.4)), "supply"), "two or more rising numbers"),
        (lambda f: f.plot_energy_sweep(-1 * make_sweep(), "supply"), "finite energies of at least 0"),
    ],
)
def test_data_that_cannot_be_drawn(call, message):
    class Unchecked:
        """The functions as users without run-time type checks call them."""

        def __getattr__(self, name):
            return inspect.unwrap(getattr(plot, name))

    with pytest.raises(ValueError, match=message):
        call(Unchecked())
    assert plt.get_fignums() == []
