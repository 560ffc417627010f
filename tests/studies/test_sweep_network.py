"""Studies of networks: the same accuracy and cost as the functions for one design give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split
from amsim.system.accelerator import Accelerator
from amsim.system.settings import with_settings

MACRO = circuits.SwitchedCapacitor(rows=16, columns=4, comparator=circuits.Comparator(noise=5e-3))
KEY = jax.random.key(7)


def network(params, inputs):
    return inputs @ jnp.sign(params["kernel"])


@pytest.fixture(scope="module")
def case():
    kernel, inputs = jax.random.normal(jax.random.key(0), (16, 4)), jax.random.normal(jax.random.key(1), (30, 16))
    params, signs = {"kernel": kernel}, np.asarray(jnp.sign(inputs))
    return params, Split(signs, np.asarray(jnp.argmax(network(params, signs), axis=-1), np.int32))


def test_equals_evaluate_and_cost(case):
    params, data = case
    supplies = [0.5, 0.8]
    measure = amsim.study(network, params, MACRO, data, batch=20, cost_items=10)
    axes = {"macro.supply": supplies, "weight_memory.supply": [0.9]}
    result = amsim.sweep(measure, axes, key=KEY, dies=3, reads=2)
    assert result["accuracy"].dims == ("macro.supply", "weight_memory.supply", "die", "read")
    assert result["energy"].dims == ("macro.supply", "weight_memory.supply", "component")
    assert result["energy"].attrs["units"] == "J"
    for index, supply in enumerate(supplies):
        hardware = with_settings(Accelerator(MACRO), {"macro.supply": supply, "weight_memory.supply": 0.9})
        at = result.isel({"macro.supply": index, "weight_memory.supply": 0})
        expected = amsim.evaluate(network, params, hardware, data, dies=3, reads=2, batch=20, key=KEY)
        np.testing.assert_allclose(at["accuracy"], expected["accuracy"], atol=1e-6)
        cost = amsim.deploy(network, params, hardware).cost(data.inputs[:10])
        np.testing.assert_allclose(at["energy"], cost["energy"].sum("site"), rtol=1e-5)
        assert float(at["latency"]) == pytest.approx(float(cost["latency"].sum()), rel=1e-5, abs=0)
        assert float(at["area"]) == pytest.approx(float(cost["area"]), rel=1e-5, abs=0)
    assert len(np.unique(result["accuracy"])) > 2


def test_networks_as_an_axis_on_hardware_whose_dies_are_equal(case):
    params, data = case
    other = {"kernel": -params["kernel"]}
    axes = {"network": [("right", network, params), ("wrong", network, other)]}
    digital = circuits.DigitalBinary(rows=16, columns=4)
    measure = amsim.study(None, None, digital, data, quantities=("accuracy",))
    result = amsim.sweep(measure, axes, key=KEY, dies=3, reads=2)
    assert list(result["network"].values) == ["right", "wrong"]
    np.testing.assert_array_equal(result["accuracy"].sel(network="right"), np.ones((3, 2)))
    assert float(result["accuracy"].sel(network="wrong").max()) < 0.5
    assert "energy" not in result


def test_mistakes(case):
    params, data = case
    with pytest.raises(ValueError, match="`data` must be a Split with at least one item"):
        amsim.study(network, params, MACRO, data[:0])
    with pytest.raises(ValueError, match=r"`quantities` must be one of .* but is 'speed'"):
        amsim.study(network, params, MACRO, data, quantities=["speed"])
    assert amsim.study(network, params, MACRO, data, quantities="area").quantities == ("area",)
    with pytest.raises(ValueError, match="`fn` must be a network"):
        amsim.sweep(amsim.study(None, None, MACRO, data), {"macro.supply": [0.6]}, key=KEY)
    with pytest.raises(ValueError, match=r"`params\['kernel'\]` must be finite"):
        amsim.sweep(
            amsim.study(network, {"kernel": jnp.nan * params["kernel"]}, MACRO, data), {"macro.supply": [0.6]}, key=KEY
        )


def test_what_a_calibration_fixed_is_no_axis(case):
    params, data = case
    digital = circuits.DigitalBinary(rows=16, columns=4, weight_bits=2, input_bits=2)
    chosen = amsim.calibrate(network, params, digital, data.inputs, steps=False)
    measure = amsim.study(network, params, digital, data, calibration=chosen.calibration)
    with pytest.raises(ValueError, match=r"`axes` must not change 'macro.weight_bits' of a study with a `calibration`"):
        amsim.sweep(measure, {"macro.weight_bits": [2, 3]}, key=KEY)


def test_accuracy_and_yield_at_a_limit_hit_exactly(case):
    params, data = case
    wrong = Split(data.inputs, np.where(np.arange(30) < 3, (data.labels + 1) % 4, data.labels).astype(np.int32))
    digital = circuits.DigitalBinary(rows=16, columns=4)
    measure = amsim.study(network, params, digital, wrong, quantities=("accuracy",))
    swept = amsim.sweep(measure, {"macro.supply": [0.8]}, key=KEY, dies=2)["accuracy"].isel({"macro.supply": 0})
    evaluated = amsim.evaluate(network, params, digital, wrong, key=KEY, dies=2)["accuracy"]
    assert swept.dtype == evaluated.dtype
    assert np.all(swept.values == 0.9)
    assert np.all(evaluated.values == 0.9)
