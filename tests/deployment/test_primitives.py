"""One table names JAX's operations, and all that reads programs agrees on them."""

import gc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

import amsim
from amsim import circuits
from amsim.circuits import ValueRange
from amsim.deployment.chip import run_deployed_chip
from amsim.deployment.mapping.mapper import map_program
from amsim.deployment.tracing import primitives
from amsim.deployment.tracing.flattening import CHIP_CALL, flatten
from amsim.deployment.tracing.primitives import bodies, call_body
from amsim.studies.program import peak_bytes

X, W = jnp.ones((4, 7)), jnp.ones((7, 3))
TABLES = {name: value for name, value in vars(primitives).items() if name.isupper()}


@pytest.mark.parametrize("table", TABLES)
def test_every_name_is_that_of_an_operation_of_jax(table: str) -> None:
    known = {one.name for one in gc.get_objects() if isinstance(one, core.Primitive)}
    assert TABLES[table]
    assert set(TABLES[table]) - known == set()


def in_a_call(function: Callable[..., Any], primitive: core.Primitive, *arguments: Any) -> core.ClosedJaxpr:
    """A function as one call of this kind, which `jax.jit` does not make."""
    closed = jax.make_jaxpr(jax.jit(function))(*arguments)
    (equation,) = closed.jaxpr.eqns
    body = equation.params["jaxpr"]
    inner = body if primitive.name == "closed_call" else body.jaxpr
    call = equation.replace(primitive=primitive, params={"call_jaxpr": inner})
    return core.ClosedJaxpr(closed.jaxpr.replace(eqns=[call]), closed.consts)


def with_operation(closed: core.ClosedJaxpr, old: str, new: core.Primitive) -> core.ClosedJaxpr:
    """A program with one of its operations in place of another of the same form."""
    assert sum(one.primitive.name == old for one in closed.jaxpr.eqns) == 1
    equations = [
        one.replace(primitive=new, params={}) if one.primitive.name == old else one for one in closed.jaxpr.eqns
    ]
    return core.ClosedJaxpr(closed.jaxpr.replace(eqns=equations), closed.consts)


@pytest.mark.parametrize("primitive", [core.primitives.call_p, core.primitives.closed_call_p], ids=lambda one: one.name)
def test_a_call_is_transparent_to_products_neurons_and_ranges(primitive: core.Primitive) -> None:
    def fn(w: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.sign(jnp.round(jax.nn.sigmoid(x)) @ w)

    program = flatten(in_a_call(fn, primitive, W, X), 1)
    assert [step.primitive for step in program.steps] == ["logistic", "round", "dot_general", "sign"]
    mapped = map_program(program, amsim.Accelerator(circuits.SwitchedCapacitor()), ["w"])
    assert [(row.readout, row.input_range) for row in mapped.table] == [("comparator", "0 to 1")]
    # A call with a rule and no product inside is one step; its range is found through the calls in it.
    inner = jax.make_jaxpr(jax.checkpoint(lambda x: jax.jit(jnp.tanh)(x)))(X)
    (checkpoint,) = inner.jaxpr.eqns
    body = in_a_call(jnp.tanh, primitive, X).jaxpr
    nested = checkpoint.replace(params=checkpoint.params | {"jaxpr": body})
    (step,) = flatten(core.ClosedJaxpr(inner.jaxpr.replace(eqns=[nested]), ()), 0).steps
    assert (step.primitive, step.outputs[0].range) == ("remat2", ValueRange(-1.0, 1.0))


@pytest.mark.parametrize("name", ["stop_gradient", "copy"])
def test_an_identity_is_one_to_ranges_origins_and_neurons(name: str) -> None:
    primitive = getattr(core.primitives, f"{name}_p")

    def fn(w: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.sign(jnp.negative(x @ w))

    closed = with_operation(jax.make_jaxpr(fn)(W, X), "neg", primitive)
    program = flatten(closed, 1)
    mapped = map_program(program, amsim.Accelerator(circuits.SwitchedCapacitor()), ["w"])
    assert [row.readout for row in mapped.table] == ["comparator"]
    limited = jax.make_jaxpr(lambda x: jnp.negative(jnp.tanh(x)))(X)
    assert flatten(with_operation(limited, "neg", primitive), 0).outputs[0].range == ValueRange(-1.0, 1.0)
    origin = flatten(with_operation(jax.make_jaxpr(jnp.negative)(W), "neg", primitive), 1)
    assert origin.outputs[0].source == origin.inputs[0].number


def test_bodies_are_found_in_every_kind_of_operation() -> None:
    @jax.custom_jvp
    def ruled(x: jax.Array) -> jax.Array:
        return jnp.sin(x)

    ruled.defjvp(lambda primals, tangents: (ruled(*primals), tangents[0]))
    constant = jnp.arange(3.0)
    held = {
        "jit": (lambda x: jax.jit(jnp.sin)(x), 1),
        "custom_jvp_call": (ruled, 1),
        "remat2": (jax.checkpoint(jnp.sin), 1),
        "scan": (lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c), None), x, None, 2)[0], 1),
        "while": (lambda x: jax.lax.while_loop(lambda c: jnp.all(c < 3), lambda c: c + constant, x), 2),
        "cond": (lambda x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), 2),
        "sin": (jnp.sin, 0),
    }
    for name, (function, count) in held.items():
        equations = jax.make_jaxpr(function)(constant).jaxpr.eqns
        (equation,) = [one for one in equations if one.primitive.name == name]
        assert len(bodies(equation)) == count, name
        if count != 1:
            with pytest.raises(ValueError, match=f"Operation {name} has no body"):
                call_body(equation)


def test_a_body_keeps_its_constants() -> None:
    table = np.arange(28, dtype=np.float32).reshape(4, 7)
    (equation,) = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, _: (c + table, None), x, None, 2)[0])(X).jaxpr.eqns
    inner = jax.make_jaxpr(lambda x: x + table)(X)
    (body,) = bodies(equation.replace(params={"jaxpr": inner}))
    assert len(body.jaxpr.constvars) == len(body.consts)
    np.testing.assert_array_equal(core.jaxpr_as_fun(body.closed)(X)[0], X + table)


def test_memory_of_a_study_counts_inside_calls() -> None:
    wide = jax.make_jaxpr(lambda x: jnp.sum(jnp.broadcast_to(x, (1000,))))(1.0)
    closed = in_a_call(lambda x: jnp.sum(jnp.broadcast_to(x, (1000,))), core.primitives.call_p, 1.0)
    assert peak_bytes(closed.jaxpr) >= peak_bytes(wide.jaxpr) >= 4000


def test_the_call_of_a_chip_bears_the_name_that_it_is_known_by() -> None:
    chip = amsim.deploy(lambda w, x: x @ w, W, circuits.Exact())
    (call,) = jax.make_jaxpr(chip)(X).jaxpr.eqns
    assert call.params["name"] == CHIP_CALL == run_deployed_chip.__name__
