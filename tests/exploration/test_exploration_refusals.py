"""What explorations refuse, each with the argument, its value and what is allowed."""

import dataclasses

import pytest
import xarray as xr
from explored import NETWORKS, SPACE, records, toy_data

import amsim
from amsim.exploration import TrainingBudget, answer, network_grid
from amsim.report.exploration import exploration_tables

DATA = toy_data()
KNOWN = {"data": DATA, "records": records(), "space": SPACE}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracy": 1.5}, "`accuracy` must be a number from 0 to 1, but is 1.5"),
        ({"accuracy": []}, "`accuracy` must be at least one accuracy"),
        ({"accuracy": [0.5, 0.5]}, "`accuracy` must have different accuracies"),
        ({"networks": []}, "`networks` must be a list of configurations"),
        ({"networks": [NETWORKS[0]] * 2}, "`networks` must not have a network twice, but has .* twice"),
        ({"records": None}, "`networks` must be given where there are no `records`"),
        ({"records": 3}, "`records` must be results of amsim.explore"),
        ({"records": records().drop_vars("steps")}, "a Dataset has no steps"),
        ({"records": records("other")}, "`records` must have records of the data toy, but a Dataset is of other"),
        ({"dies": 0}, "`dies` must be"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        amsim.explore(**{"accuracy": 0.5} | KNOWN | arguments)


def test_records_with_wrong_content():
    wrong = records()
    wrong["configuration"][0] = '{"kind": "pictures"}'
    with pytest.raises(ValueError, match="a network that cannot be made"):
        amsim.explore(0.5, **KNOWN | {"records": wrong})
    wrong = records()
    wrong["accuracy_mean"][0] = 2.0
    with pytest.raises(ValueError, match="accuracies from 0 to 1, but a Dataset has 2"):
        amsim.explore(0.5, **KNOWN | {"records": wrong})
    with pytest.raises(FileNotFoundError):
        amsim.explore(0.5, **KNOWN | {"records": "missing.nc"})


def test_an_accuracy_that_nothing_reaches_and_limits_that_contradict():
    with pytest.raises(ValueError, match=r"0.95 is not; the best there is within the limits is 0.9000, of dense-1x4"):
        amsim.explore([0.5, 0.95], **KNOWN)
    with pytest.raises(ValueError, match=r"`limits.rate` must leave a design point, but 1e\+12 inferences"):
        amsim.explore(0.5, **KNOWN | {"limits": amsim.Limits(rate=1e12, area=1.0)})
    limits = amsim.Limits(latency=1e-9, area=1e-6)
    with pytest.raises(ValueError, match=r"nothing keeps all: latency 1e-09 is kept by 0 of 64 .*; area 1e-06 is kept"):
        amsim.explore(0.5, **KNOWN, limits=limits)


def test_wrong_parts():
    with pytest.raises(ValueError, match="`latency` must be finite and at least"):
        amsim.Limits(latency=-1.0)
    with pytest.raises(ValueError, match=r"`families` must have switched-capacitor.*but has 'quantum'"):
        amsim.DesignSpace(families=("quantum",))
    with pytest.raises(ValueError, match="`copies` must be an integer of at least 1"):
        amsim.DesignSpace(copies=(0,))
    with pytest.raises(ValueError, match="`weight_memory` must be a list of at least one value"):
        amsim.DesignSpace(weight_memory=())
    with pytest.raises(ValueError, match="which is `weight_memory`"):
        amsim.DesignSpace(settings={"weight_memory.capacity": [1.0]})
    for path, what in (
        ("power.rate", "is `Limits.rate`"),
        ("spreads.0.count", "is `copies`"),
        ("spreads.count", "is `copies`"),
        ("macro.supply", "candidates choose"),
        ("macros.dense.comparator.noise", "candidates choose"),
    ):
        with pytest.raises(ValueError, match=f"`settings` must not have '{path}', which {what}"):
            amsim.DesignSpace(settings={path: [1.0]})
    for name in ("weight_memory", "activation_memory"):
        with pytest.raises(ValueError, match=f"`{name}` must have different values"):
            amsim.DesignSpace(**{name: (8192.0, 8192.0)})
    with pytest.raises(ValueError, match=r"`settings\['macro.columns'\]` must have different values"):
        amsim.DesignSpace(settings={"macro.columns": [16, 16]})
    with pytest.raises(ValueError, match=r"`settings\['macro.columns'\]` must have values that a family takes.*-1"):
        amsim.explore(0.5, **KNOWN | {"space": amsim.DesignSpace(settings={"macro.columns": [16, -1]})})
    with pytest.raises(ValueError, match="`settings` must have settings of a family"):
        amsim.explore(0.5, **KNOWN | {"space": amsim.DesignSpace(settings={"macro.colour": [1]})})
    with pytest.raises(ValueError, match="`reduction` must be an integer of at least 2"):
        TrainingBudget(10, reduction=1)


def test_wrong_grids():
    with pytest.raises(ValueError, match="`kind` must be one of images, sequences"):
        network_grid("videos", {})
    with pytest.raises(ValueError, match=r"`settings` must be one of .*'width'"):
        network_grid("images", {"widht": [1]})
    with pytest.raises(ValueError, match="list of values for 'width'"):
        network_grid("images", {"width": []})
    assert network_grid("images", {"depth": [[2, 2, 1]]}, width=4)[0].depth == (2, 2, 1)
    sequence = dataclasses.replace(NETWORKS[0])
    object.__setattr__(sequence, "input_shape", [4, 3])  # past the check of types, which users do not have
    with pytest.raises(ValueError, match=r"`networks` must have configurations of numbers, words and tuples"):
        amsim.explore(0.5, [sequence], **KNOWN)


def test_other_results_have_no_answer():
    with pytest.raises(ValueError, match=r"`result` must have variables .* but lacks .*best_dot"):
        answer(records())
    found = amsim.explore(0.5, **KNOWN)
    with pytest.raises(ValueError, match=r"`result` must have variables .* but lacks setting"):
        answer(found.drop_vars("setting"))
    wrong = found.assign(best_dot=found["best_dot"] + 100)
    for words in (answer, exploration_tables, amsim.plot.plot_exploration):
        with pytest.raises(ValueError, match="`result` must have best_dot from -1 to 17"):
            words(wrong)
    with pytest.raises(ValueError, match=r"`result` must have why over \('accuracy_target', 'family'\), but"):
        answer(found.assign(why=found["why"].isel(family=0)))


def test_other_results_have_no_picture():
    with pytest.raises(ValueError, match=r"Argument `result` must have variables energy"):
        amsim.plot.plot_exploration(xr.Dataset())
