"""`amsim sweep` and `amsim show` on the command line, with a study that is as small as it can be."""

import functools
import json
import os
import shutil
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from amsim.characterisation.quantities import LABELS
from amsim.command_line.application import app
from amsim.command_line.interruption import how_to_go_on
from amsim.report import tables as result_tables
from amsim.report.picture import result_picture
from amsim.report.result_file import open_result
from amsim.results.labelled import labelled
from amsim.studies import front_door
from amsim.studies import program as programs
from amsim.studies.study_file.study import read_study

STUDY = """
[study]
network = "tiny.onnx"
data = "tiny.npz"
dies = 3
quantities = ["accuracy"]
[hardware]
macro = "SwitchedCapacitor"
rows = 16
columns = 4
comparator = { trim = "none" }
[axes]
macro.comparator.noise = [1e-3, 40e-3]
"""


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def run(*arguments, status=0, environment=None):
    ended = CliRunner().invoke(app, [str(one) for one in arguments], env=environment)
    if status is not None:
        assert ended.exit_code == status, (ended.output, ended.exception)
    return ended


@pytest.fixture(scope="module")
def study(tiny_network):
    path = tiny_network / "noise.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def ended(study, tmp_path_factory):
    """A study that has run, its folder and what it printed."""
    out = tmp_path_factory.mktemp("out")
    printed = run("sweep", study, "--out", out, "--store", out / "noise.zarr", "--dies", 2, "--images", 16).output
    return out, printed


def test_sweep_writes_result_picture_and_table(ended):
    out, printed = ended
    assert sorted(one.name for one in out.iterdir()) == ["noise.nc", "noise.png", "noise.zarr"]
    with xr.open_dataset(out / "noise.nc", engine="h5netcdf") as result:
        assert dict(result.sizes) == {"macro.comparator.noise": 2, "die": 2, "read": 1}
        means = 100 * result["accuracy"].mean(["die", "read"]).values
        assert json.loads(result.attrs["study"])["items"] == 16
    assert (out / "noise.png").read_bytes().startswith(b"\x89PNG")
    rows = [line.split() for line in printed.splitlines()]
    assert [row[2] for row in rows if row[1:2] == ["mV"]] == [f"{mean:.2f}" for mean in means]


def test_sweep_goes_on_from_its_store_and_prints_json(ended, study, tmp_path):
    out, _ = ended
    size = ("--dies", 2, "--images", 16, "--store", out / "noise.zarr")
    printed = json.loads(run("sweep", study, *size, "--out", tmp_path / "other.nc", "--json").stdout)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.nc", "other.png"]
    with xr.open_dataset(out / "noise.nc", engine="h5netcdf") as result:
        assert printed["variables"]["accuracy"]["values"] == result["accuracy"].values.tolist()
    refused = run("sweep", study, *size, "--dies", 3, "--out", tmp_path, status=1)
    assert "holds another one: " in str(refused.exception)


def test_a_store_has_the_text_of_its_study(ended, study, tmp_path, monkeypatch):
    assert xr.open_zarr(ended[0] / "noise.zarr").attrs["study_file"] == STUDY
    store, call, calls = tmp_path / "new.zarr", programs.Program.call, []

    def interrupt(self, number):
        calls.append(number)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return call(self, number)

    def ran(text):
        path = study.with_name("remarked.toml")
        path.write_text(text)
        return read_study(path, dies=2, images=16).run(store=store)

    monkeypatch.setattr(programs, "CACHE_BYTES", 1)
    monkeypatch.setattr(programs.Program, "call", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ran(STUDY)
    assert xr.open_zarr(store).attrs["study_file"] == STUDY
    later, again = f"# After a kill.\n{STUDY}", f"{STUDY}# Once more.\n"
    assert ran(later).attrs["study_file"] == later
    assert ran(again).attrs["study_file"] == again
    assert xr.open_zarr(store).attrs["study_file"] == later
    assert len(calls) == len(set(calls)) + 1


def test_an_interrupted_sweep_leaves_its_store_and_nothing_else(study, tmp_path, monkeypatch):
    def interrupt(self, number):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(programs.Program, "call", interrupt)
        size = ("--dies", 1, "--images", 16, "--out", tmp_path)
        run("sweep", study, *size, "--store", tmp_path / "new.zarr", status=130)
        run("sweep", study, *size, status=130)
    assert "the store keeps what is done" in how_to_go_on(["sweep", "a.toml", "--store=new.zarr"])
    assert "with --store it could resume" in how_to_go_on(["sweep", "a.toml"])
    assert "--store" not in how_to_go_on(["train", "binary-fashion"])
    assert [one.name for one in tmp_path.iterdir()] == ["new.zarr"]
    shown = run("show", tmp_path / "new.zarr").output
    assert "complete: 0 of 2 items (0 %)" in shown
    assert "0 points; 2 have no result yet" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.toml",), "No such file"),
        (("--workers", 1, "--scheduler", "tcp://here:1"), "exclude each other"),
        (("--images", 25), "`--images` must be at most 24"),
        (("--dies", 0), "`--dies` must be an integer of at least 1, but is 0"),
    ],
)
def test_mistakes_of_sweep(study, tmp_path, arguments, said):
    first = () if str(arguments[0]).endswith(".toml") else (study,)
    assert said in str(run("sweep", *first, *arguments, "--out", tmp_path, status=1).exception)
    assert not list(tmp_path.iterdir())


def test_sweep_on_a_scheduler(ended, study, tmp_path):
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        address = cluster.scheduler_address
        run("sweep", study, "--dies", 2, "--images", 16, "--out", tmp_path, "--scheduler", address)
    names = [folder / "noise.nc" for folder in (tmp_path, ended[0])]
    np.testing.assert_array_equal(*(xr.load_dataset(one, engine="h5netcdf")["accuracy"] for one in names))


@pytest.mark.filterwarnings("ignore")  # of the cluster's own, when its workers end
@pytest.mark.parametrize(
    "processes",
    [False, pytest.param(True, marks=pytest.mark.slow)],  # each process imports and compiles; threads do not
    ids=["threads", "processes"],
)
def test_sweep_on_two_workers(ended, study, tmp_path, monkeypatch, processes):
    import distributed

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # as in this process, for the same bits
    monkeypatch.setattr(programs, "CACHE_BYTES", 1)  # so that there is work for both
    workers, run_on_cluster = [], front_door.run_on_cluster

    def recorded(client, *arguments):
        workers.extend(client.run(os.getpid).values())
        return run_on_cluster(client, *arguments)

    monkeypatch.setattr(front_door, "run_on_cluster", recorded)
    if not processes:
        threads = functools.partial(distributed.LocalCluster, processes=False)
        monkeypatch.setattr(distributed, "LocalCluster", threads)
    run("sweep", study, "--dies", 2, "--images", 16, "--out", tmp_path, "--workers", 2)
    assert len(workers) == 2
    assert len({*workers, os.getpid()}) == (3 if processes else 1)
    names = [folder / "noise.nc" for folder in (tmp_path, ended[0])]
    xr.testing.assert_identical(*(xr.load_dataset(one, engine="h5netcdf") for one in names))


def test_sweep_on_a_scheduler_that_is_not_there(study, tmp_path, monkeypatch):
    import distributed

    def unreachable(address, **options):
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(distributed, "Client", unreachable)
    refused = run("sweep", study, "--scheduler", "tcp://127.0.0.1:1", "--out", tmp_path, status=1)
    assert "tcp://127.0.0.1:1 cannot be reached: Timed out" in str(refused.exception)


def test_sweep_prints_its_schema():
    assert set(json.loads(run("sweep", "--schema").stdout)["properties"]) == {
        "study", "hardware", "axes", "points", "samples",
    }  # fmt: skip


def test_help_names_all_commands():
    printed = run("--help").output
    assert all(name in printed for name in ("compare", "sweep", "show", "report", "train", "validate"))


@pytest.mark.parametrize("name", ["noise.nc", "noise.zarr"])
def test_show_says_what_a_study_is(ended, name):
    printed = run("show", ended[0] / name).output
    for line in (
        "study of settings, dies and reads (amsim sweep)",
        "items: 16",
        "hardware: SwitchedCapacitor",
        "dies: 2",
        "key: 0, 0",
        "axis macro.comparator.noise: comparator noise: 1 mV, 40 mV",
        "comparator noise accuracy %",
    ):
        assert line in printed
    assert ("complete: all 4 items" in printed) == (name == "noise.zarr")


def test_show_draws(ended, tmp_path):
    run("show", ended[0] / "noise.nc", "--plot", tmp_path / "p.png", "--along", "macro.comparator.noise")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    axes = result_picture(open_result(ended[0] / "noise.nc")).axes[0]
    assert (axes.get_xscale(), axes.get_ylabel()) == ("log", "classification accuracy")
    for arguments, said in (
        (
            ("--plot", tmp_path / "q.png", "--along", "macro.rows"),
            "`--along` must be an axis of numbers, of macro.comp",
        ),
        (("--plot", tmp_path / "q.gif"), "`--plot` must end in .png, .pdf or .svg, but is "),
        (("--quantity", "energy"), "`--quantity` must be one of accuracy"),
        (("--along", "die"), "`--along` needs `--plot`"),
    ):
        assert said in str(run("show", ended[0] / "noise.nc", *arguments, status=1).exception)


def few(variables, coordinates, **attributes):
    return labelled(variables, coordinates, {"amsim_version": "0.1", **attributes}, labels=LABELS)


def test_table_of_means_with_intervals():
    """Against `scipy.stats.t.interval(0.95, 2, 0.5, scale=0.1 / sqrt(3))`: 0.5 +- 0.2484."""
    values = np.array([[0.4, 0.5, 0.6], [np.nan, np.nan, np.nan]])[:, :, None]
    energy = np.array([[1e-9, 2e-9], [3e-9, 4e-9]])
    result = few(
        {"accuracy": (("design", "die", "read"), values), "energy": (("design", "component"), energy)},
        {"design": ["a", "b"], "die": [0, 1, 2], "read": [0], "component": ["mac", "dram"]},
        axes="{}",
    )
    (table,) = result_tables.result_tables(result)
    assert [list(column.cells) for column in table.columns] == [
        ["a", "b"], ["50.00", "none"], ["+- 24.84", "one die"], ["3", "7"],
    ]  # fmt: skip
    assert [column.header for column in table.columns] == ["design", "accuracy %", "95 %", "energy nJ"]


@pytest.fixture
def designs():
    """Three designs side by side, whose names and numbers need more room than 80 columns."""
    names, variables = ["a", "b", "c"], {"energy": (("point", "component"), np.array([[1e-9], [2e-9], [4e-9]]))}
    variables["accuracy"] = (("point", "die"), np.array([[0.7, 0.7], [0.9, 0.9], [0.8, 0.8]]))
    coordinates = {"die": [0, 1], "component": ["mac"]}
    words = {"hardware": ("point", [f"design {30 * one}" for one in names]), "network": ("point", names)}
    return few(variables, coordinates, axes="{}").assign_coords(words)


def test_designs_without_an_axis_of_numbers_are_drawn_as_a_front(designs):
    axes = result_picture(designs).axes[0]
    assert axes.get_ylabel() == "classification accuracy"
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    with pytest.raises(ValueError, match="a list over 'point'"):
        result_picture(designs, "accuracy")
    with pytest.raises(ValueError, match="has no axis of numbers"):
        result_picture(designs.drop_vars("energy").isel(point=0, drop=True))


def test_a_narrow_terminal_loses_nothing_of_a_table(designs, tmp_path):
    designs.to_netcdf(tmp_path / "d.nc", engine="h5netcdf")
    printed = run("show", tmp_path / "d.nc", environment={"COLUMNS": "50"}).output
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    assert printed.partition("3 points")[2].count("b") == 30 + 1


def test_other_results_are_shown(tmp_path):
    few(
        {"count_sigma": (("die", "count"), np.array([[0.5, 1.5]]))}, {"die": [0], "count": [-1.0, 1.0]}, macro="{}"
    ).to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    printed = run("show", tmp_path / "c.nc").output
    assert "characterisation of a macro" in printed
    assert "count_sigma" in printed
    assert "0.5" in printed
    assert "1.5" in printed


def test_a_file_cannot_steer_the_terminal(tmp_path):
    values = {"accuracy": (("design", "die"), np.ones((1, 1)))}
    names = {"design": ["\x1b[31m[/red]:smile:"], "die": [0]}
    evil = few(values, names, axes="{}", network="\x1b[2J[red]evil", key="x" * 999, study="{", study_file="[")
    evil.to_netcdf(tmp_path / "evil.nc", engine="h5netcdf")
    printed = run("show", tmp_path / "evil.nc").output
    assert "\x1b" not in printed
    assert "network: ?[2J[red]evil" in printed
    assert printed.count("?[31m[/red]:smile:") == 2
    assert "x" * 999 not in printed


def test_broken_files_end_in_one_line(ended, tmp_path):
    whole = (ended[0] / "noise.nc").read_bytes()
    (tmp_path / "half.nc").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.nc").write_text("no data")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    (tmp_path / "empty.zarr").mkdir()
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "old.nc", engine="scipy", format="NETCDF3_64BIT")
    (tmp_path / "empty.nc").touch()
    for name, said in (
        ("half.nc", "cannot be read as netCDF or Zarr: "),
        ("text.nc", "cannot be read as netCDF or Zarr: it begins with b'no data'; results of amsim are netCDF-4"),
        ("old.nc", r"it begins with b'CDF\x02\x00\x00\x00\x00', so it is netCDF-3; results of amsim are netCDF-4"),
        ("empty.nc", "it is empty; results of amsim are netCDF-4"),
        ("empty.zarr", "cannot be read as netCDF or Zarr: "),
        ("foreign.nc", "is not a result of amsim"),
        ("missing.nc", "There is no "),
    ):
        refused = str(run("show", tmp_path / name, status=1).exception)
        assert said in refused
        assert "\n" not in refused


def test_a_store_with_pickled_values_is_refused(ended, tmp_path):
    path = shutil.copytree(ended[0] / "noise.zarr", tmp_path / "evil.zarr")
    for file in (path / "accuracy" / ".zarray", path / ".zmetadata"):
        held = json.loads(file.read_text())
        (held["metadata"]["accuracy/.zarray"] if "metadata" in held else held)["filters"] = [{"id": "pickle"}]
        file.write_text(json.dumps(held))
    refused = run("show", path, status=1)
    assert "codec 'pickle' is not allowed" in str(refused.exception)
