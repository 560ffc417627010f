"""A name stands for a layer with all its uses: rules, calibrations, line values, repairs and designs."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import Calibration, SiteRanges, circuits
from amsim.characterisation.lines import site_line_values
from amsim.datasets import Split
from amsim.deployment.per_site import one_macro_per_site
from amsim.system.accelerator import Accelerator
from amsim.workloads import Workload, dense
from amsim.workloads.use_names import known_as, layer_of, use_name

A, B, C = (circuits.DigitalBinary(weight_bits=bits, input_bits=bits) for bits in (2, 3, 4))
LINES = circuits.SwitchedCapacitor(rows=16, columns=16, weight_bits=3, input_bits=3)
PARAMS = {
    "tower": {"w": jax.random.normal(jax.random.key(0), (6, 6))},
    "tower1": {"w": jax.random.normal(jax.random.key(1), (6, 5))},
}
X = jax.random.normal(jax.random.key(2), (7, 6))


def network(params: Any, x: jax.Array) -> jax.Array:
    weight = params["tower"]["w"]
    return jnp.tanh(jnp.tanh(jnp.tanh(x @ weight) @ weight) @ weight) @ params["tower1"]["w"]


def tied(params: Any, x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ params["tower"]["w"]) @ params["tower"]["w"].T


RULES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "the layer": ({"tower": A, ".*": B}, [A, A, A, B]),
    "its beginning": ({"tower.*": A, ".*": B}, [A, A, A, A]),
    "not its continuation": ({"tower.+": A, ".*": B}, [B, B, B, A]),
    "escaped": ({re.escape("tower"): A, re.escape("tower1"): B}, [A, A, A, B]),
    "a use before the layer": ({"tower#2": C, "tower": A, ".*": B}, [A, C, A, B]),
    "a use behind the layer": ({"tower": A, "tower#3": C, ".*": B}, [A, A, C, B]),
    "the first use": ({"tower#1": C, "tower": A, ".*": B}, [C, A, A, B]),
    "later uses": ({"tower#.*": C, "tower": A, ".*": B}, [A, C, C, B]),
    "uses escaped": ({r"tower\#2": C, "tower": A, ".*": B}, [A, C, A, B]),
    "all in order": ({"t.*": A, ".*": B}, [A, A, A, A]),
    "uses of any layer": ({".*#2": C, ".*": B}, [B, C, B, B]),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("rules", "macros"), RULES.values(), ids=RULES)
def test_a_rule_reaches_all_uses_of_a_layer(rules: dict[str, Any], macros: list[Any]) -> None:
    table = amsim.deploy(network, PARAMS, rules).sites(X)
    assert [row.name for row in table] == ["tower", "tower#2", "tower#3", "tower1"]
    assert [row.weight_bits for row in table] == [macro.weight_bits for macro in macros]
    # Layers of shapes have the same names.
    layers = [dense(row.name, 6, 5, weights=layer_of(row.name)) for row in table]
    accelerator = Accelerator(rules)
    found = [accelerator.macro_for(layer.name) for layer in Workload("shapes", tuple(layers)).layers]
    assert [accelerator.macros[index].weight_bits for index in found if index is not None] == [
        macro.weight_bits for macro in macros
    ]


def test_a_rule_that_no_site_needs_is_refused_still() -> None:
    for rules in ({".*": A, "tower#2": B}, {"tower": A, "tower#7": B, ".*": C}):
        with pytest.raises(amsim.DeploymentError, match="is the first to match none of the sites"):
            amsim.deploy(network, PARAMS, rules).sites(X)


def test_products_of_activations_are_no_uses_of_one_layer() -> None:
    rules = Accelerator({"activations": A, "activations#2": B, ".*": C}, activation_products=True)
    table = amsim.deploy(lambda p, x: x @ p["w"].T @ (x @ x.T) @ x, {"w": jnp.ones((7, 6))}, rules).sites(X)
    names = {row.name: row.weight_bits for row in table}
    assert (names["activations"], names["activations#2"], names["activations#3"]) == (2, 3, 4)


def test_names_of_uses() -> None:
    assert [use_name("tower", number) for number in (1, 2)] == ["tower", "tower#2"]
    assert known_as("tower#2") == ("tower#2", "tower")
    assert known_as("tower") == ("tower#1", "tower")
    assert (known_as("activations"), known_as("activations#2")) == (("activations",), ("activations#2",))
    # A layer that bears the name of a use has a name of its own all the same.
    twice = {"a": jnp.ones((6, 6)), "a#2": jnp.ones((6, 6))}
    names = [row.name for row in amsim.deploy(lambda p, x: x @ p["a"] @ p["a#2"] @ p["a"], twice, A).sites(X)]
    assert len(set(names)) == 3


def choice(scale: Any = 0.3, bits: int = 3, **more: Any) -> SiteRanges:
    code = circuits.IntegerCode(jnp.asarray(scale), bits, signed=True)
    return SiteRanges(circuits.IntegerCode(jnp.asarray(0.2), bits, signed=True), code, **more)


def test_a_calibration_reaches_all_uses_of_a_layer() -> None:
    def outputs(sites: dict[str, SiteRanges], hardware: Any = B) -> np.ndarray:
        return np.asarray(amsim.deploy(network, PARAMS, hardware, calibration=Calibration(sites))(X))

    one, other = choice(), choice(0.9)
    each = {"tower": one, "tower#2": one, "tower#3": one}
    np.testing.assert_array_equal(outputs({"tower": one}), outputs(each))
    np.testing.assert_array_equal(outputs({"tower": one, "tower#2": other}), outputs(each | {"tower#2": other}))
    np.testing.assert_array_equal(outputs({"tower#1": other, "tower": one}), outputs(each | {"tower": other}))
    assert np.any(outputs({"tower": one}) != outputs({"tower#1": one}))
    kept = Calibration({"tower": one, "tower#3": other, "tower1": one}).only(["tower#2"])
    assert set(kept.sites) == {"tower"}
    with pytest.raises(amsim.DeploymentError, match=r"must be of the sites tower, tower#2, .*, but has tower#4"):
        outputs({"tower#4": one})


def test_a_calibrated_chip_is_the_same_from_its_file(tmp_path: Any) -> None:
    chip = amsim.deploy(network, PARAMS, LINES, key=jax.random.key(0), calibration=Calibration({"tower": choice()}))
    chip.save(tmp_path / "chip.npz")
    np.testing.assert_array_equal(amsim.load_chip(tmp_path / "chip.npz", network)(X), chip(X))
    found = amsim.calibrate(network, PARAMS, LINES, np.asarray(X))
    assert list(found.choice["site"].values) == ["tower", "tower#2", "tower#3", "tower1"]


def test_a_choice_that_does_not_suit_a_use_is_refused() -> None:
    def run(function: Any, hardware: Any, **sites: SiteRanges) -> None:
        amsim.deploy(function, PARAMS, hardware, calibration=Calibration(sites))(X)

    columns = jnp.full((1, 6), 0.3)
    run(network, B, tower=choice(columns))
    run(tied, B, tower=choice())
    with pytest.raises(
        amsim.DeploymentError, match="`tower` that does not suit its use `tower#2`, which has other col"
    ):
        run(tied, B, tower=choice(columns))
    with pytest.raises(amsim.DeploymentError, match="`tower#3`, whose macro has inputs of 4 bits, not 3"):
        run(network, {"tower#3": C, ".*": B}, tower=choice())
    with pytest.raises(amsim.DeploymentError, match="`tower#2`, whose macro has no converter"):
        run(network, {"tower#2": B, ".*": LINES}, tower=choice(readout=0.5))
    amsim.deploy(tied, PARAMS, B, calibration=Calibration({"tower": choice(columns), "tower#2": choice()}))(X)


def test_line_values_of_a_layer_are_those_of_its_uses() -> None:
    chip = amsim.deploy(network, PARAMS, LINES)
    found = {name: site_line_values(chip, X, name) for name in ("tower", "tower#1", "tower#2", "tower#3")}
    together = sum(found[name]["occurrences"] for name in ("tower#1", "tower#2", "tower#3"))
    np.testing.assert_array_equal(found["tower"]["occurrences"], together)
    each = [float(found[name]["clipped"]) for name in ("tower#1", "tower#2", "tower#3")]
    np.testing.assert_allclose(float(found["tower"]["clipped"]), np.mean(each), rtol=1e-5)
    ranges = Calibration({"tower": choice(readout=0.4), "tower#2": choice(readout=0.5)})
    with pytest.raises(
        ValueError, match=r"`site` must name one use .* one of tower#1, tower#2, tower#3, but is 'tower'"
    ):
        site_line_values(dataclasses.replace(chip, calibration=ranges), X, "tower")


def test_uses_of_a_layer_keep_one_macro_where_each_site_has_its_own() -> None:
    whole = one_macro_per_site(network, PARAMS, A, X)
    assert whole.patterns == ("tower", "tower1")
    mixed = one_macro_per_site(network, PARAMS, {"tower#2": B, ".*": A}, X)
    assert [mixed.macros[mixed.macro_for(name) or 0].weight_bits for name in ("tower", "tower#2", "tower#3")] == [
        2,
        3,
        2,
    ]
    assert len(mixed.macros) == 3


def test_a_repair_of_one_use_leaves_the_others() -> None:
    """The second use is on exact units, whose results need no correction."""
    noisy = dataclasses.replace(
        LINES, comparator=circuits.Comparator(offset_sigma=5e-3, noise=1e-4, trim=None), adc=circuits.Adc(bits=8)
    )
    samples = Split(np.asarray(X), np.zeros(len(X), int))
    found = amsim.repair(
        network,
        PARAMS,
        {"tower#2": B, ".*": noisy},
        samples,
        samples,
        key=jax.random.key(0),
        repairs=("offsets",),
        dies=1,
    )
    chip = found.chips[0]
    assert chip.calibration is not None
    offsets = {name: chip.calibration.of(name).offset for name in ("tower", "tower#2", "tower#3", "tower1")}
    assert offsets["tower#2"] is None
    assert not np.array_equal(offsets["tower"], offsets["tower#3"])
