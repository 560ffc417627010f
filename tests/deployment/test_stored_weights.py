"""Parameters are stored once, in whatever form and however often their sites use them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.deployment.chip import traced_chip
from amsim.deployment.mapping.stored_weights import stored_weights
from amsim.system.accelerator import Accelerator
from amsim.workloads import Workload, dense
from amsim.workloads.weight_parts import first_stored

UNITS = circuits.MultiPrecision()
SQUARE = jax.random.normal(jax.random.key(0), (6, 6))
WIDE = jax.random.normal(jax.random.key(1), (6, 9))
STACK = jax.random.normal(jax.random.key(2), (4, 6, 6))
X = jnp.ones((2, 6))


@jax.custom_vjp
def binarised(weight: jax.Array) -> jax.Array:
    return jnp.sign(weight)


binarised.defvjp(lambda weight: (jnp.sign(weight), None), lambda _, slope: (slope,))


def quantised(weight: jax.Array) -> jax.Array:
    scale = jnp.max(jnp.abs(weight), axis=0, keepdims=True) / 7
    rounded = jnp.clip(jnp.round(weight / scale), -7, 7) * scale
    return weight + jax.lax.stop_gradient(rounded - weight)


def words(function: Callable[..., Any], params: Any) -> int:
    """Words that all sites store together; nothing is compiled."""
    traced = traced_chip(amsim.deploy(function, params, UNITS), (X,))
    parts = [dict(one.parts) for one in stored_weights(traced.network, traced.names)]
    return sum(sum(new.values()) for new in first_stored(parts))


FORMS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "cast": lambda w: w.astype(jnp.bfloat16).astype(jnp.float32),
    "normalised": lambda w: w / jnp.linalg.norm(w, axis=0, keepdims=True),
    "by its mean": lambda w: (w - jnp.mean(w)) / (jnp.std(w) + 1e-6),
    "scaled": lambda w: 3 * w,
    "sign": jnp.sign,
    "sign with a rule": binarised,
    "where": lambda w: jnp.where(w >= 0, 1.0, -1.0),
    "quantised": quantised,
    "clipped": lambda w: jnp.clip(jnp.tanh(w), -0.5, 0.5),
    "transposed": jnp.transpose,
    "turned": lambda w: jnp.rot90(w),
    "reshaped": lambda w: w.reshape(3, 12).reshape(6, 6),
    "rolled": lambda w: jnp.roll(w, 2, axis=1),
    "mapped by row": lambda w: jax.lax.map(lambda row: row / jnp.max(jnp.abs(row)), w),
    "checkpointed": jax.checkpoint(lambda w: w * jnp.abs(w)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_parameter_in_two_forms_is_stored_once(form: Callable[[jax.Array], jax.Array]) -> None:
    assert words(lambda p, x: jnp.tanh(x @ p["w"]) @ form(p["w"]), {"w": SQUARE}) == 36


def test_a_parameter_in_all_forms_is_stored_once() -> None:
    def network(p: Any, x: jax.Array) -> jax.Array:
        for form in FORMS.values():
            x = jnp.tanh(x @ form(p["w"]))
        return x

    assert words(network, {"w": SQUARE}) == 36
    chip = amsim.deploy(network, {"w": SQUARE}, UNITS)
    assert float(chip.cost(X)["stored_bits"].sum()) == 36 * UNITS.weight_bits
    assert chip.workload(X).weight_words == 36


def test_a_tied_decoder_is_stored_once_and_transposed_cells_twice() -> None:
    def tied(p: Any, x: jax.Array) -> jax.Array:
        return jnp.tanh(x @ p["w"]) @ p["w"].T

    assert words(tied, {"w": WIDE}) == 54
    # Cells hold the two forms of the matrix beside one another: 9 and 6 columns.
    for columns, loads in ((15, False), (14, True)):
        cost = amsim.deploy(tied, {"w": WIDE}, circuits.DigitalBinary(rows=16, columns=columns)).cost(X)
        assert (float(cost["bits_read"].sel(memory="weight_memory").sum()) > 0) == loads
        assert float(cost["stored_bits"].sum()) == 54
    shapes = Workload("shapes", (dense("in", 6, 9, weights="w"), dense("out", 9, 6, weights="w")))
    assert shapes.weight_words == 54
    cost = Accelerator(UNITS).cost(shapes)
    assert float(cost["stored_bits"].sum()) == 54 * UNITS.weight_bits


PARTS: dict[str, tuple[Callable[..., Any], float]] = {
    "split in three": (lambda w, x: [x @ part for part in jnp.split(w, 3, axis=1)], 54),
    "split, one left out": (lambda w, x: [x @ part for part in jnp.split(w, 3, axis=1)[:2]], 36),
    "overlapping": (lambda w, x: (x @ w[:, :6], x @ w[:, 3:]), 54),
    "inside another": (lambda w, x: (x @ w[:, :6], x[:, :3] @ w[:3, :3]), 36),
    "the same, transposed": (lambda w, x: (x[:, :2] @ w[:2], x @ jnp.zeros((6, 9)) @ w[:2].T), 18),
    "whole and part": (lambda w, x: (x @ w, x @ w[:, ::2]), 54),
    "chosen columns": (lambda w, x: (x @ w[:, jnp.array([0, 2, 5])], x @ w[:, :3]), 24),
    "taken": (lambda w, x: (x @ jnp.take(w, jnp.array([1, 1]), axis=1), x @ w[:, 1:2]), 6),
    "tiled": (lambda w, x: x @ jnp.tile(w, (1, 3)), 54),
    "joined with itself": (lambda w, x: x @ jnp.concatenate([w, w[:, :2]], axis=1), 54),
    "padded": (lambda w, x: (x @ w, x @ jnp.pad(w, ((0, 0), (1, 2)))), 54),
    "one filter for all maps": (
        lambda w, x: jax.lax.conv_general_dilated(
            jnp.tile(x[:, :, None], (1, 1, 5)), jnp.broadcast_to(w[0, :3, None, None], (3, 1, 5)), (1,), "VALID",
            dimension_numbers=("NHC", "HIO", "NHC"), feature_group_count=5,
        ), 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function", "stored"), PARTS.values(), ids=PARTS)
def test_parts_of_a_parameter_are_stored_as_they_overlap(function: Callable[..., Any], stored: float) -> None:
    assert words(lambda p, x: function(p["w"], x), {"w": WIDE}) == stored


def stepped(step: Callable[..., jax.Array], start: jax.Array, stack: jax.Array) -> jax.Array:
    """Steps through a stack of weights."""
    return jax.lax.scan(lambda h, w: (step(h, w), None), start, stack)[0]


LOOPS: dict[str, tuple[Callable[..., Any], float]] = {
    "stacked": (lambda s, x: stepped(lambda h, w: h @ w, x, s), 144),
    "stacked, and back transposed": (
        lambda s, x: stepped(lambda h, w: h @ w.T, stepped(lambda h, w: h @ w, x, s), s), 144
    ),
    "stacked and one of them": (lambda s, x: stepped(lambda h, w: h @ w, x, s) @ s[1].T, 144),
    "one of them many times": (lambda s, x: jax.lax.fori_loop(0, 7, lambda _, h: h @ jnp.sign(s[2]), x), 36),
    "carried": (
        lambda s, x: jax.lax.fori_loop(0, 5, lambda _, one: (one[0] @ one[1], one[1]), (x, s[0]))[0] @ s[0].T, 36
    ),
    "by number": (lambda s, x: jax.lax.fori_loop(0, 4, lambda i, h: h @ s[i], x) @ s[3], 144),
    "some by number, then all": (
        lambda s, x: stepped(lambda h, w: h @ w, jax.lax.fori_loop(0, 3, lambda i, h: h @ s[i], x), s), 144
    ),
    "windows by number": (
        lambda s, x: jax.lax.fori_loop(
            0, 9, lambda i, h: h @ jax.lax.dynamic_slice_in_dim(s.reshape(24, 6), 2 * i, 6), x
        ), 144,
    ),
    "some by number": (lambda s, x: jax.lax.fori_loop(0, 3, lambda i, h: h @ s[i], x), 108),
    "two halves of each": (
        lambda s, x: stepped(lambda h, w: h @ w[:, :3] @ w[:3], x, s), 4 * (18 + 18 - 9)
    ),
    "normalised by layer": (
        lambda s, x: stepped(lambda h, w: h @ w, x, jax.vmap(lambda w: w / jnp.linalg.norm(w))(s)) @ s[0], 144
    ),
    "members of a batch": (lambda s, x: jnp.einsum("bi,eij->ebj", x, s) @ s[0], 144),
    "in branches": (lambda s, x: jax.lax.cond(x[0, 0] > 0, lambda: x @ s[0], lambda: x @ s[0].T), 36),
}  # fmt: skip


@pytest.mark.parametrize(("function", "stored"), LOOPS.values(), ids=LOOPS)
def test_loops_store_what_they_use(function: Callable[..., Any], stored: float) -> None:
    assert words(lambda p, x: function(p["s"], x), {"s": STACK}) == stored


def test_weights_made_of_several_parameters() -> None:
    params = {
        "w": SQUARE,
        "mask": jnp.ones((6, 6)),
        "a": jnp.ones((6, 2)),
        "b": jnp.ones((2, 6)),
        "scale": jnp.ones(()),
    }

    def adapted(p: Any) -> jax.Array:
        return p["w"] * p["scale"] + p["a"] @ p["b"]

    assert words(lambda p, x: x @ adapted(p) @ adapted(p).T, params) == 36
    assert words(lambda p, x: x @ (p["w"] * p["mask"]) @ (p["w"].T * p["mask"].T), params) == 36
    # Two weights of the same parameters.
    assert words(lambda p, x: x @ p["w"] @ adapted(p), params) == 72
    assert words(lambda p, x: x @ (p["a"] @ p["b"]) @ (p["b"].T @ p["a"].T).T, params) == 72
    # Joined, and one of them elsewhere.
    both = jax.tree.map(jnp.asarray, {"w": SQUARE, "v": WIDE})
    assert words(lambda p, x: (x @ jnp.concatenate([p["w"], p["v"]], axis=1), x @ p["v"]), both) == 36 + 54


def test_equal_numbers_of_two_parameters_are_stored_twice() -> None:
    assert words(lambda p, x: x @ p["a"] @ p["b"], {"a": SQUARE, "b": SQUARE}) == 72


def test_a_parameter_on_two_macros_is_stored_once_for_each_word_length() -> None:
    def bits(*lengths: int) -> float:
        rules = {
            pattern: circuits.DigitalBinary(rows=32, columns=4, weight_bits=length)
            for pattern, length in zip(("w", "w#2"), lengths, strict=True)
        }
        return float(amsim.deploy(lambda p, x: x @ p["w"] @ p["w"], {"w": SQUARE}, rules).cost(X)["stored_bits"].sum())

    assert bits(4, 4) == 36 * 4
    assert bits(4, 2) == 36 * (4 + 2)


def test_stored_once_is_missing_once() -> None:
    def dram(function: Callable[..., Any], capacity: float) -> float:
        memory = circuits.Sram(capacity)
        hardware = Accelerator(UNITS, weight_memory=memory)
        return float(amsim.deploy(function, {"w": SQUARE}, hardware).cost(X)["bits_read"].sel(memory="dram").sum())

    bits = 36.0 * UNITS.weight_bits
    for function in (lambda p, x: x @ p["w"] @ p["w"].T, lambda p, x: x @ p["w"] @ jnp.sign(p["w"])):
        assert dram(function, bits) == 0
        np.testing.assert_allclose(dram(function, bits - 8), 8, rtol=1e-5)


def test_layers_share_parts_by_name() -> None:
    first, second = dense("qkv", 4, 6), dense("q", 4, 2)
    layers = (
        amsim.workloads.Layer("qkv", first.work, weight_parts=(("q", 8), ("kv", 16))),
        amsim.workloads.Layer("q", second.work, weight_parts=(("q", 8),)),
    )
    assert Workload("attention", layers).weight_words == 24
    with pytest.raises(ValueError, match="share parts of one size, but 'q' has 8 and 9 words"):
        Workload("attention", (layers[0], amsim.workloads.Layer("q", second.work, weight_parts=(("q", 9),))))
