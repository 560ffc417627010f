"""What deploy refuses, and that the text says which argument is wrong and what would work."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.deployment.front_door import check_deployable
from amsim.system.accelerator import Accelerator
from amsim.system.organisation import SystolicArray

X = jnp.ones((2, 4))
PARAMS = {"layer": {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}}
EXACT = circuits.Exact()


def network(params: Any, inputs: jax.Array) -> jax.Array:
    return inputs @ params["layer"]["w"] + params["layer"]["b"][None]


def test_a_function_is_needed() -> None:
    # Past the type checks of the tests, as a user meets it.
    deploy = amsim.deploy.__wrapped__  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"Argument `fn` must be a function fn\(params, \*inputs\), but is 3"):
        deploy(3, PARAMS, EXACT)


def test_a_calibration_is_named_by_its_type() -> None:
    deploy = amsim.deploy.__wrapped__  # type: ignore[attr-defined]
    found = amsim.calibrate(network, PARAMS, circuits.DigitalBinary(), X)
    allowed = "Argument `calibration` must be of type Calibration or None"
    # As a whole it would fill a screen.
    with pytest.raises(ValueError, match=rf"^{allowed}, but is of type Calibrated\.$"):
        deploy(network, PARAMS, EXACT, calibration=found)
    with pytest.raises(ValueError, match=rf"^{allowed}, but is 'minimum-error'\.$"):
        deploy(network, PARAMS, EXACT, calibration="minimum-error")


def test_macros_without_static_errors_draw_no_die(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: Any) -> None:
        raise AssertionError("drawn")

    monkeypatch.setattr(jax.random, "split", draw)
    assert amsim.deploy(network, PARAMS, circuits.DigitalBinary(), key=jax.random.key(0)).dies == (None,)
    with pytest.raises(AssertionError, match="drawn"):
        amsim.deploy(network, PARAMS, circuits.SwitchedCapacitor(), key=jax.random.key(0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_must_be_finite(value: float) -> None:
    params = {"layer": [np.ones((4, 3)), jnp.array([1.0, value])]}
    with pytest.raises(ValueError, match=re.escape("Argument `params['layer'][1]` must be finite")):
        amsim.deploy(network, params, EXACT)


@pytest.mark.parametrize("hardware", [None, 3, "macro", circuits.Sram(capacity=8), {"layer": "macro"}, [EXACT]])
def test_hardware_must_be_macros(hardware: Any) -> None:
    with pytest.raises(ValueError, match="Argument `hardware` must be a macro, an Accelerator or rules"):
        amsim.deploy(network, PARAMS, hardware)


def test_rules_must_be_patterns_that_match_something() -> None:
    with pytest.raises(ValueError, match="Argument `hardware` must have at least one rule"):
        amsim.deploy(network, PARAMS, {})
    with pytest.raises(ValueError, match=r"regular expressions as patterns, but '\(' is none"):
        amsim.deploy(network, PARAMS, {"(": EXACT})
    with pytest.raises(ValueError, match="regular expressions as patterns, but 3 is none"):
        amsim.deploy(network, PARAMS, {3: EXACT})
    chip = amsim.deploy(network, PARAMS, {"leyer": circuits.DigitalBinary(), ".*": EXACT})
    for attempt in (chip, chip.sites, chip.cost):
        with pytest.raises(
            amsim.DeploymentError, match=r"Rule 'leyer' of argument `hardware` .* none of the sites layer"
        ):
            attempt(X)
    # A pattern must match a whole name.
    with pytest.raises(amsim.DeploymentError, match="Rule 'lay'"):
        amsim.deploy(network, PARAMS, {"lay": EXACT, ".*": EXACT})(X)


def test_a_rule_that_takes_nothing_because_an_earlier_one_took_it() -> None:
    with pytest.raises(amsim.DeploymentError, match=r"Rule 'layer' .* is the first to match none"):
        amsim.deploy(network, PARAMS, {".*": EXACT, "layer": EXACT})(X)


def test_a_rule_for_all_may_take_nothing() -> None:
    np.testing.assert_array_equal(amsim.deploy(network, PARAMS, {"layer": EXACT, ".*": EXACT})(X), network(PARAMS, X))


@pytest.mark.parametrize(
    "function",
    [lambda p, x: x + 1, lambda p, x: x @ PARAMS["layer"]["w"], lambda p, x: jnp.sum(p["layer"]["w"]) * x],
    ids=["nothing", "weights in a closure", "no product"],
)
def test_no_site_at_all(function: Any) -> None:
    with pytest.raises(amsim.DeploymentError, match=r"no product of a parameter with an input.*not through a closure"):
        amsim.deploy(function, PARAMS, EXACT)(X)


def test_rows_that_cannot_be_separated_need_a_line_that_holds_them() -> None:
    def function(params: Any, images: jax.Array) -> jax.Array:
        return jax.lax.conv(images, params["conv"]["w"], (1, 1), "VALID")

    params, images = {"conv": {"w": jnp.ones((3, 2, 3, 3))}}, jnp.ones((1, 2, 5, 5))
    for macro in (circuits.SwitchedCapacitor(rows=8), circuits.DigitalBinary(rows=8)):
        with pytest.raises(amsim.DeploymentError, match=r"Site `conv` does not fit .*`rows` must be at least 9"):
            amsim.deploy(function, params, macro)(images)
    # Sequential accumulation has no such limit, however few units there are.
    units = circuits.MultiPrecision(rows=2, weight_bits=1, input_bits=1)
    np.testing.assert_array_equal(amsim.deploy(function, params, units)(images), function(params, images))

    def grouped(params: Any, images: jax.Array) -> jax.Array:
        dims = ("NCHW", "OIHW", "NCHW")
        return jax.lax.conv_general_dilated(
            images, params["conv"]["w"], (1, 1), "VALID", dimension_numbers=dims, feature_group_count=2
        )

    with pytest.raises(amsim.DeploymentError, match=r"Site `conv` .*`rows` must be at least 18 for a grouped"):
        amsim.deploy(grouped, {"conv": {"w": jnp.ones((4, 2, 3, 3))}}, circuits.SwitchedCapacitor(rows=17))(
            jnp.ones((1, 4, 5, 5))
        )


def test_errors_come_out_of_jit_and_grad_alike() -> None:
    chip = amsim.deploy(network, PARAMS, circuits.SwitchedCapacitor(adc=None))
    message = "Site `layer` cannot be a decision of SwitchedCapacitor.*returned as a number.*What would work"
    for attempt in (jax.jit(chip), chip, jax.grad(lambda x: jnp.sum(chip(x))), chip.sites, chip.cost, chip.energy):
        with pytest.raises(amsim.DeploymentError, match=message):
            attempt(X)


def test_code_that_jax_cannot_trace_is_named_by_jax() -> None:
    def function(params: Any, inputs: jax.Array) -> jax.Array:
        return network(params, inputs) if inputs[0, 0] > 0 else inputs

    with pytest.raises(jax.errors.TracerBoolConversionError):
        amsim.deploy(function, PARAMS, EXACT)(X)


def test_wrong_inputs_raise_as_in_the_network_itself() -> None:
    chip = amsim.deploy(network, PARAMS, EXACT)
    with pytest.raises(TypeError, match="dot_general"):
        chip(jnp.ones((2, 5)))
    with pytest.raises(TypeError, match="argument"):
        chip(X, X)
    with pytest.raises(TypeError):
        chip("image")


def test_an_accelerator_stands_where_a_macro_does() -> None:
    accelerator = Accelerator({"layer": circuits.DigitalBinary(), ".*": EXACT})
    assert Accelerator.of(accelerator) is accelerator
    chip = amsim.deploy(network, PARAMS, accelerator)
    np.testing.assert_array_equal(chip(X), network(PARAMS, X))
    assert [row.macro for row in chip.sites()] == ["DigitalBinary"]
    ideal = Accelerator(circuits.SwitchedCapacitor()).ideal()
    assert float(ideal.macros[0].mismatch_coefficient) == 0  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="`control_capacitance`"):
        Accelerator(EXACT, organisation=SystolicArray(-1.0))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"fn": 3}, "Argument `fn` must be a function"),
        ({"params": {"layer": {"w": np.array([[np.nan]]), "b": 0.0}}}, r"params\['layer'\]\['w'\]"),
        ({"hardware": "chip"}, "Argument `hardware`"),
        ({"calibration": "minimum-error"}, "Argument `calibration` must be of type Calibration or None"),
        ({"decision_rule": "guess"}, "Argument `decision_rule` must be one of"),
    ],
)
def test_the_check_refuses_what_deploy_refuses(change: dict[str, Any], text: str) -> None:
    arguments = {"fn": network, "params": PARAMS, "hardware": EXACT} | change
    for function in (check_deployable, amsim.deploy):
        with pytest.raises(ValueError, match=text):
            function.__wrapped__(**arguments)  # type: ignore[attr-defined]


def test_the_check_traces_nothing_and_gives_the_accelerator() -> None:
    def untraceable(params: Any, inputs: jax.Array) -> jax.Array:
        raise AssertionError

    found = check_deployable(untraceable, PARAMS, {"layer": EXACT})
    assert (found.patterns, found.macros) == (("layer",), (EXACT,))
