"""Which axis counts inferences: the cost of one does not depend on how many are counted together, or it is refused."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.deployment.chip import traced_chip
from amsim.deployment.running.inferences import Shares, batch_of

UNITS = circuits.MultiPrecision()
PARAMS = {
    "w": jnp.ones((8, 16)),
    "u": jnp.ones((16, 16)),
    "o": jnp.ones((16, 5)),
    "joined": jnp.ones((24, 16)),
    "k": jnp.ones((3, 8, 4)),
}


def macs(function: Callable[..., Any], *inputs: Any, in_axes: Any = 0) -> dict[str, float]:
    """Multiply-accumulates of an inference by site; nothing is compiled."""
    traced = traced_chip(amsim.deploy(function, PARAMS, UNITS), inputs)
    shares = Shares(traced.network, len(traced.leaves), batch_of(inputs, in_axes))
    found = {one.site.name: shares.of(one) for one in traced.sites}
    return {name: share.work.macs * share.runs * share.real for name, share in found.items()}


def masked(p: Any, mask: jax.Array, x: jax.Array) -> jax.Array:
    return (x * mask[None]) @ p["w"]


def with_table(p: Any, table: jax.Array, x: jax.Array) -> jax.Array:
    """Frames with their positions, of which a layer of its own makes keys."""
    keys = table @ p["w"]
    return jnp.einsum("btd,sd->bts", (x + table[None]) @ p["w"], keys)


def with_table_by_item(p: Any, table: jax.Array, x: jax.Array) -> jax.Array:
    return jax.lax.map(lambda one: with_table(p, table, one[None])[0], x)


@pytest.mark.parametrize("batch", [1, 3, 6, 8, 64])
def test_what_inferences_share_counts_in_full_for_each(batch: int) -> None:
    mask, table, x = jnp.ones(8), jnp.ones((6, 8)), jnp.ones((batch, 8))
    frames = jnp.ones((batch, 6, 8))
    assert macs(masked, mask, x, in_axes=(None, 0)) == {"w": 128}
    for function in (with_table, with_table_by_item):
        assert sorted(macs(function, table, frames, in_axes=(None, 0)).values()) == [6 * 128, 6 * 128]
    if batch == 1:
        return
    # Without a word it is refused, also where the sizes happen to be the same.
    for function, inputs in ((masked, (mask, x)), (with_table, (table, frames))):
        with pytest.raises(ValueError, match="`in_axes` says which axis of each input"):
            macs(function, *inputs)


def recurrent(p: Any, x: jax.Array) -> jax.Array:
    step = lambda h, f: (jnp.tanh(f @ p["w"] + h @ p["u"]), None)  # noqa: E731
    return jax.lax.scan(step, jnp.zeros((x.shape[1], 16)), x)[0] @ p["o"]


def recurrent_joined(p: Any, x: jax.Array) -> jax.Array:
    step = lambda h, f: ((new := jnp.tanh(jnp.concatenate([f, h], -1) @ p["joined"])), new)  # noqa: E731
    return jax.lax.scan(step, jnp.zeros((x.shape[1], 16)), x)[1]


def written_out(p: Any, x: jax.Array) -> jax.Array:
    h = jnp.zeros((x.shape[1], 16))
    for frame in x:
        h = jnp.tanh(frame @ p["w"] + h @ p["u"])
    return h


def pooled(p: Any, x: jax.Array) -> jax.Array:
    return jnp.mean(x @ p["w"], axis=0)


def pooled_then_dense(p: Any, x: jax.Array) -> jax.Array:
    return pooled(p, x) @ p["o"]


def last(p: Any, x: jax.Array) -> jax.Array:
    return (x @ p["w"])[-1] @ p["o"]


def attention(p: Any, x: jax.Array) -> jax.Array:
    h = x @ p["w"]
    scores = jax.nn.softmax(jnp.einsum("tbd,sbd->bts", h, h))
    return jnp.einsum("bts,sbd->tbd", scores, h) @ p["o"]


def convolved(p: Any, x: jax.Array) -> jax.Array:
    layout = ("HNC", "HIO", "HNC")
    sums = jax.lax.conv_general_dilated(x, p["k"], (1,), "SAME", dimension_numbers=layout)
    return jax.lax.conv_general_dilated(jnp.tile(sums, 2), p["k"], (1,), "SAME", dimension_numbers=layout)


FRAMES_FIRST = (
    recurrent, recurrent_joined, written_out, pooled, pooled_then_dense, last, attention, convolved,
)  # fmt: skip


@pytest.mark.parametrize("function", FRAMES_FIRST, ids=lambda one: one.__name__)
def test_frames_that_come_first_are_no_inferences(function: Callable[..., Any]) -> None:
    alone = macs(function, jnp.ones((6, 1, 8)), in_axes=1)
    for frames, batch in ((6, 3), (6, 6), (6, 12)):
        x = jnp.ones((frames, batch, 8))
        assert macs(function, x, in_axes=1) == macs(function, x, in_axes=-2) == alone
        with pytest.raises(ValueError, match=f"{frames} inferences along axis 0, but .* several of them together"):
            macs(function, x)
        # The same network with its batch first needs no word, and a whole batch may be one inference.
        batched = jnp.swapaxes(x, 0, 1)
        assert macs(lambda p, x: function(p, jnp.swapaxes(x, 0, 1)), batched, in_axes=None) == {
            name: batch * found for name, found in alone.items()
        }


def first_last(function: Callable[..., Any]) -> Callable[..., Any]:
    """The network with batch first, in and out."""

    def network(p: Any, x: jax.Array) -> Any:
        out = function(p, jnp.swapaxes(x, 0, 1))
        return jnp.swapaxes(out, 0, 1) if out.ndim == 3 else out

    return network


@pytest.mark.parametrize("function", FRAMES_FIRST, ids=lambda one: one.__name__)
def test_batches_first_are_inferences(function: Callable[..., Any]) -> None:
    found = [macs(first_last(function), jnp.ones((batch, 6, 8))) for batch in (1, 3, 6, 12)]
    assert all(one == found[0] for one in found)


def normalised(p: Any, x: jax.Array) -> Any:
    """Batch normalisation in training, whose statistics go out as well."""
    h = x @ p["w"]
    mean = jnp.mean(h, axis=0, keepdims=True)
    return jnp.tanh((h - mean) / (jnp.std(h, axis=0, keepdims=True) + 1e-3)) @ p["o"], mean[0]


TOGETHER: dict[str, tuple[Callable[..., Any], dict[str, float]]] = {
    "batch normalisation": (normalised, {"w": 128, "o": 80}),
    "range of the batch": (lambda p, x: jnp.round(x / jnp.max(jnp.abs(x))) @ p["w"], {"w": 128}),
    "distance to the first": (lambda p, x: (x - x[:1]) @ p["w"], {"w": 128}),
    "by item": (lambda p, x: jax.lax.map(lambda one: jnp.tanh(one @ p["w"]) @ p["o"], x), {"w": 128, "o": 80}),
    "by vmap": (lambda p, x: jax.vmap(lambda one: jnp.tanh(one @ p["w"]) @ p["o"])(x), {"w": 128, "o": 80}),
    "loss": (lambda p, x: jnp.mean((x @ p["w"]) ** 2), {"w": 128}),
    "reshaped": (lambda p, x: (jnp.tile(x, 2).reshape(2 * len(x), 8) @ p["w"]).reshape(len(x), -1), {"w": 256}),
    "columns first": (lambda p, x: p["w"].T @ x.T, {"w": 128}),
    "checkpointed": (lambda p, x: jax.checkpoint(jax.nn.relu)(x @ p["w"]) @ p["o"], {"w": 128, "o": 80}),
    "one answer for all": (
        lambda p, x: jnp.where(jnp.sum(x[:1] @ p["w"]) > 0, x @ p["w"], 0.0),
        {"w": 128, "w#2": 128},
    ),
}


@pytest.mark.parametrize(("function", "want"), TOGETHER.values(), ids=TOGETHER)
def test_what_a_batch_may_do_together(function: Callable[..., Any], want: dict[str, float]) -> None:
    for batch in (1, 4, 8):
        assert macs(function, jnp.ones((batch, 8))) == want


def test_tokens_and_a_dictionary_of_inputs() -> None:
    def network(p: Any, inputs: dict[str, Any], scale: Any) -> jax.Array:
        rows = p["u"][inputs["tokens"]] * inputs["mask"][:, :, None]
        return jnp.mean(rows, axis=1) @ p["o"] * scale

    inputs = {"tokens": jnp.ones((6, 4), int), "mask": jnp.ones((6, 4))}
    assert macs(network, inputs, 2.0) == {"o": 80}
    several = {"tokens": 0, "mask": None}
    assert macs(network, inputs | {"mask": jnp.ones((1, 4))}, jnp.ones((1, 1)), in_axes=(several, None)) == {"o": 80}


def test_the_cost_of_an_inference_is_that_of_one_alone() -> None:
    chip = amsim.deploy(with_table, PARAMS, UNITS)
    table, frames = jnp.ones((6, 8)), jnp.ones((5, 6, 8))
    alone = chip.cost(table, frames[:1], in_axes=(None, 0))
    together = chip.cost(table, frames, in_axes=(None, 0))
    for name in ("energy", "latency", "macs", "bits_read", "bits_written", "stored_bits"):
        np.testing.assert_allclose(together[name], alone[name], rtol=1e-5, err_msg=name)
    assert chip.workload(table, frames, in_axes=(None, 0)).macs == 2 * 6 * 128
    np.testing.assert_allclose(
        float(chip.energy(table, frames, in_axes=(None, 0))), float(together["energy"].sum()), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("inputs", "in_axes", "message"),
    [
        ((jnp.ones(8), jnp.ones((3, 8))), 0, r"there are 8 and 3 in arrays of shapes \(8,\), \(3, 8\)"),
        ((jnp.ones(8), jnp.ones((3, 8))), (0,), "one of them for each of the 2 inputs"),
        ((jnp.ones(8), jnp.ones((3, 8))), (None, 2), r"2 is none of shape \(3, 8\)"),
        ((jnp.ones(8), jnp.ones((3, 8))), ("a", 0), "`in_axes` must"),
        ((jnp.ones(8), jnp.ones((3, 8))), (None, None), "must have a leading axis that counts inferences"),
        ((jnp.ones(8), jnp.ones((0, 8))), (None, 0), "must have a leading axis that counts inferences"),
    ],
)
def test_axes_that_do_not_fit_are_refused(inputs: Any, in_axes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        macs(masked, *inputs, in_axes=in_axes)
