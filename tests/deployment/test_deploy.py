"""A deployed function equals plain JAX wherever the hardware is exact, whatever the shape of its products."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amsim
from amsim import circuits
from amsim.noise.gradients import decision

NHWC = ("NHWC", "HWIO", "NHWC")


def draw(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def signs(values: jax.Array) -> jax.Array:
    return jnp.where(values >= 0, 1.0, -1.0)


def convolution(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...] = (1, 1),
    padding: Any = "VALID",
    dimension_numbers: Any = NHWC,
    **options: Any,
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=dimension_numbers, **options
    )


def through_custom_jvp(weight: jax.Array, inputs: jax.Array) -> jax.Array:
    @jax.custom_jvp
    def product(weight: jax.Array, inputs: jax.Array) -> jax.Array:
        return inputs @ weight

    product.defjvps(lambda dw, out, w, x: x @ dw, lambda dx, out, w, x: dx @ w)
    return product(weight, inputs)


def through_custom_vjp(weight: jax.Array, inputs: jax.Array) -> jax.Array:
    @jax.custom_vjp
    def product(weight: jax.Array, inputs: jax.Array) -> jax.Array:
        return inputs @ weight

    product.defvjp(lambda w, x: (x @ w, (w, x)), lambda saved, g: (saved[1].T @ g, g @ saved[0].T))
    return product(weight, inputs)


Layer = tuple[Callable[[jax.Array, jax.Array], jax.Array], jax.Array, jax.Array]
MATRIX, VECTORS = draw(1, 7, 3), draw(2, 5, 7)
KERNEL, IMAGES = draw(3, 3, 3, 4, 6), draw(4, 2, 6, 6, 4)

LAYERS: dict[str, Layer] = {
    "matrix": (lambda w, x: x @ w, MATRIX, VECTORS),
    "matrix on the left": (lambda w, x: w.T @ x.T, MATRIX, VECTORS),
    "one vector": (lambda w, x: x @ w, MATRIX, VECTORS[0]),
    "one filter": (lambda w, x: x @ w, MATRIX[:, 0], VECTORS),
    "two vectors": (lambda w, x: x @ w, MATRIX[:, 0], VECTORS[0]),
    "outer product": (lambda w, x: jnp.einsum("b,d->bd", x, w), MATRIX[0], VECTORS[:, 0]),
    "two free axes": (lambda w, x: jnp.einsum("bhwc,cdk->bkhwd", x, w), draw(5, 4, 3, 5), IMAGES),
    "two summed axes": (lambda w, x: jnp.einsum("bhwc,hwd->bcd", x, w), draw(5, 6, 6, 5), IMAGES),
    "two summed axes, left": (lambda w, x: jnp.einsum("hkd,bhwd->bkw", w, x), draw(5, 6, 5, 4), IMAGES),
    "nested jit": (lambda w, x: jax.jit(lambda w, x: jax.jit(jnp.matmul)(x, w))(w, x), MATRIX, VECTORS),
    "vmap": (lambda w, x: jax.vmap(lambda one: w.T @ one)(x), MATRIX, VECTORS),
    "vmap twice": (lambda w, x: jax.vmap(jax.vmap(lambda one: one @ w, 1, 1))(x), MATRIX[:6], IMAGES[..., 0]),
    "vmap over weights": (lambda w, x: jax.vmap(lambda one: x @ one)(w), draw(5, 4, 7, 3), VECTORS),
    "checkpoint": (jax.checkpoint(lambda w, x: x @ w), MATRIX, VECTORS),
    "custom_jvp around": (through_custom_jvp, MATRIX, VECTORS),
    "custom_vjp around": (through_custom_vjp, MATRIX, VECTORS),
    "custom_jvp before": (lambda w, x: decision(x) @ w, MATRIX, VECTORS),
    "bfloat16": (lambda w, x: x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16), MATRIX, VECTORS),
    "convolution": (lambda w, x: convolution(x, w), KERNEL, IMAGES),
    "channels first": (
        lambda w, x: convolution(x, w, (2, 1), "SAME", ("NCHW", "OIHW", "NCHW")),
        KERNEL.transpose(3, 2, 0, 1),
        IMAGES.transpose(0, 3, 1, 2),
    ),
    "odd layouts": (
        lambda w, x: convolution(x, w, (2, 1), "SAME", ("CHWN", "OIHW", "HNWC")),
        KERNEL.transpose(3, 2, 0, 1),
        IMAGES.transpose(3, 1, 2, 0),
    ),
    "padding and stride": (lambda w, x: convolution(x, w, (2, 2), "SAME"), KERNEL, IMAGES),
    "one channel, padded": (lambda w, x: convolution(x, w, padding="SAME"), KERNEL[:, :, :1], IMAGES[..., :1]),
    "one-sided padding": (lambda w, x: convolution(x, w, padding=((2, 0), (0, 1))), KERNEL, IMAGES),
    "dilation": (lambda w, x: convolution(x, w, rhs_dilation=(2, 1)), KERNEL, IMAGES),
    "transposed": (
        lambda w, x: jax.lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=NHWC),
        KERNEL,
        IMAGES,
    ),
    "spaced input": (
        lambda w, x: convolution(x, w, padding=((2, 1), (0, 2)), lhs_dilation=(2, 3)),
        KERNEL,
        IMAGES,
    ),
    "groups": (lambda w, x: convolution(x, w, feature_group_count=2), KERNEL[:, :, :2], IMAGES),
    "depthwise": (
        lambda w, x: convolution(x, w, feature_group_count=4),
        jnp.tile(KERNEL[:, :, :1, :4], (1, 1, 1, 2)),
        IMAGES,
    ),
    "convolution 1-D": (
        lambda w, x: convolution(x, w, (2,), "SAME", ("NHC", "HIO", "NHC")),
        KERNEL[0],
        IMAGES[:, 0],
    ),
    "convolution 3-D": (
        lambda w, x: convolution(x, w, (1, 1, 1), "SAME", ("NDHWC", "DHWIO", "NDHWC")),
        jnp.stack([KERNEL, -KERNEL[::-1]]),
        jnp.stack([IMAGES, IMAGES[::-1]], 1),
    ),
    "dilated and grouped 1-D": (
        lambda w, x: convolution(x, w, (1,), "SAME", ("NHC", "HIO", "NHC"), rhs_dilation=(2,), feature_group_count=2),
        KERNEL[0, :, :2],
        IMAGES[:, 0],
    ),
    "depthwise 1-D, causal": (
        lambda w, x: convolution(x, w, (1,), ((2, 0),), ("NHC", "HIO", "NHC"), feature_group_count=4),
        KERNEL[0, :, :1, :4],
        IMAGES[:, 0],
    ),
    "transposed 1-D": (
        lambda w, x: jax.lax.conv_transpose(x, w, (3,), "SAME", dimension_numbers=("NHC", "HIO", "NHC")),
        KERNEL[0],
        IMAGES[:, 0],
    ),
    "grouped and dilated 3-D": (
        lambda w, x: convolution(
            x, w, (1, 2, 1), "SAME", ("NDHWC", "DHWIO", "NDHWC"), rhs_dilation=(1, 1, 2), feature_group_count=2
        ),
        jnp.stack([KERNEL, -KERNEL[::-1]])[:, :, :, :2],
        jnp.stack([IMAGES, IMAGES[::-1]], 1),
    ),
    "convolution under vmap": (
        lambda w, x: jax.vmap(lambda one: convolution(one[None], w, padding="SAME")[0])(x),
        KERNEL,
        IMAGES,
    ),
    "groups under vmap": (
        lambda w, x: jax.vmap(lambda one: convolution(one[None], w, feature_group_count=2)[0])(x),
        KERNEL[:, :, :2],
        IMAGES,
    ),
}
WEIGHTS = {name: {"weight": weight} for name, (_, weight, _) in LAYERS.items()}
INPUTS = {name: inputs for name, (_, _, inputs) in LAYERS.items()}


def all_layers(params: Any, inputs: Any) -> dict[str, jax.Array]:
    """One function of all layers compiles in one go."""
    return {name: LAYERS[name][0](params[name]["weight"], inputs[name]) for name in inputs}


def only(names: tuple[str, ...], tree: dict[str, Any]) -> dict[str, Any]:
    return {name: tree[name] for name in names}


def binarised(tree: Any) -> Any:
    return jax.tree.map(signs, tree)


def unlike(got: dict[str, jax.Array], want: dict[str, jax.Array]) -> list[str]:
    assert got.keys() == want.keys()
    same = {n: got[n].dtype == want[n].dtype and np.array_equal(np.asarray(got[n]), np.asarray(want[n])) for n in want}
    return [name for name, equal in same.items() if not equal]


def test_exact_equals_plain_jax() -> None:
    chip = amsim.deploy(all_layers, WEIGHTS, circuits.Exact())
    got = chip(INPUTS)
    assert unlike(got, jax.jit(all_layers)(WEIGHTS, INPUTS)) == []
    rows = chip.sites()
    assert sorted(row.name for row in rows) == sorted(LAYERS)
    assert {row.macro for row in rows} == {"Exact"}


TILED = ("matrix", "two summed axes", "convolution", "odd layouts", "padding and stride", "depthwise", "transposed")
FEW = ("matrix on the left", "vmap", "bfloat16", "one channel, padded", "groups", "convolution 3-D", *TILED)


@pytest.mark.parametrize(
    ("macro", "names", "with_die"),
    [
        (circuits.DigitalBinary(columns=16), tuple(LAYERS), False),
        (circuits.SwitchedCapacitor(rows=256, columns=16).ideal(), FEW, False),
        (circuits.SwitchedCapacitor(rows=256, columns=16).ideal(), TILED[:3], True),
        (circuits.SwitchedCapacitor(rows=20, columns=3).ideal(), TILED, False),
    ],
    ids=["DigitalBinary", "ADC", "ADC with a die", "ADC with tiles"],
)
def test_ideal_binary_macros_equal_plain_jax_bit_for_bit(
    macro: circuits.Macro, names: tuple[str, ...], with_die: bool
) -> None:
    weights, inputs = only(names, binarised(WEIGHTS)), only(names, binarised(INPUTS))
    chip = amsim.deploy(all_layers, weights, macro, key=jax.random.key(0) if with_die else None)
    got = chip(inputs, key=jax.random.key(1) if with_die else None)
    assert unlike(got, jax.jit(all_layers)(weights, inputs)) == []
    table = {row.name: row for row in chip.sites()}
    assert {row.readout for row in table.values()} == {"number"}
    assert table["convolution"].tiles == (2 if macro.rows == 20 else 1)


def test_ideal_comparator_decides_as_plain_jax_behind_every_layer() -> None:
    # Half a count off zero, so that no threshold is met exactly. An odd number of undriven rows can tie.
    names = tuple(name for name in LAYERS if name != "one channel, padded")
    weights, inputs = only(names, binarised(WEIGHTS)), only(names, binarised(INPUTS))

    def function(params: Any, inputs: Any) -> dict[str, jax.Array]:
        sums = all_layers(params, inputs)
        return {name: jnp.where(one + jnp.asarray(0.5, one.dtype) >= 0, 1.0, -1.0) for name, one in sums.items()}

    chip = amsim.deploy(function, weights, circuits.SwitchedCapacitor(rows=256, adc=None).ideal())
    got = chip(inputs)
    assert unlike(got, jax.jit(function)(weights, inputs)) == []
    assert {row.readout for row in chip.sites()} == {"comparator"}


def test_sixteen_bits_come_close_to_plain_jax() -> None:
    macro = circuits.MultiPrecision(weight_bits=16, input_bits=16, accumulator_bits=48)
    chip = amsim.deploy(all_layers, only(FEW, WEIGHTS), macro)
    inputs = only(FEW, INPUTS)
    got, want = chip(inputs), jax.jit(all_layers)(WEIGHTS, inputs)
    rows = {row.name: row.rows for row in chip.sites()}
    far = {}
    for name in FEW:
        largest = float(jnp.max(jnp.abs(INPUTS[name])) * jnp.max(jnp.abs(WEIGHTS[name]["weight"])))
        # Half a step of 2**-15 for each operand of each product, and the rounding of what stays in bfloat16.
        bound = rows[name] * largest * (2.0**-15 + (2.0**-7 if name == "bfloat16" else 1e-6))
        error = float(jnp.max(jnp.abs(got[name].astype(float) - want[name].astype(float))))
        if not error <= bound:
            far[name] = (error, bound)
    assert far == {}
    assert all(row.tiles == 1 for row in chip.sites())


def test_counts_do_not_round_in_a_short_word() -> None:
    # 301 is no bfloat16: the count itself must not be formed in one.
    weights, inputs = jnp.ones((301, 1), jnp.bfloat16), jnp.ones((1, 301), jnp.bfloat16)

    def function(params: jax.Array, inputs: jax.Array) -> jax.Array:
        return jnp.where(inputs @ params - jnp.bfloat16(300.0) > 0, 1.0, -1.0)

    macro = circuits.SwitchedCapacitor(rows=301, adc=None).ideal()
    assert float(amsim.deploy(function, weights, macro)(inputs)[0, 0]) == 1.0


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "macro",
    [
        circuits.SwitchedCapacitor(rows=8, columns=4),
        circuits.SwitchedCapacitor(rows=8, columns=4, adc=circuits.SarAdc(bits=6)),
        circuits.SwitchedCapacitor(rows=8, columns=4, adc=circuits.FlashAdc(), weight_bits=4, input_bits=4),
        circuits.DigitalBinary(rows=8, columns=4),
        circuits.MultiPrecision(),
    ],
    ids=["ideal converter", "SAR", "flash, four bits", "digital binary", "multi-precision"],
)
@pytest.mark.parametrize("positive", [False, True], ids=["signed", "unsigned"])
def test_nan_comes_out_as_nan(macro: circuits.Macro, positive: bool) -> None:
    def function(w: jax.Array, x: jax.Array) -> jax.Array:
        return (jnp.abs(x) if positive else x) @ w

    chip = amsim.deploy(function, MATRIX, macro, key=jax.random.key(0))
    found = np.asarray(chip(VECTORS.at[1, 2].set(jnp.nan), key=jax.random.key(1)))
    assert np.all(np.isnan(found[1]))
    whole = np.asarray(chip(VECTORS, key=jax.random.key(1)))
    np.testing.assert_array_equal(np.delete(found, 1, axis=0), np.delete(whole, 1, axis=0))


def test_inputs_and_outputs_may_be_any_tree() -> None:
    def function(params: Any, batch: Any, scale: Any) -> Any:
        return {"sums": (batch["x"] @ params["w"]) * scale, "none": None, "pair": (batch["m"], 1.0)}

    params = {"w": np.asarray(MATRIX, np.float64), "unused": None, "count": 3}
    chip = amsim.deploy(function, params, circuits.Exact())
    got = chip({"x": np.asarray(VECTORS, np.float64), "m": None}, 2.0)
    assert got["none"] is None
    assert got["pair"] == (None, 1.0)
    assert got["sums"].dtype == jnp.float32
    np.testing.assert_allclose(got["sums"], 2 * VECTORS @ MATRIX, rtol=1e-6)
    assert len(chip.sites()) == 1


def test_keys_effects_and_closed_over_arrays_pass_through() -> None:
    key, mask = jax.random.key(3), jnp.arange(7.0)
    seen: list[float] = []

    def function(params: jax.Array, inputs: jax.Array, own: jax.Array) -> jax.Array:
        jax.debug.callback(lambda value: seen.append(float(value)), inputs[0, 0])
        noisy = inputs + jax.random.normal(own, inputs.shape) + jax.random.normal(key, inputs.shape)
        return (noisy * mask[None]) @ params

    chip = amsim.deploy(function, MATRIX, circuits.Exact())
    want = jax.jit(function)(MATRIX, VECTORS, jax.random.key(4))
    # Rounding is relative to the terms of a sum, of which one here is near 0.
    np.testing.assert_allclose(chip(VECTORS, jax.random.key(4)), want, rtol=2e-6, atol=2e-6 * np.abs(want).max())
    jax.effects_barrier()
    assert seen == [float(VECTORS[0, 0])] * 2
    assert [row.name for row in chip.sites()] == ["weight"]

    def traced_mask(mask: jax.Array) -> Any:
        return amsim.deploy(lambda params, x: (x * mask[None]) @ params, MATRIX, circuits.Exact())(VECTORS)

    np.testing.assert_allclose(jax.jit(traced_mask)(mask), (VECTORS * mask[None]) @ MATRIX, rtol=1e-5, atol=1e-5)


STEPS = ("dense", "dense left", "relu", "tanh", "sign", "scale", "shift", "residual", "transpose", "reshape", "pool")


def network_of(steps: list[str]) -> Callable[[Any, jax.Array], jax.Array]:
    def function(params: Any, values: jax.Array) -> jax.Array:
        for index, step in enumerate(steps):
            own = params[f"layer{index}"]
            if step == "dense":
                values = values @ decision(own["w"])
            elif step == "dense left":
                values = (decision(own["w"]).T @ values.T).T
            elif step == "relu":
                values = jax.nn.relu(values)
            elif step == "tanh":
                values = jnp.tanh(values)
            elif step == "sign":
                values = decision(values)
            elif step == "scale":
                values = values * own["g"][None]
            elif step == "shift":
                values = values + own["b"][None]
            elif step == "residual":
                values = values + decision(values)
            elif step == "transpose":
                values = values.reshape(4, 2, 4).transpose(0, 2, 1).reshape(4, 8)
            elif step == "reshape":
                values = values.reshape(2, 16).reshape(4, 8)
            else:
                values = jnp.repeat(jnp.max(values.reshape(4, 4, 2), axis=-1), 2, axis=-1)
        return values

    return function


@settings(max_examples=8, deadline=None, derandomize=True)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_random_networks_equal_plain_jax(steps: list[str], seed: int) -> None:
    # A sign before every product keeps its sums countable; thresholds off the half counts keep it from ties.
    steps = [one for step in [*steps, "dense"] for one in (("sign", step) if step.startswith("dense") else (step,))]
    keys = jax.random.split(jax.random.key(seed), len(steps))
    params = {
        f"layer{index}": {
            "w": jax.random.normal(key, (8, 8)),
            "g": jax.random.normal(key, (8,)),
            "b": jax.random.normal(key, (8,)),
        }
        for index, key in enumerate(keys)
    }
    inputs = jax.random.normal(jax.random.key(seed + 1), (4, 8))
    function = network_of(steps)
    want = jax.jit(function)(params, inputs)
    for macro in (circuits.Exact(), circuits.SwitchedCapacitor(rows=8, columns=4).ideal(), circuits.DigitalBinary()):
        np.testing.assert_array_equal(amsim.deploy(function, params, macro)(inputs), want, err_msg=f"{steps} {macro}")
