"""Products inside loops, branches and transformations: on the macros, each iteration its own read, counted as they run.

References are plain JAX, the same network with its loops written out, and a plain NumPy loop.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from control_flow_networks import (
    DIGITAL,
    FRAMES,
    IDEAL,
    LSTM,
    PARAMS,
    TURNS,
    UNITS,
    UNROLLED,
    X,
    all_of,
    branch,
    cell,
    close,
    lstm,
    mapped,
    scan,
    scan_over_frames,
    stacked_by_index,
    stacked_layers,
    unrolled_stack,
    vmap_of_scan,
)
from jax.extend import core

import amsim
from amsim import circuits
from amsim.noise.gradients import decision


def equations(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        total += 1
        for parameter in equation.params.values():
            for item in parameter if isinstance(parameter, tuple | list) else (parameter,):
                inner = item.jaxpr if isinstance(item, core.ClosedJaxpr) else item
                total += equations(inner) if isinstance(inner, core.Jaxpr) else 0
    return total


def size(length: int | None, bits: int, rows: int) -> int:
    """Equations of a chip with a scan of this length, or without one."""

    def function(p: Any, x: jax.Array) -> jax.Array:
        if length is None:
            return x @ p["w"]
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, p["w"])[0]

    macro = circuits.SwitchedCapacitor(rows=rows, columns=8, weight_bits=bits, input_bits=bits)
    params = {"w": jnp.zeros((16, 16) if length is None else (length, 16, 16))}
    chip = amsim.deploy(function, params, macro)
    return equations(jax.make_jaxpr(lambda x, key: chip(x, key=key))(jnp.ones((2, 16)), jax.random.key(0)).jaxpr)


def test_the_program_does_not_grow_with_turns_or_tiles() -> None:
    assert size(3, 4, 8) == size(50, 4, 8) == size(3, 4, 4)
    # Bits are taken apart one by one, with as many equations inside a loop as outside.
    assert size(3, 8, 8) - size(3, 4, 8) == size(None, 8, 8) - size(None, 4, 8)


def total(cost: Any) -> dict[str, float]:
    return {name: float(cost[name].sum()) for name in ("energy", "latency", "macs")}


@pytest.mark.parametrize("macro", [circuits.DigitalBinary(rows=16, columns=8), IDEAL], ids=["digital", "ADC"])
def test_stacked_layers_cost_as_the_same_layers_written_out(macro: circuits.Macro) -> None:
    looped = amsim.deploy(stacked_layers, PARAMS, macro).cost(X)
    plain = amsim.deploy(unrolled_stack, UNROLLED, macro).cost(X)
    assert looped["macs"].values.tolist() == [TURNS * UNITS**2]
    for name, want in total(plain).items():
        # Activity is averaged over the layers, in which energy is not quite linear.
        np.testing.assert_allclose(total(looped)[name], want, rtol=2e-2 if name == "energy" else 1e-6, err_msg=name)
    for name in ("weight_memory", "activation_memory", "dram", "control", "leakage"):
        got, want = (float(one["energy"].sel(component=name).sum()) for one in (looped, plain))
        np.testing.assert_allclose(got, want, rtol=1e-5, err_msg=name)
    workload = amsim.deploy(stacked_layers, PARAMS, macro).workload(X)
    assert workload.weight_words == TURNS * UNITS**2
    by_index = amsim.deploy(stacked_by_index, PARAMS, macro).cost(X)
    np.testing.assert_allclose(total(by_index)["energy"], total(looped)["energy"], rtol=1e-6)


@pytest.mark.parametrize("columns", [8, 64], ids=["weights loaded again", "weights stay"])
def test_a_recurrent_network_costs_as_its_turns_written_out(columns: int) -> None:
    macro = circuits.DigitalBinary(rows=16, columns=columns, weight_bits=8, input_bits=8)
    looped = amsim.deploy(lstm, LSTM, macro)
    plain = amsim.deploy(lambda p, x: lstm(p, x, loop=False), LSTM, macro)
    got, want = total(looped.cost(FRAMES)), total(plain.cost(FRAMES))
    assert got["macs"] == TURNS * 2 * UNITS * 4 * UNITS
    np.testing.assert_allclose(got["macs"], want["macs"])
    np.testing.assert_allclose(got["latency"], want["latency"], rtol=1e-6)
    np.testing.assert_allclose(got["energy"], want["energy"], rtol=2e-2)
    workload = looped.workload(FRAMES)
    assert [layer.repeats for layer in workload.layers] == [TURNS, TURNS]
    assert workload.weight_words == plain.workload(FRAMES).weight_words == 2 * UNITS * 4 * UNITS
    # Reports are those of the turns, averaged.
    each_turn = [layer.activity for layer in plain.workload(FRAMES).layers]
    for name, value in workload.layers[0].activity.items():
        mean = np.mean([activity[name] for activity in each_turn[::2]])
        np.testing.assert_allclose(value, mean, rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_loop_through_the_batch_costs_as_the_batch() -> None:
    looped = amsim.deploy(mapped, PARAMS, IDEAL).cost(X)
    at_once = amsim.deploy(lambda p, x: cell(p["cell"], decision(x)), PARAMS, IDEAL).cost(X)
    for name, want in total(at_once).items():
        np.testing.assert_allclose(total(looped)[name], want, rtol=1e-5, err_msg=name)
    one_by_one = amsim.deploy(vmap_of_scan, PARAMS, IDEAL).cost(X)
    assert one_by_one["macs"].sel(site="cell.w") == TURNS * UNITS**2


def test_what_the_data_decide_is_counted_as_it_runs() -> None:
    def function(p: Any, x: jax.Array) -> Any:
        going = lambda s: (s[0] < 100) & (jnp.sum(s[1] @ p["cell"]["u"]) > -1e9) & (jnp.sum(s[2]) < 6.5)  # noqa: E731
        add = lambda s: (s[0] + 1, jnp.tanh(s[1] @ p["cell"]["w"]), s[2] + 1.0)  # noqa: E731
        looped = jax.lax.while_loop(going, add, (0, x, jnp.zeros(())))[1]
        taken = jax.lax.cond(x[0, 0] > 0, lambda x: x @ p["kernel"]["a"], lambda x: x @ p["kernel"]["b"], looped)
        turn = lambda t, i: (jax.lax.cond(i % 3 == 0, lambda t: t @ p["stack"]["w"], lambda t: t, t), None)  # noqa: E731
        return jax.lax.scan(turn, taken, jnp.arange(7))[0]

    square = PARAMS["cell"]["w"]
    params = {"cell": PARAMS["cell"], "kernel": {"a": square, "b": square.T}, "stack": {"w": square}}
    macro = circuits.DigitalBinary(rows=16, columns=8)
    chip = amsim.deploy(function, params, macro)
    for inputs, taken in ((X.at[0, 0].set(1.0), "a"), (X.at[0, 0].set(-1.0), "b")):
        cost = chip.cost(inputs)
        macs = {str(site): float(cost["macs"].sel(site=site)) / UNITS**2 for site in cost["site"].values}
        want = {"cell.u": 8, "cell.w": 7, "kernel.a": taken == "a", "kernel.b": taken == "b", "stack": 3}
        assert macs == {name: float(times) for name, times in want.items()}
        assert bool(np.isfinite(cost["energy"]).all())
        idle = cost["energy"].sel(site="kernel.b" if taken == "a" else "kernel.a", component="mac")
        assert float(idle) == 0
        np.testing.assert_allclose(float(chip.energy(inputs)), float(cost["energy"].sum()), rtol=1e-6)
    slope = jax.grad(lambda supply: amsim.deploy(scan, PARAMS, dataclasses.replace(macro, supply=supply)).energy(X))(
        jnp.asarray(0.7)
    )
    assert np.isfinite(slope)
    assert slope > 0


def test_members_of_a_batch_leave_a_loop_at_turns_of_their_own() -> None:
    def one(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        going = lambda s: jnp.sum((s[1] @ decision(p["cell"]["u"])) ** 2) > 4.0  # noqa: E731
        turn = lambda s: (s[0] + 1, 0.2 * s[1] @ decision(p["cell"]["w"]))  # noqa: E731
        return jax.lax.while_loop(going, turn, (jnp.zeros((), int), x))

    def function(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.vmap(lambda row: one(p, row))(x)

    scale = jnp.asarray([[0.1], [1.0], [3.0], [30.0]])
    found = amsim.deploy(function, PARAMS, circuits.Exact())(scale * X)
    want = [one(PARAMS, row) for row in scale * X]
    turns = [int(row[0]) for row in want]
    assert len(set(turns)) > 2
    np.testing.assert_array_equal(found[0], turns)
    np.testing.assert_allclose(found[1], jnp.stack([row[1] for row in want]), rtol=1e-5, atol=1e-6)
    # Of each inference its own turns count, and one more answer of the condition.
    macs = amsim.deploy(function, PARAMS, DIGITAL).cost(scale * X)["macs"] / UNITS**2
    np.testing.assert_allclose(macs.sel(site="cell.w"), np.mean(turns), rtol=0, atol=0.5 / UNITS**2)
    np.testing.assert_allclose(macs.sel(site="cell.u"), np.mean(turns) + 1, rtol=0, atol=0.5 / UNITS**2)


def test_one_weight_inside_and_outside_is_stored_once() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        inside = jax.lax.scan(lambda h, _: (jnp.tanh(h @ p["cell"]["w"]), None), x, None, 3)[0]
        return jax.lax.cond(x[0, 0] > 0, lambda h: h @ p["cell"]["w"], lambda h: 2 * h @ p["cell"]["w"], inside)

    workload = amsim.deploy(function, PARAMS, IDEAL).workload(X)
    assert [layer.name for layer in workload.layers] == ["cell", "cell#2", "cell#3"]
    assert workload.weight_words == UNITS**2


def test_a_chip_inside_a_chip_stays_on_its_own_macros() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        inner = amsim.deploy(lambda p, x: decision(x) @ decision(p), p["cell"]["w"], circuits.DigitalBinary())
        return jax.lax.scan(lambda h, _: (decision(inner(h)) @ p["cell"]["u"], None), x, None, 2)[0]

    chip = amsim.deploy(function, PARAMS, circuits.Exact())
    close(chip(X), function(PARAMS, X))
    assert [(row.macro, row.inside) for row in chip.sites()] == [(None, "scan of 2"), ("Exact", "scan of 2")]
    assert chip.sites()[0].reason == "stays digital: it is inside a chip of its own"


def test_rules_reach_into_loops_and_what_they_leave_out_stays_digital() -> None:
    rules = {"cell.u": circuits.DigitalBinary(), "head": circuits.Exact()}
    chip = amsim.deploy(lambda p, x: scan_over_frames(p, x)[0] @ p["head"], PARAMS | {"head": X.T}, rules)
    chip(X)
    assert [(row.name, row.macro, row.reason) for row in chip.sites()] == [
        ("cell.w", None, "stays digital: no rule matches its name"),
        ("cell.u", "DigitalBinary", ""),
        ("head", "Exact", ""),
    ]


def test_a_weight_chosen_for_each_member_of_a_batch_stays_digital_and_is_listed() -> None:
    chip = amsim.deploy(lambda p, x: jax.vmap(lambda one: branch(p, one[None])[0])(x), PARAMS, IDEAL)
    close(chip(X), jax.vmap(lambda one: branch(PARAMS, one[None])[0])(X))
    (row,) = chip.sites()
    assert (row.name, row.macro) == ("cell", None)
    assert "data decide which weight" in row.reason


def test_float64_loops_keep_their_types() -> None:
    with jax.enable_x64(True):
        params, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (PARAMS, X))
        names = ["scan", "while", "switch"]
        macro = circuits.SwitchedCapacitor(rows=16, columns=8).ideal()
        chip = amsim.deploy(all_of(names), dict.fromkeys(names, params), macro)
        want = jax.jit(all_of(names))(dict.fromkeys(names, params), x)
        got = chip(x, key=jax.random.key(0))
        assert jax.tree.map(lambda leaf: leaf.dtype, got) == jax.tree.map(lambda leaf: leaf.dtype, want)
        close(got, want, 1e-12)
        assert np.isfinite(float(chip.energy(x)))


def test_experts_chosen_by_the_data_stay_digital_and_are_listed() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        expert = jnp.tanh(p["stack"]["w"][jnp.argmax(x[:, :TURNS], axis=1)])
        return jnp.einsum("bi,bij->bj", x @ p["cell"]["u"], expert)

    chip = amsim.deploy(function, PARAMS, circuits.Exact())
    close(chip(X), function(PARAMS, X))
    assert [(row.name, row.macro) for row in chip.sites()] == [("cell", "Exact"), ("stack", None)]
    assert "data decide which weight" in chip.sites()[1].reason


def test_a_weight_that_a_loop_with_data_makes_stays_digital_and_is_listed() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        def step(state: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
            hidden, weight = state
            return (jnp.tanh(hidden @ weight), weight / jnp.linalg.norm(weight)), None

        hidden, weight = jax.lax.scan(step, (x, p["cell"]["w"]), None, 3)[0]
        return hidden @ (2 * weight)

    chip = amsim.deploy(function, PARAMS, circuits.Exact())
    close(chip(X), function(PARAMS, X))
    assert [(row.name, row.macro, row.inside) for row in chip.sites()] == [
        ("cell", "Exact", "scan of 3"),
        ("cell#2", None, ""),
    ]
    # The weight is another one at each turn.
    assert chip.workload(X).weight_words == 3 * UNITS**2
