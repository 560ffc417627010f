"""What every command has: short options, silence where it is wanted, completion."""

import jax.numpy as jnp
import pytest
import xarray as xr
from typer.testing import CliRunner

from amsim.command_line.application import app

COMMANDS = [command.callback.__name__ for command in app.registered_commands]


def run(*arguments, status=0, environment=None):
    ended = CliRunner().invoke(app, [str(one) for one in arguments], env=environment, prog_name="amsim")
    assert ended.exit_code == status, ended.output
    return ended.output


@pytest.fixture
def result(tmp_path):
    coordinates = {"macro.rows": [16, 32], "die": [0, 1]}
    values = {"accuracy": (("macro.rows", "die"), jnp.full((2, 2), 0.5), {"units": "1", "long_name": "accuracy"})}
    attributes = {"amsim_version": "0.1", "axes": "{}"}
    whole = xr.Dataset(values, coordinates, attributes)
    whole["macro.rows"].attrs = {"units": "1", "long_name": "rows"}
    whole.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    return tmp_path / "x.nc"


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_short_help_is_the_long_one(command):
    assert run(*command, "-h") == run(*command, "--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_quiet(command):
    assert "-q" in run(command, "--help")


def test_a_quiet_command_writes_and_prints_its_table_but_names_no_file(result):
    loud = run("show", result, "--plot", result.with_name("loud.png"))
    silent = run("show", result, "--plot", result.with_name("silent.png"), "-q")
    assert result.with_name("silent.png").exists()
    assert "Written" in loud
    assert loud.partition("Written")[0] == silent
    assert "Written" in run("show", result, "--plot", result.with_name("again.png"))


def test_completion_of_a_shell():
    shown = run(environment={"_AMSIM_COMPLETE": "complete_bash", "COMP_WORDS": "amsim co", "COMP_CWORD": "1"})
    assert shown.split() == ["compare"]


@pytest.mark.parametrize("by_environment", [False, True])
def test_compiled_programs_may_be_kept_in_a_folder(monkeypatch, by_environment):
    kept = []
    monkeypatch.setattr("amsim.deployment.compilation_cache", kept.append)
    options, environment = ([], {"AMSIM_CACHE": "programs"}) if by_environment else (["--cache", "programs"], None)
    run(*options, "show", "-h", environment=environment)
    assert kept == ["programs"]


def test_a_file_is_no_folder_for_compiled_programs():
    found = CliRunner().invoke(app, ["--cache", __file__, "show", "-h"])
    assert isinstance(found.exception, ValueError)
    assert "Argument `--cache` must be a folder" in str(found.exception)
