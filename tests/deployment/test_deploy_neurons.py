"""Fused neurons: which code is one decision of a comparator, which is not, and that it decides as plain JAX does."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.noise.gradients import decision

COMPARATOR = circuits.SwitchedCapacitor(rows=64, columns=8, adc=None, bias_dac=BiasDac(bits=6)).ideal()
BATCH, FILTERS = 9, 6
Params = dict[str, dict[str, jax.Array]]
Activation = Callable[[jax.Array, dict[str, jax.Array]], Any]


def signs(values: jax.Array) -> jax.Array:
    return jnp.where(values >= 0, 1.0, -1.0)


def binary(seed: int, *shape: int) -> jax.Array:
    return signs(jax.random.normal(jax.random.key(seed), shape))


def layer(rows: int) -> tuple[Params, jax.Array]:
    params = {
        "l": {
            "w": binary(1, rows, FILTERS),
            "bias": jnp.arange(6.0) - 2.5,
            "whole": jnp.arange(6.0) - 2,
            "mean": jnp.array([0.2, -1.7, 3.0, 0.0, 1.0, -2.0]),
            "gain": jnp.array([1.0, -1.0, 0.0, 2.0, -0.3, 1e-3]),
        }
    }
    return params, binary(2, BATCH, rows)


def applied(activation: Activation, params: dict[str, jax.Array], inputs: jax.Array) -> Any:
    own = {name: value[None] if value.ndim == 1 else value for name, value in params.items()}
    return activation(inputs @ own["w"], own)


def deployed(activation: Activation, rows: int, macro: Any) -> tuple[amsim.Chip, Any, Any]:
    params, inputs = layer(rows)

    def function(params: Params, inputs: jax.Array) -> Any:
        return applied(activation, params["l"], inputs)

    chip = amsim.deploy(function, params, macro)
    return chip, chip(inputs), jax.jit(function)(params, inputs)


@jax.custom_jvp
def user_sign(values: jax.Array) -> jax.Array:
    return jnp.where(values < 0, -1.0, 1.0)


user_sign.defjvps(lambda tangent, out, values: tangent)


def straight_through(values: jax.Array) -> jax.Array:
    return values + jax.lax.stop_gradient(jnp.sign(values) - values)


def straight_through_by_zero(values: jax.Array) -> jax.Array:
    zero = values - jax.lax.stop_gradient(values)
    return zero + jax.lax.stop_gradient(signs(values))


NEURONS: dict[str, Activation] = {
    "where": lambda z, p: signs(z),
    "where, less": lambda z, p: jnp.where(z < 0, -1.0, 1.0),
    "where, zero first": lambda z, p: jnp.where(jnp.less_equal(0.0, z), 1.0, -1.0),
    "where, zero first, less": lambda z, p: jnp.where(jnp.greater(0.0, z), -1.0, 1.0),
    "strictly above": lambda z, p: jnp.where(z > 0, 1.0, -1.0),
    "strictly above, zero first": lambda z, p: jnp.where(jnp.less(0.0, z), 1.0, -1.0),
    "zero or one": lambda z, p: (z >= 0).astype(float),
    "amsim's decision": lambda z, p: decision(z, "tanh"),
    "custom_jvp": lambda z, p: user_sign(z),
    "checkpoint": lambda z, p: jax.checkpoint(signs)(z),
    "nested jit": lambda z, p: jax.jit(signs)(z),
    "sign of the clipped": lambda z, p: signs(jnp.clip(z, -1, 1)),
    "sign of the clamped": lambda z, p: signs(jax.lax.clamp(-1.0, z, 1.0)),
    "sign of the tanh": lambda z, p: signs(jnp.tanh(z)),
    "sign": lambda z, p: jnp.sign(z + p["bias"]),
    "straight through": lambda z, p: straight_through(z + p["bias"]),
    "straight through, by zero": lambda z, p: straight_through_by_zero(z + p["bias"]),
    "bias": lambda z, p: signs(z + p["bias"]),
    "bias first": lambda z, p: signs(p["bias"] - z),
    "whole bias, ties up": lambda z, p: signs(z - p["whole"]),
    "whole bias, ties down": lambda z, p: jnp.where(z - p["whole"] > 0, 1.0, -1.0),
    "whole bias, negated": lambda z, p: signs(-z - p["whole"]),
    "threshold": lambda z, p: jnp.where(z >= p["whole"], 1.0, -1.0),
    "threshold first": lambda z, p: jnp.where(jnp.less(p["whole"], z), 1.0, -1.0),
    "threshold, number": lambda z, p: jnp.where(z <= 1.0, 1.0, -1.0),
    "normalisation": lambda z, p: signs((z - p["mean"]) * p["gain"] * jax.lax.rsqrt(2.0) + 0.1 * p["bias"]),
    "normalisation, strict": lambda z, p: jnp.where((z - p["mean"]) / 1.7 * p["gain"] + 0.1 * p["bias"] > 0, 1.0, 0.0),
    "division": lambda z, p: signs(z / p["bias"] + p["mean"]),
    "behind a reshape": lambda z, p: signs(z.reshape(BATCH, 3, 2) * p["gain"].reshape(1, 3, 2) + 0.3),
    "behind a transpose": lambda z, p: signs(z.T + p["mean"].T),
    "behind both": lambda z, p: signs(z.reshape(3, 3, 6).transpose(2, 0, 1) * p["gain"].reshape(6, 1, 1) + 0.1),
    "thresholds by place": lambda z, p: signs(z.reshape(3, 3, 6) + jnp.arange(9.0).reshape(3, 3, 1) - 3.5),
    "thresholds by element": lambda z, p: signs(z.ravel() + jnp.arange(54.0) / 20 - 0.99),
    "pooling before the sign": lambda z, p: signs(jnp.max((z + p["bias"]).reshape(BATCH, 3, 2), axis=-1)),
    "bfloat16": lambda z, p: jnp.sign(z.astype(jnp.bfloat16) + jnp.bfloat16(0.5)),
}
NOT_NEURONS: dict[str, tuple[Activation, str]] = {
    "returned": (lambda z, p: z, "returned as a number"),
    "returned besides": (lambda z, p: (z, signs(z)), "returned as a number"),
    "relu": (lambda z, p: jax.nn.relu(z), "goes through"),
    "residual": (lambda z, p: signs(z) + z, "used 2 times"),
    "two thresholds": (lambda z, p: signs(z + 0.5) + signs(z - 1.5), "used 2 times"),
    "two ways of ties": (lambda z, p: signs(z) + jnp.where(z > 0, 1.0, -1.0), "used 2 times"),
    "product of activations": (lambda z, p: signs(z @ signs(p["mean"] + z[:6]).T), "used 2 times"),
    "normalised by its own mean": (lambda z, p: signs(z - jnp.mean(z)), "used 2 times"),
    "absolute": (lambda z, p: signs(jnp.abs(z) - 2.5), "goes through `abs`"),
    "truncated": (lambda z, p: jnp.sign((z * 0.3).astype(int)), "goes through `convert_element_type`"),
    "one-sided clip": (lambda z, p: signs(jnp.clip(z, 0, 1) - 0.5), "goes through `max`"),
    "leak beside the sign": (lambda z, p: z + 2 * jax.lax.stop_gradient(signs(z) - z), "used 3 times"),
    "leak through a call": (lambda z, p: jax.checkpoint(lambda z: (signs(z), 2 * z))(z), "goes through"),
    "never used": (lambda z, p: jnp.zeros(3), "used 0 times"),
}


def all_activations(activations: dict[str, Activation]) -> Callable[[Params, jax.Array], dict[str, Any]]:
    """One function of them all compiles in one go."""

    def function(params: Params, inputs: jax.Array) -> dict[str, Any]:
        return {name: applied(activations[name], own, inputs) for name, own in params.items()}

    return function


TIES = ("where", "strictly above", "whole bias, ties up", "whole bias, ties down", "whole bias, negated", "threshold")


@pytest.mark.parametrize(("rows", "names"), [(8, tuple(NEURONS)), (7, TIES)])
def test_decisions_equal_plain_jax_bit_for_bit(rows: int, names: tuple[str, ...]) -> None:
    params, inputs = layer(rows)
    each = dict.fromkeys(names, params["l"])
    chip = amsim.deploy(all_activations(NEURONS), each, COMPARATOR)
    got, want = chip(inputs), jax.jit(all_activations(NEURONS))(each, inputs)
    assert {name: one.dtype for name, one in got.items()} == {name: one.dtype for name, one in want.items()}
    assert [name for name in each if not np.array_equal(got[name].astype(float), want[name].astype(float))] == []
    assert {row.name: row.readout for row in chip.sites()} == dict.fromkeys(each, "comparator")


@pytest.mark.parametrize("name", NOT_NEURONS)
def test_what_is_no_decision_is_refused_by_a_comparator_alone(name: str) -> None:
    activation, reason = NOT_NEURONS[name]
    with pytest.raises(amsim.DeploymentError, match=r"Site `l` .* ADC") as raised:
        deployed(activation, 7, COMPARATOR)
    assert reason in str(raised.value)
    assert "rows" not in str(raised.value)


def test_what_is_no_decision_is_read_by_an_adc() -> None:
    params, inputs = layer(7)
    each, activations = dict.fromkeys(NOT_NEURONS, params["l"]), {name: one for name, (one, _) in NOT_NEURONS.items()}
    chip = amsim.deploy(all_activations(activations), each, circuits.SwitchedCapacitor(rows=64, columns=8).ideal())
    jax.tree.map(np.testing.assert_array_equal, chip(inputs), jax.jit(all_activations(activations))(each, inputs))
    readouts = {row.name: row.readout for row in chip.sites()}
    assert {readouts[name] for name in NOT_NEURONS} == {"number"}


def test_a_macro_with_both_readouts_decides_where_it_can() -> None:
    def function(params: Any, inputs: jax.Array) -> jax.Array:
        hidden = signs(inputs @ params["a"])
        return jax.nn.relu(hidden @ params["b"])

    params = {"a": binary(1, 7, 5), "b": binary(2, 5, 3)}
    chip = amsim.deploy(function, params, circuits.SwitchedCapacitor())
    assert {row.name: row.readout for row in chip.sites(binary(3, 2, 7))} == {"a": "comparator", "b": "number"}


def test_more_rows_than_the_line_has_cannot_be_decided() -> None:
    macro = dataclasses.replace(COMPARATOR, rows=6)
    with pytest.raises(amsim.DeploymentError, match=r"Site `l` .*at least 7 rows"):
        deployed(NEURONS["where"], 7, macro)
    # With an ADC the partial sums of the tiles are added digitally instead.
    chip, got, want = deployed(NEURONS["where"], 7, circuits.SwitchedCapacitor(rows=6).ideal())
    assert [(row.readout, row.tiles) for row in chip.sites()] == [("number", 2)]
    np.testing.assert_array_equal(got, want)


def test_multi_bit_operands_cannot_be_decided() -> None:
    macro = dataclasses.replace(COMPARATOR, weight_bits=4)
    with pytest.raises(amsim.DeploymentError, match=r"Site `l` .*4-bit weights"):
        deployed(NEURONS["where"], 7, macro)


def test_the_threshold_is_the_comparators_not_the_numbers() -> None:
    # A bias DAC with one step of 1 count cannot reach a threshold of 5: the decision differs from plain JAX.
    params, inputs = {"w": jnp.ones((7, 1))}, jnp.stack([jnp.ones(7), jnp.array([1, 1, 1, 1, 1, -1.0, -1.0])])
    coarse = dataclasses.replace(COMPARATOR, bias_dac=BiasDac(bits=1))

    def function(params: Any, inputs: jax.Array) -> jax.Array:
        return signs(inputs @ params["w"] - 4.5)

    np.testing.assert_array_equal(amsim.deploy(function, params, COMPARATOR)(inputs)[:, 0], [1, -1])
    np.testing.assert_array_equal(amsim.deploy(function, params, coarse)(inputs)[:, 0], [1, 1])
    clipped = amsim.deploy(function, params, coarse).cost(inputs)["clipped_thresholds"]
    assert clipped.values == 1


def attention(params: Any, tokens: jax.Array) -> jax.Array:
    def heads(name: str) -> jax.Array:
        return signs(tokens @ params[name]["w"]).reshape(5, 2, 3)

    scores = jnp.einsum("qhd,khd->hqk", heads("query"), heads("key"))
    mixed = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), heads("value"))
    return signs(signs(mixed.reshape(5, 6)) @ params["out"]["w"])


def test_products_of_activations_stay_digital() -> None:
    params = {name: {"w": binary(seed, 6, 6)} for seed, name in enumerate(("query", "key", "value", "out"))}
    tokens = binary(7, 5, 6)
    chip = amsim.deploy(attention, params, circuits.SwitchedCapacitor(rows=7).ideal())
    np.testing.assert_array_equal(chip(tokens), jax.jit(attention)(params, tokens))
    assert [row.name for row in chip.sites()] == ["query", "key", "value", "out"]


def binarised(model: Any) -> Any:
    """Weights to -1 and +1, biases off the counts."""

    def one(path: Any, leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        return leaf + 0.25 if "bias" in jax.tree_util.keystr(path) else signs(leaf)

    return jax.tree_util.tree_map_with_path(one, model)


def test_equinox_layers_under_vmap_decide() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    sign = eqx.nn.Lambda(signs)
    network = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(2, 4, 3, padding=1, key=keys[0]),
            sign,
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(64, 5, key=keys[1]),
            sign,
            eqx.nn.Linear(5, "scalar", use_bias=False, key=keys[2]),
            sign,
        ]
    )
    network = binarised(network)

    def function(network: Any, images: jax.Array) -> jax.Array:
        return jax.vmap(network)(images)

    images = binary(5, 3, 2, 4, 4)
    chip = amsim.deploy(function, network, COMPARATOR)
    np.testing.assert_array_equal(chip(images), eqx.filter_jit(function)(network, images))
    assert [(row.name, row.readout) for row in chip.sites()] == [
        (f"layers.{index}", "comparator") for index in (0, 3, 5)
    ]
