"""Stores that an earlier amsim wrote: a whole one is read, a killed one goes on."""

import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

import amsim
from amsim import circuits

DATA = Path(__file__).parent / "data"
AXES = {"macro.unit_capacitance": np.linspace(1e-15, 3e-15, 4), "macro.adc.bits": [4, 6]}


def measure(hardware, die_key):
    return {"error": hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key) / hardware.adc.levels}


def unpacked(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(DATA / f"{name}.zip") as file:
        file.extractall(folder / f"{name}.zarr")
    return folder / f"{name}.zarr"


def run(store: Path, done: list[int]) -> xr.Dataset:
    macro = circuits.SwitchedCapacitor(rows=8, columns=4)
    progress = lambda phase, count, total: done.append(count)  # noqa: E731
    return amsim.sweep(measure, AXES, hardware=macro, key=jax.random.key(5), dies=3, store=store, progress=progress)


def as_if_written_here(store: Path, tmp_path: Path) -> None:
    """Give the header the devices and versions of here, and the programs and settings as they are taken here."""
    run(tmp_path / "own.zarr", [])
    own = json.loads((tmp_path / "own.zarr" / "study" / ".zattrs").read_text())
    path = store / "study" / ".zattrs"
    header = json.loads(path.read_text())
    assert set(header["fingerprint"]) == set(own["fingerprint"])
    # Settings came later, such as the process; a converter of another resolution had the same area then.
    for name in ("jax_version", "devices", "program_and_data", "groups", "hardware"):
        header["fingerprint"][name] = own["fingerprint"][name]
    header["fingerprints"] = own["fingerprints"]
    path.write_text(json.dumps(header))


def test_a_whole_store_is_read_without_computing(tmp_path: Path) -> None:
    store = unpacked("study_complete", tmp_path)
    as_if_written_here(store, tmp_path)
    done: list[int] = []
    result = run(store, done)
    assert done in ([], [24])
    with xr.open_dataset(DATA / "study.nc", engine="h5netcdf") as expected:
        np.testing.assert_array_equal(result["error"].values, expected["error"].values)


def test_a_killed_store_goes_on(tmp_path: Path) -> None:
    store = unpacked("study_interrupted", tmp_path)
    as_if_written_here(store, tmp_path)
    done: list[int] = []
    result = run(store, done)
    assert done[0] == 8
    with xr.open_dataset(DATA / "study.nc", engine="h5netcdf") as expected:
        np.testing.assert_allclose(result["error"].values, expected["error"].values, rtol=1e-5)


def test_a_store_of_another_study_is_refused(tmp_path: Path) -> None:
    store = unpacked("study_interrupted", tmp_path)
    as_if_written_here(store, tmp_path)
    path = store / "study" / ".zattrs"
    path.write_text(path.read_text().replace("SwitchedCapacitor", "DigitalBinary"))
    with pytest.raises(ValueError, match="holds another one: hardware is"):
        run(store, [])


def test_what_an_earlier_fingerprint_left_out_is_not_trusted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of an earlier amsim, whose fingerprint, which left out arrays"):
        run(unpacked("study_complete", tmp_path), [])
