"""Products of two activations and of stacks of weights on macros: equal to plain JAX, noisy, and counted."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.noise.gradients import decision

BATCH, TOKENS, HEADS, WIDTH = 3, 5, 2, 4
X = jax.random.normal(jax.random.key(0), (BATCH, TOKENS, HEADS * WIDTH))
BLOCK = eqx.nn.MultiheadAttention(HEADS, HEADS * WIDTH, key=jax.random.key(1))
FINE = circuits.MultiPrecision(weight_bits=16, input_bits=16, accumulator_bits=48)
BINARY = circuits.SwitchedCapacitor(rows=16, columns=8)
NAMES = [f"{one}_proj" for one in ("query", "key", "value")]


def attention(block: Any, tokens: jax.Array) -> jax.Array:
    return jax.vmap(lambda one: block(one, one, one))(tokens)


def asked(macro: circuits.Macro, **options: Any) -> amsim.Accelerator:
    return amsim.Accelerator(macro, activation_products=True, **options)


def test_scores_stay_digital_unless_asked_for() -> None:
    chip = amsim.deploy(attention, BLOCK, circuits.Exact())
    assert [row.name for row in chip.sites(X)] == [*NAMES, "output_proj"]


def test_attention_on_macros_is_that_of_plain_jax() -> None:
    want = jax.jit(jax.vmap(lambda one: BLOCK(one, one, one)))(X)
    for macro, tolerance in ((circuits.Exact(), 1e-6), (FINE, 2e-3)):
        chip = amsim.deploy(attention, BLOCK, asked(macro))
        np.testing.assert_allclose(chip(X), want, rtol=0, atol=tolerance)
    rows = {row.name: row for row in chip.sites()}
    assert list(rows) == [*NAMES, "activations", "activations#2", "output_proj"]
    scores, mixed = rows["activations"], rows["activations#2"]
    assert (scores.rows, scores.columns, mixed.rows, mixed.columns) == (WIDTH, TOKENS, TOKENS, WIDTH)
    slope = jax.grad(lambda x: jnp.sum(jnp.sin(chip(x))))(X)
    plain = jax.grad(lambda x: jnp.sum(jnp.sin(attention(BLOCK, x))))(X)
    np.testing.assert_allclose(slope, plain, rtol=0, atol=5e-3)


def test_rules_send_them_anywhere() -> None:
    rules = {"activations": FINE, "activations.*": circuits.DigitalBinary(), ".*_proj": circuits.Exact()}
    chip = amsim.deploy(attention, BLOCK, amsim.Accelerator(rules, activation_products=True))
    macros = {row.name: row.macro for row in chip.sites(X)}
    assert (macros["activations"], macros["activations#2"]) == ("MultiPrecision", "DigitalBinary")
    chip = amsim.deploy(attention, BLOCK, amsim.Accelerator({".*_proj": circuits.Exact()}, activation_products=True))
    assert [row.reason for row in chip.sites(X) if row.name == "activations"] == [
        "stays digital: no rule matches its name"
    ]


FORMS: dict[str, str] = {
    "scores": "bqhd,bkhd->bhqk",
    "mixed values": "bhqk,bkhd->bqhd",
    "outer": "bi,bj->bij",
    "one number": "bi,bi->b",
    "two batch axes": "bhi,bhij->bhj",
    "first loaded": "bij,bjk->bki",
}


@pytest.mark.parametrize("weights_are", ["activations", "parameters"])
def test_every_batched_form_is_exact_on_binary_macros(weights_are: str) -> None:
    sizes = dict(zip("bhqkdij", (3, 2, 4, 5, 6, 7, 2), strict=True))
    keys = iter(jax.random.split(jax.random.key(2), 20))

    def operands(form: str) -> tuple[jax.Array, ...]:
        parts = form.partition("->")[0].split(",")
        return tuple(decision(jax.random.normal(next(keys), [sizes[letter] for letter in part])) for part in parts)

    left = {name: operands(form) for name, form in FORMS.items()}
    right = {name: both[1] for name, both in left.items()}
    left_only = {name: both[0] for name, both in left.items()}

    def function(params: Any, first: Any, second: Any) -> Any:
        other = params if second is None else second
        return {name: jnp.einsum(form, first[name], other[name]) for name, form in FORMS.items()}

    own, data = (right, None) if weights_are == "parameters" else ({}, right)
    want = function(right, left_only, None)
    macros: list[circuits.Macro] = [circuits.DigitalBinary(columns=8)]
    for macro in macros if weights_are == "activations" else [*macros, BINARY.ideal()]:
        chip = amsim.deploy(function, own, asked(macro))
        jax.tree.map(np.testing.assert_array_equal, chip(left_only, data), want)
        rows = chip.sites()
        assert {row.reason for row in rows} == {""}
        assert len(rows) == len(FORMS)


def test_inside_a_loop_and_a_call_with_a_rule() -> None:
    def function(params: Any, x: jax.Array) -> jax.Array:
        step = jax.checkpoint(lambda h, one: (jnp.tanh(h @ one), None))
        return jax.lax.scan(step, x[0, :, :TOKENS], x[:, :, :TOKENS])[0]

    chip = amsim.deploy(function, {}, asked(circuits.Exact()))
    np.testing.assert_allclose(chip(X), function({}, X), rtol=1e-6)
    assert [(row.name, row.inside) for row in chip.sites()] == [("activations", "scan of 3")]


def test_each_member_is_a_read_of_its_own_on_one_die() -> None:
    noisy = circuits.SwitchedCapacitor(rows=16, columns=8, unit_capacitance=1e-18)
    same = jnp.ones((50, 4, 16))

    def function(params: Any, x: jax.Array) -> jax.Array:
        return x @ jnp.swapaxes(x, 1, 2)

    chip = amsim.deploy(function, {}, asked(noisy), key=jax.random.key(0))
    still, reads = np.asarray(chip(same)), np.asarray(chip(same, key=jax.random.key(1)))
    np.testing.assert_array_equal(still, np.broadcast_to(still[:1], still.shape))
    assert len(np.unique(reads.reshape(50, -1), axis=0)) > 40


def test_a_decision_with_weights_of_its_own_for_each_member_is_an_error() -> None:
    def function(params: Any, x: jax.Array) -> jax.Array:
        return decision(jnp.einsum("bi,bij->bj", x, params["w"]))

    params = {"w": jnp.ones((BATCH, 5, 4))}
    with pytest.raises(amsim.DeploymentError, match="batch axes, a different weight for each member"):
        amsim.deploy(function, params, dataclasses.replace(BINARY, adc=None)).sites(jnp.ones((BATCH, 5)))


def test_activations_are_loaded_at_each_inference() -> None:
    def function(params: Any, x: jax.Array) -> jax.Array:
        return jnp.einsum("bqhd,bkhd->bhqk", *[x.reshape(BATCH, TOKENS, HEADS, WIDTH)] * 2)

    macro = circuits.DigitalBinary(rows=16, columns=8)
    stored = HEADS * WIDTH * TOKENS  # bits of the keys of one inference
    for batch in (1.0, 4.0):
        chip = amsim.deploy(function, {}, asked(macro, inferences_per_load=batch))
        (layer,) = chip.workload(X).layers
        assert (layer.repeats, layer.work.positions, layer.weights_are_activations) == (HEADS, TOKENS, True)
        cost = chip.cost(X)
        read = cost["bits_read"].sel(site="activations")
        # Queries and keys, once each; nothing from the weight memory.
        assert float(read.sel(memory="activation_memory")) == 2 * stored
        assert float(read.sel(memory="weight_memory")) == 0
        cycles = HEADS * TOKENS * 2 + stored / 256
        assert float(cost["cycles"].sel(site="activations")) == pytest.approx(cycles, rel=1e-6)


def test_stacked_weights_cost_what_their_members_cost() -> None:
    params = {"stack": {"w": jnp.ones((3, 8, 4))}}
    macro = circuits.MultiPrecision()
    x = jax.random.normal(jax.random.key(3), (6, 3, 8))
    together = amsim.deploy(lambda p, x: jnp.einsum("bei,eij->bej", x, p["stack"]["w"]), params, macro)
    apart = amsim.deploy(
        lambda p, x: [x[:, e] @ p[e]["w"] for e in range(3)], [{"w": jnp.ones((8, 4))} for _ in range(3)], macro
    )
    one, several = together.cost(x), apart.cost(x)
    for name in ("energy", "latency"):
        np.testing.assert_allclose(float(one[name].sum()), float(several[name].sum()), rtol=1e-5)


def test_calibration_says_what_it_does_not_cover() -> None:
    def function(params: Any, x: jax.Array) -> jax.Array:
        return jnp.einsum("bi,bij->bj", x.astype(jnp.float32), params["w"])

    with pytest.raises(ValueError, match="Site `w` cannot be calibrated: it has a different weight for each member"):
        amsim.calibrate(function, {"w": jnp.ones((3, 5, 4))}, FINE, np.ones((3, 5), np.uint8), steps=False)
