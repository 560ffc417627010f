"""A heterogeneous chip by rules, and what deploy says of functions and products that it cannot take."""

import os
import subprocess
import sys
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.noise.gradients import decision

NHWC = ("NHWC", "HWIO", "NHWC")
FIRST, LAST = circuits.MultiPrecision(weight_bits=8, input_bits=8), circuits.MultiPrecision(weight_bits=4, input_bits=4)
MIDDLE = circuits.SwitchedCapacitor(rows=64, columns=8).ideal()
RULES: dict[str, circuits.Macro] = {"conv0": FIRST, "conv.*": MIDDLE, "head": LAST}
PIXELS = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 7, 7, 2)), jnp.uint8)


def on_grid(seed: int, bits: int, *shape: int) -> jax.Array:
    """Integer weights of a word length whose columns all reach its largest."""
    largest = 2 ** (bits - 1) - 1
    values = np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.float32)
    values.reshape(-1, shape[-1])[0] = largest
    return jnp.asarray(values / largest)


PARAMS = {
    "conv0": {"w": on_grid(1, 8, 3, 3, 2, 6), "b": jnp.linspace(-0.4, 0.5, 6)},
    "conv1": {"w": on_grid(2, 4, 3, 3, 6, 5), "b": jnp.linspace(-0.3, 0.7, 5)},
    "conv2": {"w": on_grid(3, 4, 3, 3, 5, 4), "b": jnp.full(4, 0.5)},
    "head": {"w": on_grid(4, 4, 4, 10)},
    "scale": {"w": on_grid(5, 4, 10, 10)},
}


def convolution(maps: jax.Array, weight: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(maps, weight, (1, 1), "VALID", dimension_numbers=NHWC)


def network(params: Any, pixels: jax.Array) -> jax.Array:
    """As the reference networks: pixels, signs between binary layers, numbers at the end."""
    maps = pixels.astype(jnp.float32) / 255
    maps = decision(convolution(maps, params["conv0"]["w"]) + params["conv0"]["b"].reshape(1, 1, 1, -1))
    for name in ("conv1", "conv2"):
        sums = convolution(maps, decision(params[name]["w"]))
        maps = decision(sums + params[name]["b"].reshape(1, 1, 1, -1))
    return (maps.reshape(maps.shape[0], -1, 4)[:, 0] @ params["head"]["w"]) @ params["scale"]["w"]


def test_first_layer_digital_middle_analog_last_short() -> None:
    chip = amsim.deploy(network, PARAMS, RULES, key=jax.random.key(0))
    np.testing.assert_allclose(chip(PIXELS), network(PARAMS, PIXELS), rtol=1e-5, atol=1e-5)
    assert [(row.name, row.macro, row.readout, row.weight_bits, row.input_bits) for row in chip.sites()] == [
        ("conv0", "MultiPrecision", "number", 8, 8),
        ("conv1", "SwitchedCapacitor", "comparator", 1, 1),
        ("conv2", "SwitchedCapacitor", "comparator", 1, 1),
        ("head", "MultiPrecision", "number", 4, 4),
        ("scale", None, None, None, None),
    ]
    assert chip.sites()[-1].reason == "stays digital: no rule matches its name"
    # Pixels are known: the first layer's grid is that of the images, whatever these are.
    assert chip.sites()[0].input_range == "0 to 1"


def test_the_first_matching_rule_wins_and_a_default_takes_the_rest() -> None:
    chip = amsim.deploy(network, PARAMS, RULES | {".*": circuits.Exact()})
    assert {row.name: row.macro for row in chip.sites(PIXELS)}["scale"] == "Exact"
    shadowed = amsim.deploy(network, PARAMS, {"conv.*": MIDDLE, "conv0": FIRST, ".*": LAST})
    with pytest.raises(amsim.DeploymentError, match="Rule 'conv0' of argument `hardware` is the first to match none"):
        shadowed.sites(PIXELS)
    with pytest.raises(amsim.DeploymentError, match=r"Rule 'convolution0'.*conv0, conv1, conv2, head, scale"):
        amsim.deploy(network, PARAMS, {"convolution0": FIRST, **RULES}).sites(PIXELS)


@pytest.mark.parametrize(
    ("function", "params", "kind"),
    [
        (lambda p, x: network(p, x) if x[0, 0, 0, 0] > 0 else x, PARAMS, jax.errors.TracerBoolConversionError),
        (lambda p, x: jnp.asarray(np.asarray(x)) * 2.0, PARAMS, jax.errors.TracerArrayConversionError),
        (network, {"layers": PARAMS}, KeyError),
    ],
    ids=["branch on a value", "conversion to NumPy", "other structure"],
)
def test_what_cannot_be_traced_says_so(function: Any, params: Any, kind: type[Exception]) -> None:
    chip = amsim.deploy(function, params, circuits.Exact())
    for attempt in (chip, chip.sites, chip.cost):
        with pytest.raises(kind) as caught:
            attempt(PIXELS)
        note = next(one for one in caught.value.__notes__ if "amsim" in one)
        assert "while amsim traced `fn`" in note
        assert "uint8[3,7,7,2]" in note or "shape=(3, 7, 7, 2)" in note
        assert "parameters of the structure that `fn` takes" in note


def test_ragged_products_are_listed() -> None:
    params, sizes = {"experts": {"w": jnp.ones((2, 7, 3))}}, jnp.array([2, 3], jnp.int32)
    chip = amsim.deploy(lambda p, x: jax.lax.ragged_dot(x, p["experts"]["w"], sizes), params, circuits.Exact())
    np.testing.assert_allclose(chip(jnp.ones((5, 7))), 7.0)
    (row,) = chip.sites()
    assert (row.name, row.macro) == ("experts", None)
    assert "which of its weights each row takes" in row.reason


def test_a_product_inside_shard_map_is_listed() -> None:
    """In a process of its own, since the number of devices is fixed when JAX starts."""
    program = textwrap.dedent("""
        import jax, jax.numpy as jnp, amsim
        from amsim import circuits
        mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
        whole, split = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("x")
        def network(params, inputs):
            product = jax.shard_map(jnp.matmul, mesh=mesh, in_specs=(split, whole), out_specs=split)
            return product(inputs, params["inner"]) @ params["outer"]
        params = {"inner": jnp.arange(6.0).reshape(3, 2), "outer": jnp.ones((2, 5))}
        inputs = jnp.arange(12.0).reshape(4, 3)
        chip = amsim.deploy(network, params, circuits.Exact())
        assert jnp.array_equal(chip(inputs), network(params, inputs))
        assert [(row.name, row.macro, row.reason) for row in chip.sites()] == [
            ("inner", None, "stays digital: it is inside a `shard_map`"), ("outer", "Exact", "")], chip.sites()
    """)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("macro", [circuits.DigitalBinary(), circuits.SwitchedCapacitor(), circuits.MultiPrecision()])
def test_products_of_no_rows_or_columns_stay_digital(macro: Any) -> None:
    params = {"main": jnp.ones((4, 3)), "rows": jnp.ones((0, 3)), "columns": jnp.ones((4, 0))}

    def network(p: Any, x: jax.Array, extra: jax.Array) -> jax.Array:
        return jnp.concatenate([x @ p["main"] + extra @ p["rows"], x @ p["columns"]], axis=-1)

    inputs = jnp.ones((2, 4)), jnp.ones((2, 0))
    chip = amsim.deploy(network, params, macro)
    np.testing.assert_allclose(chip(*inputs), network(params, *inputs), rtol=1e-5)
    rows = {row.name: row for row in chip.sites()}
    assert rows["main"].on_macro
    assert rows["rows"].reason == rows["columns"].reason == "stays digital: its weight has no elements"
    alone = amsim.deploy(lambda p, x: x @ p["main"], params, macro)
    assert float(chip.cost(*inputs)["energy"].sum()) == float(alone.cost(inputs[0])["energy"].sum())
    assert alone(jnp.ones((0, 4))).shape == (0, 3)
