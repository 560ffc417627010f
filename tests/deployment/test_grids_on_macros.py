"""Values on a grid are coded exactly by a macro whose words reach as far, and a bound on values changes nothing."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.circuits.selection.codes import fixes_code
from amsim.deployment.tracing.flattening import flatten

X = jax.random.normal(jax.random.key(0), (8, 12))
PARAMS = {
    "w": jax.random.normal(jax.random.key(1), (12, 4)),
    "step": jnp.array(0.31),
    "steps": jnp.linspace(0.1, 0.5, 4),
    "inverse": jnp.array(3.3),
}
Network = Callable[[Any, jax.Array], jax.Array]


def quantised(x: jax.Array, step: Any, low: int = -8, high: int = 7) -> jax.Array:
    return jnp.clip(jnp.round(x / step), low, high) * step


def straight_through(x: jax.Array, step: Any) -> jax.Array:
    return x + jax.lax.stop_gradient(quantised(x, step) - x)


@jax.custom_vjp
def with_rule(x: jax.Array, step: jax.Array) -> jax.Array:
    return quantised(x, step)


with_rule.defvjp(lambda x, step: (with_rule(x, step), None), lambda kept, slope: (slope, jnp.zeros(())))


def by_rows(w: jax.Array, function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda carry, row: (carry, function(row) @ w), 0.0, x)[1]


FORMS: dict[str, Network] = {
    "constant step": lambda p, x: quantised(x, 0.3) @ quantised(p["w"], 0.25),
    "learned step": lambda p, x: quantised(x, p["step"]) @ quantised(p["w"], p["step"]),
    "step for each column": lambda p, x: quantised(x, 0.3) @ quantised(p["w"], p["steps"][None]),
    "constants for each column": lambda p, x: (
        quantised(x, 0.3) @ quantised(p["w"], jnp.array([[0.125, 0.25, 0.5, 1.0]]))
    ),
    "steps of the largest values": lambda p, x: (
        quantised(x, jnp.max(jnp.abs(x)) / 8) @ quantised(p["w"], jnp.max(jnp.abs(p["w"]), 0, keepdims=True) / 8)
    ),
    "straight through": lambda p, x: straight_through(x, 0.3) @ straight_through(p["w"], p["steps"][None]),
    "unsigned": lambda p, x: quantised(x, p["step"], 0, 15) @ quantised(p["w"], 0.25),
    "unsigned, negative step": lambda p, x: quantised(x, -p["step"], 0, 15) @ quantised(p["w"], 0.25),
    "custom derivative": lambda p, x: with_rule(x, p["step"]) @ with_rule(p["w"], p["step"]),
    "transposed weight": lambda p, x: quantised(x, 0.3) @ quantised(p["w"].T, p["steps"][:, None]).T,
    "divided by the inverse": lambda p, x: (
        (jnp.clip(jnp.round(x * p["inverse"]), -8, 7) / p["inverse"]) @ quantised(p["w"], 0.25)
    ),
    "zero-point": lambda p, x: ((jnp.clip(jnp.round(x / 0.2) + 5, 0, 15) - 5) * 0.2) @ quantised(p["w"], 0.25),
    "integers": lambda p, x: (
        (jnp.clip(jnp.round(x / p["step"]), -8, 7).astype(jnp.int8).astype(jnp.float32) * p["step"])
        @ quantised(p["w"], 0.25)
    ),
    "rectified": lambda p, x: jax.nn.relu(quantised(x, p["step"])) @ quantised(p["w"], 0.25),
    "pooled": lambda p, x: jnp.max(quantised(x, p["step"]).reshape(4, 2, 12), 1) @ quantised(p["w"], 0.25),
    "in a loop": lambda p, x: by_rows(quantised(p["w"], p["steps"][None]), lambda row: quantised(row, p["step"]), x),
    "sum of two grids": lambda p, x: (quantised(x, 0.5, -2, 1) + quantised(x[::-1], 0.25, -3, 3)) @ jnp.sign(p["w"]),
}


def relative_error(found: Any, right: Any) -> float:
    return float(np.sqrt(np.mean((np.asarray(found) - right) ** 2) / np.mean(np.asarray(right) ** 2)))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_quantiser_is_exact(name: str) -> None:
    network = FORMS[name]
    macro = circuits.DigitalBinary(rows=16, weight_bits=4, input_bits=4)
    assert relative_error(amsim.deploy(network, PARAMS, macro)(X), network(PARAMS, X)) < 1e-6


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "name", ["constant step", "learned step", "step for each column", "straight through", "zero-point"]
)
@pytest.mark.parametrize("method", ["min-max", "minimum-error"])
def test_calibration_keeps_a_quantiser_exact(name: str, method: str) -> None:
    network = FORMS[name]
    macro = circuits.DigitalBinary(rows=16, weight_bits=4, input_bits=4)
    chip = amsim.calibrate(network, PARAMS, macro, X, method=method, symmetric=name != "zero-point").chip
    assert relative_error(chip(X), network(PARAMS, X)) < 1e-6


@pytest.mark.sampled(3)
@pytest.mark.parametrize("family", [circuits.DigitalBinary, circuits.MultiPrecision, circuits.SwitchedCapacitor])
@pytest.mark.parametrize(("bits", "wider"), [(2, 0), (3, 2)])
def test_twos_complement_is_exact_in_every_family(family: Any, bits: int, wider: int) -> None:
    half = 2 ** (bits - 1)

    def network(p: Any, x: jax.Array) -> jax.Array:
        return quantised(x, 3.0 / half, -half, half - 1) @ quantised(p["w"], 2.0 / half, -half, half - 1)

    chip = amsim.deploy(network, PARAMS, family(weight_bits=bits + wider, input_bits=bits + wider), key=None)
    assert relative_error(chip(X), network(PARAMS, X)) < 2e-6


REDUNDANT: dict[str, Callable[[jax.Array], jax.Array]] = {
    "wide clip": lambda x: jnp.clip(x, -1e6, 1e6),
    "wide clip of one side": lambda x: jnp.minimum(x, 3e4),
    "mask of nothing": lambda x: jnp.where(jnp.zeros(x.shape, bool), -1e9, x),
    "mask of nothing that data decide": lambda x: jnp.where(jnp.isnan(x), -1e9, x),
    "smallest number of its type, where data decide": lambda x: jnp.where(x > 1e30, jnp.finfo(x.dtype).min, x),
}
VALUES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "any": lambda x: x,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "rounded": lambda x: jnp.round(4 * x) / 4,
    "quantised": lambda x: quantised(x, 0.25),
    "signs": jnp.sign,
}


@pytest.mark.parametrize("name", VALUES)
def test_a_redundant_bound_fixes_no_code(name: str) -> None:
    def known(function: Callable[[jax.Array], jax.Array]) -> tuple[Any, ...]:
        closed = jax.make_jaxpr(function)(X)
        found = flatten(closed, 0).outputs[0].range.of_code
        return found.step, found.not_negative, *(fixes_code(found, bits) for bits in (1, 4, 8))

    values = VALUES[name]
    for case, bound in REDUNDANT.items():
        step, not_negative, *fixed = known(lambda x, bound=bound: bound(values(x)))
        want_step, want_sign, *wanted = known(values)
        assert step == want_step, case
        # A value below 0 that data may bring costs the bit of the sign.
        assert not_negative == want_sign or ("data decide" in case and want_sign), case
        # Where data could leave the words, whether they do is found from the data.
        assert "data decide" in case or fixed == wanted, case


@pytest.mark.parametrize("name", ["tanh", "quantised"])
def test_a_redundant_bound_changes_no_output(name: str) -> None:
    macro = circuits.DigitalBinary(rows=16, weight_bits=4, input_bits=4)
    outputs = {
        case: amsim.deploy(lambda p, x, bound=bound: bound(VALUES[name](x)) @ p["w"], PARAMS, macro)(X)
        for case, bound in {"plain": lambda x: x, **REDUNDANT}.items()
    }
    for case, found in outputs.items():
        np.testing.assert_array_equal(found, outputs["plain"], err_msg=case)


@pytest.mark.parametrize("bits", [1, 4])
def test_a_container_is_no_range(bits: int) -> None:
    """Small numbers in long integers are what they are as floating-point numbers."""
    numbers = np.random.default_rng(0).integers(0, 2**bits, (8, 12))
    numbers[:, 0] = 2**bits - 1
    weights = {"w": jnp.sign(PARAMS["w"])}
    macro = circuits.DigitalBinary(rows=16, weight_bits=bits, input_bits=bits)
    right = numbers @ np.asarray(weights["w"])

    def network(p: Any, x: jax.Array) -> jax.Array:
        return x.astype(jnp.float32) @ p["w"]

    for dtype in (np.uint8, np.int16, np.uint32):
        if np.iinfo(dtype).min == 0 or bits == 1:
            found = amsim.deploy(network, weights, macro)(numbers.astype(dtype))
            assert relative_error(found, right) < 1e-6, dtype
    through_bytes = amsim.deploy(lambda p, x: network(p, x.astype(jnp.uint8)), weights, macro)
    assert relative_error(through_bytes(numbers.astype(np.float32)), right) < 1e-6
    signed = {"w": jnp.asarray(np.random.default_rng(1).choice([-1, 1], (12, 4)).astype(np.int8))}
    stored = amsim.deploy(lambda p, x: x @ (0.5 * p["w"].astype(jnp.float32)), signed, macro)
    assert relative_error(stored(jnp.sign(X)), np.sign(X) @ (0.5 * np.asarray(signed["w"]))) < 1e-6


def test_weights_packed_in_bytes_are_exact() -> None:
    words = np.random.default_rng(0).integers(0, 16, (12, 4)).astype(np.uint8)
    packed = {"w": jnp.asarray(words[:, 0::2] | (words[:, 1::2] << 4))}

    def network(p: Any, x: jax.Array) -> jax.Array:
        unpacked = jnp.stack([p["w"] & 15, p["w"] >> 4], -1).reshape(12, 4)
        return x @ ((unpacked.astype(jnp.float32) - 8) * 0.1)

    signs = jnp.sign(X)
    for bits in (4, 8):
        macro = circuits.DigitalBinary(rows=16, weight_bits=bits, input_bits=1)
        assert relative_error(amsim.deploy(network, packed, macro)(signs), network(packed, signs)) < 1e-6
