"""Ctrl-C in a notebook: KeyboardInterrupt comes out of `evaluate` and `sweep`, and a store goes on from there."""

import signal

import jax
import jax.numpy as jnp
import pytest
import xarray as xr

import amsim
from amsim import circuits
from amsim.studies import program

MACRO = circuits.SwitchedCapacitor(rows=16, columns=4)
KEY = jax.random.key(0)
INPUTS = jnp.sign(jax.random.normal(jax.random.key(1), (12, 16)))
PARAMS = {"w": jnp.sign(jax.random.normal(jax.random.key(2), (16, 3)))}
DATA = (INPUTS, jnp.argmax(INPUTS @ PARAMS["w"], axis=1))


def network(params, inputs):
    return inputs @ params["w"]


@pytest.fixture(autouse=True)
def listening():
    """Python hears the signal also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(phase, done, total):
    """A signal after the first part of the work, as a notebook's stop button sends it."""
    if 0 < done < total:
        signal.raise_signal(signal.SIGINT)


def test_an_evaluation_is_interrupted_and_runs_again():
    whole = amsim.evaluate(network, PARAMS, MACRO, DATA, dies=3, key=KEY)
    with pytest.raises(KeyboardInterrupt):
        amsim.evaluate(network, PARAMS, MACRO, DATA, dies=3, key=KEY, progress=interrupt)
    xr.testing.assert_identical(amsim.evaluate(network, PARAMS, MACRO, DATA, dies=3, key=KEY), whole)


def test_a_sweep_is_interrupted_and_its_store_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "CACHE_BYTES", 1)  # several calls
    measure = amsim.study(network, PARAMS, MACRO, DATA, quantities=["accuracy"])
    given = {"dies": 2, "key": KEY, "store": tmp_path / "x.zarr"}
    axes, seen = {"macro.comparator.noise": [1e-3, 1e-2]}, []
    with pytest.raises(KeyboardInterrupt):
        amsim.sweep(measure, axes, **given, progress=interrupt)
    again = amsim.sweep(measure, axes, **given, progress=lambda phase, done, total: seen.append((done, total)))
    assert 0 < seen[0][0] < seen[0][1]
    xr.testing.assert_identical(again, amsim.sweep(measure, axes, **given | {"store": None}))
