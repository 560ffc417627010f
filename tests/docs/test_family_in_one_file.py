"""The class of the how-to, saved as a file of a user, in every tool that takes a circuit."""

import dataclasses
import importlib
import math
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import amsim
from amsim import workloads, zigzag
from amsim.command_line.application import app
from amsim.comparison import procedure
from amsim.datasets import Split
from amsim.files import part_classes
from amsim.studies.study_file.study import read_study
from amsim.system import minimum_energy_supply, scaled_to_supply

PAGE = Path(__file__).parents[2] / "docs" / "how_tos" / "02_circuit_of_your_own.md"
STUDY = """
[study]
network = "tiny.onnx"
data = "tiny.npz"
dies = 2
[hardware]
macro = "CurrentMode"
rows = 4
columns = 8
weight_bits = 3
input_bits = 2
[axes]
"macro.read_noise" = [0.0, 5e-2]
"macro.supply" = [0.6, 0.8]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of a user with `current_mode.py` alone, which no search path has; nothing is registered yet."""
    (tmp_path / "current_mode.py").write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(part_classes, "_REGISTERED", {})
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "current_mode", raising=False)
    yield tmp_path
    sys.modules.pop("current_mode", None)


@pytest.fixture
def family(folder, monkeypatch):
    """The class, imported as a script beside it does."""
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("current_mode").CurrentMode


def network(params, inputs):
    return jnp.asarray(inputs, float) @ params["dense"]


def operands(rows, columns, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(6, rows)).astype(np.float32), generator.normal(size=(rows, columns)).astype(
        np.float32
    )


def test_the_page_shows_the_class_in_one_screen():
    lines = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1].splitlines()
    assert 60 <= len(lines) <= 80


@pytest.mark.parametrize(("bits", "input_bits"), [(1, 1), (3, 2), (4, 4)])
def test_product_against_a_plain_loop(family, bits, input_bits):
    """Digits, tiles and shared columns by hand, in double precision: an error of each cell, in whatever layer it is."""
    macro = family(rows=8, columns=5, weight_bits=bits, input_bits=input_bits, cell_sigma=0.2)
    inputs, weights = operands(20, 3)
    die = macro.fabricate(jax.random.key(4))
    coded = macro.coded(amsim.circuits.Operands.dense(inputs, weights))
    cells = 1 + 0.2 * np.asarray(die, float)
    x, w = np.asarray(coded.x, float), np.asarray(coded.w, float)
    x_low, w_low = coded.x_code.lowest, coded.w_code.lowest
    want = np.zeros((6, 3))
    for sample in range(6):
        for column in range(3):
            total = 0.0
            for row in range(20):
                if bits == 1:
                    exact = x[sample, row] * w[row, column]
                    total += exact * cells[row % 8, column % 5]
                    continue
                # Two's complement as digits -1 and +1: (word - lowest) in binary, and halves of their sum.
                x_digits = [2 * (int(x[sample, row] - x_low) >> b & 1) - 1 for b in range(input_bits)]
                w_digits = [2 * (int(w[row, column] - w_low) >> b & 1) - 1 for b in range(bits)]
                for b, one in enumerate(x_digits):
                    for j, other in enumerate(w_digits):
                        total += 2 ** (b + j) * one * other * cells[row % 8, (column * bits + j) % 5] / 4
                # The halves by which digits miss their words, exact beside the array.
                total += x[sample, row] * w[row, column] - (x[sample, row] + 0.5) * (w[row, column] + 0.5)
            want[sample, column] = total
    scale = np.asarray(coded.x_code.scale * coded.w_code.scale.reshape(1, -1))
    np.testing.assert_allclose(macro.matmul(inputs, weights, die=die), want * scale, rtol=2e-5, atol=2e-5)
    exact = macro.ideal().matmul(inputs, weights, die=die, key=jax.random.key(1))
    np.testing.assert_allclose(exact, x @ w * scale, rtol=1e-5, atol=1e-5)


def test_noise_budget_is_the_error_of_reads(family):
    macro = family(rows=64, columns=16, read_noise=4e-3, cell_sigma=0.1)
    budget = amsim.noise_budget(macro)
    assert budget["source"].values.tolist() == ["cell mismatch", "read noise"]
    generator = np.random.default_rng(3)
    inputs, weights = generator.choice([-1.0, 1.0], (200, 64)), generator.choice([-1.0, 1.0], (64, 16))
    errors = [
        macro.matmul(inputs, weights, die=macro.fabricate(jax.random.key(n)), key=jax.random.key(90 + n))
        - inputs @ weights
        for n in range(20)
    ]
    assert np.mean(np.square(errors)) == pytest.approx(float(budget["error_sigma"]) ** 2, rel=0.1)


def test_cost_area_and_gradients(family):
    macro = family(rows=32, columns=16, weight_bits=2, input_bits=3)
    inputs, weights = operands(70, 10)
    params = {"dense": weights}
    chip = amsim.deploy(network, params, macro, key=jax.random.key(0))
    (row,) = chip.sites(inputs)
    assert (row.macro, row.tiles, row.weight_bits, row.input_bits) == ("CurrentMode", 3, 2, 3)
    cost = chip.cost(inputs)
    # 10 columns of 2 digits, 3 tiles, 3 input bits; 20 slices take two passes of 16 columns.
    energy = 20 * 3 * 3 * (70 / 3) * 2e-15 * 0.8**2
    assert float(cost["energy"].sel(component="mac").sum()) > energy  # and the adders of partial sums
    assert float(macro.area) == pytest.approx(32 * 16 * 2e-12)
    work = chip.workload(inputs).layers[0].work
    own = macro.cost(work, {})
    assert float(own.energy) == pytest.approx(energy, rel=1e-5, abs=0)
    assert float(own.compute_cycles) == 3 * 3 * 2

    def error(macro, weights):
        read = amsim.deploy(network, {"dense": weights}, macro, key=jax.random.key(0))(inputs, key=jax.random.key(1))
        return jnp.mean((read - inputs @ weights) ** 2)

    slope = jax.grad(error)(macro, weights)
    for name in ("cell_sigma", "read_noise", "supply"):
        value, step = float(getattr(macro, name)), 1e-3
        ends = [
            float(error(dataclasses.replace(macro, **{name: value * (1 + sign * step)}), weights)) for sign in (1, -1)
        ]
        assert float(getattr(slope, name)) == pytest.approx((ends[0] - ends[1]) / (2 * step * value), rel=0.02), name
    by_weights = jax.grad(error, argnums=1)(macro, weights)
    assert np.all(np.isfinite(by_weights))
    assert np.any(by_weights != 0)
    spent = jax.grad(lambda one: amsim.deploy(network, params, one).energy(inputs))(macro)
    assert float(spent.cell_capacitance) > 0


def test_tools_take_its_sources_from_the_class(family):
    macro = family(rows=16, columns=8, cell_sigma=0.5, read_noise=50e-3)
    inputs, weights = operands(16, 3)
    params = {"dense": weights}
    data = Split(inputs, np.argmax(inputs @ weights, axis=1).astype(np.int32))
    sources = ["cell mismatch", "read noise"]
    found = amsim.sensitivity(network, params, macro, data, key=jax.random.key(6), dies=2)
    assert found["source"].values.tolist() == sources
    assert np.all(found["loss_increase"] != 0)
    study = amsim.study(network, params, macro, data)
    switched = amsim.switched_sources(study, key=jax.random.key(7), dies=2)
    assert switched["source"].values.tolist() == sources
    half = macro.with_error_scale(jnp.asarray(0.5))
    assert (float(half.cell_sigma), float(half.read_noise)) == pytest.approx((0.25, 0.025))


def test_supply_search_and_zigzag(family, tmp_path):
    macro, layers = family(), workloads.binary_image_network(filters=64)
    best = minimum_energy_supply(scaled_to_supply(amsim.Accelerator(macro)), layers, points=5)
    assert 0.5 <= best.attrs["minimum_supply"] <= 1.1
    (export,) = zigzag.write(layers, macro, tmp_path / "zigzag")
    assert "CurrentMode" in str(export.accelerator)


def test_table_of_circuits(family):
    macro = family()
    table = amsim.circuit_table([4, 1], families=["CurrentMode", "digital-binary"])
    assert table["family"].values.tolist() == ["CurrentMode", "digital-binary"]
    energy = table["array_energy"].sel(family="CurrentMode")
    per_read = float(macro.cell_capacitance * macro.supply**2)
    np.testing.assert_allclose(energy, [16 * per_read / 2, per_read / 2], rtol=1e-5)
    assert (
        str(table["flexibility"][0].values)
        == "Array that sums currents on bit lines, with an error of each cell and noise of each read."
    )
    assert np.all(table["area"] > 0)
    with pytest.raises(ValueError, match=r"`families` must have names among .*\(.*: CurrentMode\), but has 'Optical'"):
        amsim.circuit_table([1], families=["Optical"])


def test_saved_chips_know_registered_classes_only(family, folder, monkeypatch):
    inputs, weights = operands(20, 3)
    chip = amsim.deploy(network, {"dense": weights}, family(rows=8, columns=4), key=jax.random.key(0))
    chip.save(folder / "chip.npz")
    again = amsim.load_chip(folder / "chip.npz", network)
    assert type(again.accelerator.macros[0]) is family
    np.testing.assert_array_equal(again(inputs, key=jax.random.key(1)), chip(inputs, key=jax.random.key(1)))
    # Elsewhere the file makes amsim import nothing, though the module could be found.
    monkeypatch.setattr(part_classes, "_REGISTERED", {})
    monkeypatch.delitem(sys.modules, "current_mode")
    with pytest.raises(ValueError, match=r"unknown class 'CurrentMode'.*\(`amsim.circuits.register`\): none"):
        amsim.load_chip(folder / "chip.npz", network)
    assert "current_mode" not in sys.modules
    with pytest.raises(ValueError, match=r"accelerator.macros\[0\] is of current_mode.CurrentMode; registered: none"):
        chip.save(folder / "other.npz")


def test_study_file_names_it(family, tiny_network, folder, monkeypatch):
    (tiny_network / "current.toml").write_text(STUDY)
    result = read_study(tiny_network / "current.toml").run()
    assert dict(result.sizes) | {"macro.read_noise": 2, "macro.supply": 2, "die": 2} == dict(result.sizes)
    assert result["macro.read_noise"].attrs["units"] == "V"
    accuracy = result["accuracy"].mean(["die", "read"]).sel({"macro.supply": 0.8})
    assert float(accuracy[1]) < float(accuracy[0])
    monkeypatch.setattr(part_classes, "_REGISTERED", {})
    with pytest.raises(ValueError, match=r"\[hardware\] macro must be one of .*, but is 'CurrentMode'"):
        read_study(tiny_network / "current.toml")


def test_command_of_a_study_imports_it(tiny_network, folder):
    (tiny_network / "current.toml").write_text(STUDY)
    options = ["sweep", str(tiny_network / "current.toml"), "--out", str(folder), "--dies", "1"]
    ended = CliRunner().invoke(app, [*options, "--family", "current_mode:CurrentMode"])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    assert (folder / "current.nc").exists()


@pytest.mark.parametrize(
    ("named", "text"),
    [
        ("current_mode", "must have classes as my_module:MyMacro"),
        ("nowhere:CurrentMode", "cannot be imported: No module named 'nowhere'"),
        ("current_mode:Other", "cannot be imported"),
        ("current_mode:Quantity", "must be a class of `equinox.Module`"),
    ],
)
def test_a_class_that_is_not_there_is_named(tiny_network, folder, named, text):
    ended = CliRunner().invoke(app, ["sweep", "no.toml", "--family", named])
    assert isinstance(ended.exception, ValueError)
    assert text in str(ended.exception)


def test_command_compares_it(folder, monkeypatch):
    whole = amsim.load_dataset()
    few = dataclasses.replace(whole, test=whole.test[:20], train=whole.train[:20])
    monkeypatch.setattr("amsim.datasets.given_data.load_dataset", lambda name: few)
    monkeypatch.setattr(procedure, "SUPPLIES", (0.6, 0.8))
    designs = "current_mode:CurrentMode,digital-binary-1b"
    ended = CliRunner().invoke(app, ["compare", "--dies", "2", "--designs", designs, "--out", str(folder)])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    assert "CurrentMode-1b" in ended.output
    with xr.open_dataset(folder / "compare.nc", engine="h5netcdf") as found:
        assert found["design"].values.tolist() == ["CurrentMode-1b", "digital-binary-1b"]
        own = found.sel(design="CurrentMode-1b")
        assert str(own["chosen_setting"].values) in ("0.6 V", "0.8 V")
        for name in ("energy", "latency", "area"):
            assert float(own[name].sum()) > 0
        assert math.isfinite(float(own["accuracy_mean"]))


def test_entry_points_are_loaded_when_they_are_named(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    package = folder / "my_circuits-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: my-circuits\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[amsim.families]\nCurrentMode = current_mode:CurrentMode\nGone = current_mode:Gone\n"
    )
    assert part_classes.registered_names() == "CurrentMode, Gone"
    assert "current_mode" not in sys.modules
    assert amsim.design("CurrentMode-4b").accelerator().macros[0].weight_bits == 4
    with pytest.raises(ValueError, match=r"Entry point 'current_mode:Gone' of group amsim.families cannot be loaded"):
        part_classes.named_class("Gone")


def test_names_are_of_one_class(family):
    class SwitchedCapacitor(family):
        """A name that amsim has."""

    class CurrentMode(family):
        """A name that another one has."""

    with pytest.raises(ValueError, match=r"must have a name of its own, but amsim.circuits.switched_capacitor"):
        amsim.circuits.register(SwitchedCapacitor)
    with pytest.raises(ValueError, match=r"must have a name of its own, but current_mode.CurrentMode is registered"):
        amsim.circuits.register(CurrentMode)
    with pytest.raises(ValueError, match=r"must be a class of `equinox.Module`"):
        amsim.circuits.register(int)
    assert amsim.circuits.register(family) is family
    for wrong in ("CurrentMode-3b", "Optical-1b"):
        with pytest.raises(ValueError, match=r"registered \(`amsim.circuits.register`: CurrentMode\)"):
            amsim.design(wrong)
