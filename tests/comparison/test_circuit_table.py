"""The three families side by side, against their macros and their published ratios."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

import amsim
from amsim import chips, plot, workloads
from amsim.chips.designs import FAMILIES
from amsim.comparison import mac_table
from amsim.comparison.mac_table import FLEXIBILITY
from amsim.comparison.quantities import LABELS
from amsim.results.labelled import labelled
from amsim.results.quantities import QUANTITIES

BITS = (16, 8, 4, 2, 1)
SMALL = workloads.Workload("small", (workloads.convolution("conv", 8, 8, 64, 64, 2, padding="VALID"),))


@pytest.fixture(scope="module")
def table():
    # Fifteen designs of one evaluation each: to compile them takes longer than to run them.
    with jax.disable_jit():
        return amsim.circuit_table()


@pytest.mark.slow  # the fixture finds the cost of fifteen designs
def test_table_is_labelled(table):
    assert dict(table.sizes) == {"family": 3, "bits": 5}
    assert list(table["family"].values) == list(FAMILIES)
    assert tuple(table["bits"].values) == BITS
    for name in [*table.data_vars, *table.coords]:
        assert (table[name].attrs["units"], table[name].attrs["long_name"]) == (QUANTITIES | LABELS)[name]
    assert set(FLEXIBILITY) == set(FAMILIES)
    assert "operations" in table.attrs["traps"].lower()
    assert np.isnan(table["accuracy_mean"]).all()


@pytest.mark.slow  # the fixture finds the cost of fifteen designs
def test_one_bit_is_the_published_chips(table):
    row = table.sel(bits=1)
    system = row["operation_energy"].sel(family="switched-capacitor")
    network = workloads.binary_image_network(256)
    cost = chips.bankman2018().cost(network)
    assert float(system) * 2 * network.macs == pytest.approx(float(cost["energy"].sum()), rel=1e-6, abs=0)
    ratio = row["array_energy"].sel(family="digital-binary") / row["array_energy"].sel(family="switched-capacitor")
    assert float(ratio) == pytest.approx(12.9, rel=0.05)
    assert float(row["operation_energy"].sel(family="digital-binary") / system) == pytest.approx(4, rel=0.3)


@pytest.mark.slow  # the fixture finds the cost of fifteen designs
def test_energy_and_area_rise_with_the_word_length(table):
    rising = table.sortby("bits")
    for name in ("array_energy", "operation_energy"):
        assert (rising[name].diff("bits") > 0).all(), name
    # Bit slices beside each other and one after another: the square of the word length.
    binary = rising["array_energy"].sel(family="digital-binary")
    np.testing.assert_allclose(binary / binary[0], rising["bits"].values.astype(float) ** 2, rtol=1e-5)
    assert (rising["array_area"].diff("bits") >= 0).all()
    # The system costs more than its array.
    assert (table["operation_energy"] > table["array_energy"]).all()


@pytest.mark.slow  # the fixture finds the cost of fifteen designs
def test_what_the_documentation_says_of_the_systems(table):
    energy = table["operation_energy"]
    for family in ("switched-capacitor", "digital-binary"):
        assert float(energy.sel(family=family, bits=2) / energy.sel(family=family, bits=1)) > 10
    for bits in (4, 8):
        assert float(energy.sel(bits=bits).max() / energy.sel(bits=bits).min()) < 2


@pytest.mark.slow  # the fixture finds the cost of fifteen designs
def test_multi_precision_follows_its_modes(table):
    energy = table["array_energy"].sel(family="multi-precision")
    assert float(energy.sel(bits=16)) == pytest.approx(6.7e-12 / 2, rel=1e-5, abs=0)
    assert float(energy.sel(bits=16) / energy.sel(bits=4)) == pytest.approx((1.03 / 0.65) ** 2 * 3.2 * 4, rel=1e-5)


def test_accuracy_on_dies(monkeypatch):
    asked = []

    def few(designs, *, dies, progress):
        asked.append((designs, dies))
        columns = {
            name: (("design",), np.linspace(0.5, 0.9, len(designs)))
            for name in ("accuracy_mean", "accuracy_low", "accuracy_high")
        }
        return labelled(columns, {"design": designs}, {})

    monkeypatch.setattr(mac_table, "compare", few)
    table = amsim.circuit_table((16, 1), workload=SMALL, dies=2)
    assert asked == [(["switched-capacitor-1b", "digital-binary-1b", "multi-precision-1b"], 2)]
    assert np.isnan(table["accuracy_mean"].sel(bits=16)).all()
    np.testing.assert_allclose(table["accuracy_mean"].sel(bits=1), [0.5, 0.7, 0.9])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"bits": ()}, "`bits`"),
        ({"bits": (0,)}, "`bits`"),
        ({"bits": (17,)}, "`bits`"),
        ({"bits": [2.5]}, "`bits`"),
        ({"bits": 8}, "`bits`"),
        ({"dies": -1}, "`dies`"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        amsim.circuit_table(**{"workload": SMALL} | arguments)


@pytest.mark.slow  # the fixture finds the cost of fifteen designs
def test_picture_of_the_table(table):
    ax = plot.plot_circuit_table(table)
    assert len(ax.get_lines()) == 6
    for line, family in zip(ax.get_lines()[::2], table["family"].values, strict=True):
        want = table["operation_energy"].sel(family=family).sortby("bits")
        np.testing.assert_array_equal(line.get_ydata(), want)
    assert ax.get_xlabel() == "word length of weights and inputs (bit)"
    plt.close(ax.figure)
    with pytest.raises(ValueError, match="lacks array_energy"):
        plot.plot_circuit_table(table.drop_vars("array_energy"))


def test_picture_of_the_validation():
    from amsim.validation.rung import Rung

    def rung(name, value, kind="predicted", held_out=False):
        return Rung(name, "published chip", "J", lambda: value, 1.0, 0.3, kind, "a paper", held_out=held_out)

    report = amsim.validate(
        [rung("met", 1.1, "calibrated on this number"), rung("open", 0.9), rung("missed", 3.0, held_out=True)]
    )
    ax = plot.plot_validation(report)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["met", "open", "missed"]
    crosses = [line for line in ax.get_lines() if line.get_marker() == "x" and len(line.get_xdata())]
    assert [float(line.get_xdata()[0]) for line in crosses] == [3.0]
    faces = {line.get_markerfacecolor() for line in ax.get_lines() if line.get_marker() == "s"}
    assert faces == {"white"}
    plt.close(ax.figure)
    with pytest.raises(ValueError, match="`level` must have rungs"):
        plot.plot_validation(report, level="closed form")
