"""The site table: names by module path, what landed where, and what stays digital and why."""

import dataclasses
import gc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.deployment.input_shapes import LastShapes

X = jax.random.normal(jax.random.key(0), (5, 7))
SQUARE = jax.random.normal(jax.random.key(1), (7, 7))
WIDE = jax.random.normal(jax.random.key(2), (7, 3))


def product(params: jax.Array, x: jax.Array) -> jax.Array:
    return x @ params


def names(function: Any, params: Any, *inputs: Any) -> list[str]:
    chip = amsim.deploy(function, params, circuits.Exact())
    got, want = chip(*inputs), eqx.filter_jit(function)(params, *inputs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), got, want)
    return [row.name for row in chip.sites()]


def only_row(function: Any, params: Any, *inputs: Any) -> Any:
    chip = amsim.deploy(function, params, circuits.Exact())
    np.testing.assert_allclose(chip(*inputs), function(params, *inputs), rtol=1e-5, atol=1e-5)
    (row,) = chip.sites()
    return row


def twice(step: Any, start: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, 2, lambda _, value: step(value), start)


def test_names_follow_the_path_of_the_module() -> None:
    params = {"encoder": {"dense": {"w": WIDE, "b": jnp.ones(3)}}, "head": [{"w": SQUARE[:3]}]}

    def function(params: Any, x: jax.Array) -> jax.Array:
        own = params["encoder"]["dense"]
        return (x @ own["w"] + own["b"][None]) @ params["head"][0]["w"]

    assert names(function, params, X) == ["encoder.dense", "head.0"]


def test_a_weight_made_from_several_leaves_is_named_by_the_largest() -> None:
    params = {"a": {"scale": jnp.ones(3)}, "b": {"w": WIDE}}
    assert names(lambda p, x: x @ (p["b"]["w"] * p["a"]["scale"][None]), params, X) == ["b"]


def test_two_sites_of_one_module_keep_their_own_names() -> None:
    params = {"cell": {"w_in": WIDE, "w_out": WIDE.T}, "top": WIDE}
    assert names(lambda p, x: x @ p["cell"]["w_in"] @ p["cell"]["w_out"] @ p["top"], params, X) == [
        "cell.w_in",
        "cell.w_out",
        "top",
    ]


def test_a_weight_that_is_used_twice_is_two_sites() -> None:
    assert names(lambda p, x: x @ p["m"]["w"] @ p["m"]["w"], {"m": {"w": SQUARE}}, X) == ["m", "m#2"]


def test_a_single_array_as_params() -> None:
    assert names(lambda p, x: x @ p, SQUARE, X) == ["weight"]


class Block(eqx.Module):
    expand: eqx.nn.Linear
    attention: eqx.nn.MultiheadAttention
    norm: eqx.nn.LayerNorm
    recurrent: eqx.nn.GRUCell

    def __call__(self, tokens: jax.Array) -> jax.Array:
        hidden = jax.vmap(self.norm)(jax.vmap(self.expand)(tokens))
        hidden = hidden + self.attention(hidden, hidden, hidden)
        return jax.vmap(self.recurrent)(hidden, hidden)


def test_equinox_modules() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    block = Block(
        eqx.nn.Linear(7, 8, key=keys[0]),
        eqx.nn.MultiheadAttention(2, 8, key=keys[1]),
        eqx.nn.LayerNorm(8),
        eqx.nn.GRUCell(8, 8, key=keys[2]),
    )
    assert names(lambda block, x: block(x), block, X) == [
        "expand",
        "attention.query_proj",
        "attention.key_proj",
        "attention.value_proj",
        "attention.output_proj",
        "recurrent.weight_ih",
        "recurrent.weight_hh",
    ]


def test_equinox_mlp_and_convolutions() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    network = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(1, 4, 3, padding=1, key=keys[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.MaxPool2d(2, 2),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.MLP(36, 3, 4, 1, key=keys[1]),
        ]
    )
    images = jax.random.normal(keys[2], (2, 1, 6, 6))
    assert names(lambda network, x: jax.vmap(network)(x), network, images) == [
        "layers.0",
        "layers.4.layers.0",
        "layers.4.layers.1",
    ]


def test_flax_modules() -> None:
    nn: Any = pytest.importorskip("flax.linen")

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = nn.relu(nn.Conv(4, (3, 3), name="stem")(x))
            return nn.Dense(3)(x.reshape(x.shape[0], -1))

    with jax.numpy_rank_promotion("allow"):
        images = jax.random.normal(jax.random.key(0), (2, 6, 6, 1))
        params = Network().init(jax.random.key(1), images)
        assert names(Network().apply, params, images) == ["params.stem", "params.Dense_0"]


def test_haiku_modules() -> None:
    hk = pytest.importorskip("haiku")
    network = hk.without_apply_rng(hk.transform(lambda x: hk.Linear(3)(jax.nn.relu(hk.Conv2D(4, 3)(x)).reshape(2, -1))))
    with jax.numpy_rank_promotion("allow"):
        images = jax.random.normal(jax.random.key(0), (2, 6, 6, 1))
        params = network.init(jax.random.key(1), images)
        assert names(network.apply, params, images) == ["conv2_d", "linear"]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("inside", "function"),
    [
        ("scan of 3", lambda p, x: jax.lax.scan(lambda h, _: (h @ p["w"] + p["b"][None], None), x, None, 3)[0]),
        ("scan of 5", lambda p, x: jax.lax.map(lambda one: one @ p["w"], x)),
        ("scan of 5", lambda p, x: jax.lax.scan(lambda h, u: (jnp.tanh(h @ p["w"] + u), None), jnp.zeros(7), x)[0]),
        ("scan of 1", lambda p, x: jax.lax.scan(lambda h, w: (h @ w, None), x, p["w"][None])[0]),
        ("while", lambda p, x: jax.lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] @ p["w"]), (0, x))[1]),
        ("cond", lambda p, x: jax.lax.cond(x[0, 0] > 0, lambda x: x @ p["w"], lambda x: x, x)),
        ("cond, scan of 2",
         lambda p, x: jax.lax.switch(jnp.argmax(x[0]) % 2, [lambda x: x, lambda x: twice(lambda h: h @ p["w"], x)], x)),
    ],
    ids=["scan", "map", "recurrence from zero", "scan over weights", "while", "cond", "loop in a switch"],
)  # fmt: skip
def test_a_product_inside_a_loop_or_branch_is_a_site_there(inside: str, function: Any) -> None:
    row = only_row(function, {"rnn": {"w": SQUARE, "b": jnp.ones(7)}}["rnn"], X)
    assert (row.name, row.operation, row.macro, row.readout) == ("w", "dot_general", "Exact", "number")
    assert (row.inside, row.reason) == (inside, "")


def test_every_product_inside_a_loop_is_listed() -> None:
    def function(params: Any, x: jax.Array) -> jax.Array:
        def step(hidden: jax.Array, one: jax.Array) -> tuple[jax.Array, None]:
            return jnp.tanh(hidden @ params["cell"]["hidden"] + one @ params["cell"]["input"]), None

        return jax.lax.scan(step, jnp.zeros(3), x)[0] @ params["head"]

    params = {"cell": {"hidden": SQUARE[:3, :3], "input": WIDE}, "head": WIDE.T}
    chip = amsim.deploy(function, params, {"cell.input": circuits.DigitalBinary(), "head": circuits.Exact()})
    chip(X)
    assert {row.name: row.macro for row in chip.sites()} == {
        "cell.hidden": None,
        "cell.input": "DigitalBinary",
        "head": "Exact",
    }


@pytest.mark.parametrize(
    ("reason", "function", "params"),
    [
        ("not floating point", lambda p, x: (x.astype(int) @ p.astype(int)).astype(float), SQUARE),
        ("where the image belongs", lambda p, x: jax.lax.conv(p, x[:, None, :3], (1,), "VALID"), jnp.ones((1, 1, 4))),
        (
            "splits its batch",
            lambda p, x: jax.lax.conv_general_dilated(x[:4, None], p, (1,), "VALID", batch_group_count=2),
            jnp.ones((2, 1, 3)),
        ),
    ],
)  # fmt: skip
def test_products_that_no_macro_takes_stay_digital(reason: str, function: Any, params: Any) -> None:
    row = only_row(function, params, X)
    assert not row.on_macro
    assert reason in row.reason


def test_products_on_parameters_alone_or_data_alone_are_no_sites() -> None:
    def function(params: Any, x: jax.Array) -> jax.Array:
        folded = params["a"] @ params["b"]
        return (x @ folded) * jnp.sum(x @ x.T)

    params = {"a": SQUARE, "b": WIDE}
    chip = amsim.deploy(function, params, circuits.Exact())
    (row,) = chip.sites(X)
    assert (row.rows, row.columns) == (7, 3)


def test_products_without_a_weight_are_counted_below_the_table() -> None:
    closed_over = jnp.ones((7, 7))

    def function(params: Any, x: jax.Array) -> jax.Array:
        frozen = x @ closed_over
        scores = jax.lax.fori_loop(0, 2, lambda _, h: jnp.tanh(h @ h.T), x @ x.T)
        return scores @ (frozen @ params["w"]) @ (params["b"] @ params["b"].T)

    params = {"w": WIDE, "b": WIDE.T}
    found = amsim.deploy(function, params, circuits.Exact()).sites(X)
    two, constant = (
        "product of two values that depend on data: stays digital",
        "product with a constant of `fn`, which is not a parameter: stays digital",
    )
    assert [row.name for row in found] == ["w", "b"]
    assert found.others == {two: 3, constant: 1}
    assert str(found).endswith(f"3 x {two}\n1 x {constant}")
    accelerator = amsim.Accelerator(circuits.Exact(), activation_products=True)
    assert amsim.deploy(function, params, accelerator).sites(X).others == {constant: 1}
    assert amsim.deploy(lambda p, x: x @ p["w"], params, circuits.Exact()).sites(X).others == {}


def test_rules_send_sites_to_macros_in_order() -> None:
    params = {"conv1": {"w": SQUARE}, "conv2": {"w": SQUARE}, "head": {"w": WIDE}, "rest": {"w": WIDE.T}}

    def function(params: Any, x: jax.Array) -> jax.Array:
        return x @ params["conv1"]["w"] @ params["conv2"]["w"] @ params["head"]["w"] @ params["rest"]["w"]

    hardware = {
        "conv2": circuits.MultiPrecision(),
        "conv.*": circuits.DigitalBinary(),
        "head": circuits.SwitchedCapacitor(rows=4),
    }
    chip = amsim.deploy(function, params, hardware)
    rows = {row.name: row for row in chip.sites(X)}
    assert {name: row.macro for name, row in rows.items()} == {
        "conv1": "DigitalBinary",
        "conv2": "MultiPrecision",
        "head": "SwitchedCapacitor",
        "rest": None,
    }
    assert rows["rest"].reason == "stays digital: no rule matches its name"
    head = rows["head"]
    assert (head.rows, head.columns, head.tiles, head.readout, head.weight_bits) == (7, 3, 2, "number", 1)


def test_the_input_range_is_shown() -> None:
    params = {"a": WIDE, "b": SQUARE[:3]}
    chip = amsim.deploy(lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"], params, circuits.DigitalBinary())
    # A bound without a grid is no range.
    assert [row.input_range for row in chip.sites(X)] == ["from data", "from data"]
    chip = amsim.deploy(lambda p, x: jnp.sign(x @ p["a"]) @ p["b"], params, circuits.MultiPrecision())
    assert [row.input_range for row in chip.sites(X)] == ["from data", "-1 to 1"]
    chip = amsim.deploy(
        lambda p, x: (jnp.clip(jnp.round(x / p["s"]), -8, 7) * p["s"]) @ p["a"],
        params | {"s": jnp.array(0.3)},
        circuits.MultiPrecision(),
    )
    assert [row.input_range for row in chip.sites(X)] == ["-8 to 7 steps"]
    pixels = jax.ShapeDtypeStruct((2, 7), jnp.uint8)
    ranges = {
        bits: amsim.deploy(
            lambda p, x: (x.astype(jnp.float32) / 255) @ p, WIDE, circuits.DigitalBinary(input_bits=bits)
        )
        .sites(pixels)[0]
        .input_range
        for bits in (4, 8)
    }
    # Four bits cannot tell what the bytes hold.
    assert ranges == {4: "from data", 8: "0 to 1"}


def test_the_table_needs_inputs_or_a_call() -> None:
    chip = amsim.deploy(lambda p, x: x @ p, WIDE, circuits.Exact())
    with pytest.raises(ValueError, match=r"Argument `inputs` must be given"):
        chip.sites()
    from_shape = chip.sites(jax.ShapeDtypeStruct((4, 7), jnp.float32))
    chip(X)
    assert chip.sites() == from_shape == chip.sites(X)
    text = str(chip.sites())
    assert "weight" in text
    assert "input range" in text
    assert text == repr(chip.sites())


def test_only_the_chip_that_is_called_keeps_the_shapes() -> None:
    """They are not part of the pytree: chips that saw other inputs are one to `jit`, and a copy has seen none."""
    called, fresh = (amsim.deploy(product, WIDE, circuits.Exact()) for _ in range(2))
    before = jax.tree.structure(called)
    called(X)
    assert jax.tree.structure(called) == before == jax.tree.structure(fresh)
    copies = [fresh, jax.tree.map(lambda leaf: leaf, called), dataclasses.replace(called)]
    for copy in copies:
        with pytest.raises(ValueError, match=r"Argument `inputs` must be given"):
            copy.sites()
    assert called.prepared().sites() == called.sites()
    called(X[:1])
    assert called.sites() == called.sites(X[:1])
    fresh.cost(X)
    assert fresh.sites() == fresh.sites(X)


def test_shapes_are_kept_as_long_as_the_chip_lives() -> None:
    class Owner:
        pass

    shapes = LastShapes()
    owners = [Owner() for _ in range(3)]
    for number, owner in enumerate(owners):
        shapes.keep(owner, number)
        shapes.keep(owner, number + 10)
    assert [shapes.of(owner) for owner in owners] == [10, 11, 12]
    del owner, owners[1:]
    gc.collect()
    assert list(vars(shapes)["_shapes"].values()) == [10]
    assert shapes.of(Owner()) is None


def test_what_does_not_apply_is_none_and_printed_as_a_dash() -> None:
    params = {"own": SQUARE, "rest": WIDE}
    chip = amsim.deploy(lambda p, x: x @ p["own"] @ p["rest"], params, {"own": circuits.Exact()})
    own, rest = chip.sites(X)
    assert (own.on_macro, own.rows, own.macro) == (True, 7, "Exact")
    assert (rest.on_macro, rest.inside, rest.reason) == (False, "", "stays digital: no rule matches its name")
    beside = {"name", "operation", "inside", "reason"}
    assert {getattr(rest, name) for name in set(rest._fields) - beside} == {None}
    line = str(chip.sites(X)).splitlines()[-1].split()
    filled = [name for name in own._fields if getattr(own, name) not in (None, "") and name not in beside | {"note"}]
    assert line[: line.index("stays")] == ["rest", "dot_general", *["-"] * len(filled)]


def test_the_table_after_a_call_sees_the_types_of_that_call() -> None:
    def function(params: jax.Array, x: jax.Array, scale: Any, key: jax.Array) -> jax.Array:
        return (x @ params).astype(jnp.bfloat16) * scale + jax.random.normal(key, (5, 3), jnp.bfloat16)

    chip = amsim.deploy(function, WIDE, circuits.Exact())
    chip(X, 2.0, jax.random.key(0))
    assert [row.name for row in chip.sites()] == ["weight"]
    assert float(chip.cost(X, 2.0, jax.random.key(0))["energy"].sum()) == 0


def test_units_that_a_processor_fills_are_shown_with_their_loops_and_utilisation() -> None:
    """As the cost of the same inputs has them, which runs the network; without a choice there is nothing to show."""
    macro = circuits.MultiPrecision(weight_bits=4, input_bits=4)
    params = {"wide": jnp.ones((7, 40)), "narrow": jnp.ones((40, 3))}

    def network(params: Any, x: jax.Array) -> jax.Array:
        return jnp.clip(x @ params["wide"], 0, 1) @ params["narrow"]

    units = amsim.Accelerator(macro, organisation=amsim.system.Processor())
    chip = amsim.deploy(network, params, units)
    cost, rows = chip.cost(X), chip.sites(X)
    assert [row.unrolling for row in rows] == list(cost["unrolling"].values)
    np.testing.assert_allclose([row.utilisation for row in rows], cost["utilisation"], rtol=6e-3)
    assert "utilisation" in str(rows)
    (row,) = amsim.deploy(product, WIDE, circuits.Exact()).sites(X)
    assert (row.unrolling, row.utilisation) == (None, None)
    assert "utilisation" not in str(amsim.deploy(product, WIDE, circuits.Exact()).sites(X))
    # Where the first axis counts no inferences, the share of one is not known.
    together = amsim.deploy(lambda p, x: jnp.mean(x, axis=0, keepdims=True) @ p, WIDE, units).sites(X)
    assert [row.unrolling for row in together] == [None]
