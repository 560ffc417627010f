"""Named derivatives of fused neurons: outputs stay, the rule alone gives the slope, and the physical one is exact."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import amsim
from amsim import circuits
from amsim.noise.gradients import NOISY_DECISION_RULES, decision

Params = dict[str, jax.Array]

ROWS, COLUMNS = 9, 4
KEYS = jax.random.split(jax.random.key(0), 5)
INPUTS = jnp.where(jax.random.normal(KEYS[0], (6, ROWS)) >= 0, 1.0, -1.0)
MACRO = circuits.SwitchedCapacitor(
    rows=16, columns=8, comparator=circuits.Comparator(noise=20e-3), unit_capacitance=0.3e-15
)
READOUT = jax.random.normal(KEYS[1], (6, COLUMNS))


def new_params() -> Params:
    return {"w": jax.random.normal(KEYS[2], (ROWS, COLUMNS)), "b": 0.7 * jax.random.normal(KEYS[3], (COLUMNS,))}


def sums_of(params: Params, inputs: jax.Array) -> jax.Array:
    return (inputs @ decision(params["w"], "straight-through")) * 0.25 + params["b"][None]


def by_composite(sums: jax.Array) -> jax.Array:
    return sums + jax.lax.stop_gradient(jnp.sign(sums) - sums)


def by_clipped_composite(sums: jax.Array) -> jax.Array:
    clipped = jnp.clip(sums, -1, 1)
    return clipped + jax.lax.stop_gradient(jnp.where(sums >= 0, 1.0, -1.0) - clipped)


SIGNS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "swish": lambda sums: decision(sums, "swish"),
    "jnp.sign": jnp.sign,
    "straight-through by hand": by_composite,
    "clipped by hand": by_clipped_composite,
    "narrow clip": lambda sums: jnp.sign(jnp.tanh(jnp.clip(sums, -0.25, 0.25))),
    "zero and one": lambda sums: (decision(sums, "tanh") + 1) / 2,
}


def network_of(sign: Callable[[jax.Array], jax.Array]) -> Callable[[Params, jax.Array], jax.Array]:
    return lambda params, inputs: sign(sums_of(params, inputs))


def linear_loss(sign: Any, rule: str | None, params: Params, macro: Any, key: Any) -> tuple[jax.Array, jax.Array]:
    """Linear in the decisions, so that the derivative of the average is the average of the derivative; and outputs."""
    outputs = amsim.deploy(network_of(sign), params, macro, key=KEYS[4], decision_rule=rule)(
        INPUTS.astype(float), key=key
    )
    return jnp.sum(READOUT.astype(outputs.dtype) * outputs), outputs


@eqx.filter_jit
def margins_of(params: Params, macro: circuits.SwitchedCapacitor, key: Any) -> tuple[jax.Array, jax.Array]:
    """Margins of the neurons and their noise, by the macro alone."""
    product = circuits.DenseProduct(ROWS, COLUMNS)
    neuron = circuits.Neuron(jnp.full((1, 1), 0.25, params["b"].dtype), params["b"][None])
    die = macro.fabricate(jax.random.split(KEYS[4], 1)[0])
    unit = circuits.ValueRange(-1.0, 1.0)
    site_key = None if key is None else jax.random.split(key, 1)[0]
    weights = decision(params["w"], "straight-through")
    operands = circuits.Operands(product, INPUTS.astype(float), weights, unit, unit)
    found = macro.margin(operands, neuron, die=die, key=site_key)
    return found, 0.25 * macro.noise_counts


def margins(key: Any) -> np.ndarray:
    return np.asarray(margins_of(new_params(), MACRO, key)[0], float)


SLOPES = {
    "straight-through": np.ones_like,
    "clipped": lambda x: (np.abs(x) <= 1).astype(float),
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "swish": lambda x: 5 * (2 - 5 * x * np.tanh(2.5 * x)) / (1 + np.cosh(5 * x)),
}


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("swish", NOISY_DECISION_RULES),
        ("jnp.sign", ("clipped", "physical")),
        ("straight-through by hand", ("tanh",)),
        ("clipped by hand", ("straight-through",)),
        ("narrow clip", ("clipped",)),
        ("zero and one", ("swish",)),
    ],
)
def test_outputs_stay_and_the_slope_is_that_of_the_rule_whatever_the_network_has(name: str, rules: Any) -> None:
    key = jax.random.key(3)
    params = new_params()

    @jax.jit
    def outputs_and_slopes(bias: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        def of(rule: str | None) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
            return lambda bias: linear_loss(SIGNS[name], rule, params | {"b": bias}, MACRO, key)

        return [jax.grad(of(rule), has_aux=True)(bias) for rule in (None, *rules)]

    half = 0.5 if name == "zero and one" else 1.0
    read, (_, own), *ruled = margins(key), *outputs_and_slopes(params["b"])
    for rule, (slope, outputs) in zip(rules, ruled, strict=True):
        np.testing.assert_array_equal(outputs, own)
        if rule != "physical":
            want = half * np.sum(np.asarray(READOUT) * SLOPES[rule](read), axis=0)
            np.testing.assert_allclose(slope, want, rtol=2e-4, atol=1e-5, err_msg=rule)


def test_physical_rule_is_the_derivative_of_the_average_in_weights_and_circuit() -> None:
    with jax.enable_x64(True):
        params, macro = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), (new_params(), MACRO))

        def changed(noise: Any, capacitance: Any) -> circuits.SwitchedCapacitor:
            return eqx.tree_at(lambda m: (m.comparator.noise, m.unit_capacitance), macro, (noise, capacitance))

        @jax.jit
        def of_circuit(noise: jax.Array, capacitance: jax.Array, bias: jax.Array) -> jax.Array:
            return linear_loss(SIGNS["swish"], "physical", params | {"b": bias}, changed(noise, capacitance), None)[0]

        def average(noise: jax.Array, capacitance: jax.Array) -> float:
            """By the error function of SciPy: a decision is +1 with the probability of the normal distribution."""
            still, sigma = margins_of(params, changed(noise, capacitance), None)
            return float(np.sum(np.asarray(READOUT, float) * special.erf(np.asarray(still) / (sigma * math.sqrt(2)))))

        point = (macro.comparator.noise, macro.unit_capacitance)
        slopes = jax.grad(of_circuit, argnums=(0, 1, 2))(*point, params["b"])
        for index in (0, 1):
            step = 1e-5 * point[index]
            up, down = list(point), list(point)
            up[index], down[index] = point[index] + step, point[index] - step
            difference = (average(*up) - average(*down)) / float(2 * step)
            assert abs(difference * float(point[index])) > 1e-3
            assert float(slopes[index]) == pytest.approx(difference, rel=1e-4, abs=0)
        # The bias DAC moves in steps: its derivative is that of the threshold without steps.
        still, sigma = map(np.asarray, margins_of(params, macro, None))
        density = math.sqrt(2 / math.pi) * np.exp(-0.5 * (still / sigma) ** 2) / sigma
        np.testing.assert_allclose(slopes[2], np.sum(np.asarray(READOUT) * density, axis=0), rtol=1e-6)


def test_average_of_many_reads_is_the_expected_decision() -> None:
    reads = 4000
    keys = jax.random.split(jax.random.key(11), reads)
    network = network_of(SIGNS["swish"])
    chip = amsim.deploy(network, new_params(), MACRO, key=KEYS[4], decision_rule="physical").prepared()
    mean = np.asarray(jnp.mean(jax.vmap(lambda key: chip(INPUTS, key=key))(keys), axis=0))
    wanted = special.erf(margins(None) / (0.25 * float(MACRO.noise_counts) * math.sqrt(2)))
    assert np.any(np.abs(wanted) < 0.9)
    np.testing.assert_allclose(mean, wanted, atol=5 / math.sqrt(reads))


def test_measured_columns_have_the_physical_rule_too() -> None:
    macro = circuits.Measured(
        counts=tuple(range(-16, 17)), mean=jnp.arange(-16.0, 17.0)[None, None, :], sigma=jnp.full((1, 1, 33), 2.0),
        rows=16, columns=8, evaluation_energy=1e-12, evaluation_time=1e-8, array_area=1e-8, supply=0.6,
    )  # fmt: skip
    network = network_of(SIGNS["swish"])

    def loss(bias: jax.Array) -> jax.Array:
        return jnp.sum(amsim.deploy(network, new_params() | {"b": bias}, macro, decision_rule="physical")(INPUTS))

    assert np.all(np.asarray(jax.grad(loss)(new_params()["b"])) > 0)


def test_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"`decision_rule` must be one of .*physical.*, but is .physica."):
        amsim.deploy(network_of(jnp.sign), new_params(), MACRO, decision_rule="physica")
