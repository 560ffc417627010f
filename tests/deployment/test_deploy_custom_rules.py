"""Custom derivatives around products that a macro takes over, held against those of the plain network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits

RNG = np.random.default_rng(5)
X = jnp.asarray(RNG.choice([-1.0, 1.0], (6, 16)), jnp.float32)
PARAMS = {
    name: {"w": jnp.asarray(RNG.normal(size=shape), jnp.float32)}
    for name, shape in {"first": (16, 12), "second": (12, 4)}.items()
}
IDEAL = {
    "exact": circuits.Exact(),
    "digital": circuits.DigitalBinary(rows=16, columns=16),
    "capacitors": circuits.SwitchedCapacitor(rows=16, columns=16).ideal(),
}
COMPARATOR = circuits.SwitchedCapacitor(rows=16, columns=16, adc=None)


def sign(values: jax.Array) -> jax.Array:
    return jnp.where(values >= 0, 1.0, -1.0)


@jax.custom_vjp
def clipped_dense(inputs: jax.Array, weight: jax.Array) -> jax.Array:
    """Product of signs with a derivative that no derivation of the product would give."""
    return sign(inputs) @ sign(weight)


def _forward(inputs: jax.Array, weight: jax.Array) -> tuple[jax.Array, Any]:
    return clipped_dense(inputs, weight), (inputs, weight)


def _backward(kept: Any, slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, weight = kept
    back = jnp.where(jnp.abs(inputs) < 1.5, slope @ jnp.tanh(weight).T, 0.0)
    return back, jnp.where(jnp.abs(weight) < 1.0, 3.0 * jnp.tanh(inputs).T @ slope, 0.0)


clipped_dense.defvjp(_forward, _backward)


@jax.custom_jvp
def forward_dense(inputs: jax.Array, weight: jax.Array) -> jax.Array:
    """The same with a rule for tangents."""
    return sign(inputs) @ sign(weight)


@forward_dense.defjvp
def _tangent(primals: Any, moved: Any) -> Any:
    (inputs, weight), (inward, change) = primals, moved
    return forward_dense(inputs, weight), 2.0 * inward @ jnp.tanh(weight) + jnp.tanh(inputs) @ (0.5 * change)


def network(dense: Callable[..., jax.Array]) -> Callable[[Any, jax.Array], jax.Array]:
    def function(params: Any, inputs: jax.Array) -> jax.Array:
        sums = dense(inputs, params["first"]["w"])
        # Not the sign of the sums alone, which a comparator would decide.
        return dense(jnp.cos(sums / 4) - 0.4, params["second"]["w"])

    return function


def loss(outputs: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(outputs) ** 2)


def slopes(function: Callable[..., jax.Array], params: Any, inputs: jax.Array) -> Any:
    return jax.grad(lambda p, x: loss(function(p, x)), (0, 1))(params, inputs)


def on_chip(function: Callable[..., Any], hardware: Any, **options: Any) -> Callable[..., jax.Array]:
    return lambda params, inputs: amsim.deploy(function, params, hardware, **options)(inputs)


def equal(one: Any, other: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), one, other)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("dense", [clipped_dense, forward_dense], ids=["vjp", "jvp"])
@pytest.mark.parametrize("macro", IDEAL)
def test_rules_around_products_stay_in_force(macro: str, dense: Any) -> None:
    function = network(dense)
    chip = on_chip(function, IDEAL[macro])
    equal(chip(PARAMS, X), function(PARAMS, X))
    want = slopes(function, PARAMS, X)
    assert float(jnp.abs(want[0]["first"]["w"]).max()) > 0.1
    equal(slopes(chip, PARAMS, X), want)
    equal(jax.jit(lambda p, x: slopes(chip, p, x))(PARAMS, X), want)
    table = amsim.deploy(function, PARAMS, IDEAL[macro]).sites(X)
    assert [row.name for row in table] == ["first", "second"]
    assert table.others == {}


def test_rules_in_loops_and_batches() -> None:
    params = {"cell": {"w": jnp.asarray(RNG.normal(size=(3, 16, 16)), jnp.float32)}}

    def scanned(p: Any, x: jax.Array) -> jax.Array:
        turn = lambda h, w: (jnp.tanh(clipped_dense(h, w) / 4), None)  # noqa: E731
        return jax.lax.scan(turn, x, p["cell"]["w"])[0]

    def batched(p: Any, x: jax.Array) -> jax.Array:
        return jax.vmap(lambda row: scanned(p, row[None])[0])(x)

    for function in (scanned, batched):
        chip = on_chip(function, circuits.Exact())
        equal(chip(params, X), function(params, X))
        equal(slopes(chip, params, X), slopes(function, params, X))


def test_the_circuit_keeps_its_derivatives_inside_a_rule() -> None:
    """By a comparator's noise, as of the same product without a rule."""
    die_key, read_key = jax.random.split(jax.random.key(3))

    def measure(noise: jax.Array, dense: Callable[..., jax.Array]) -> jax.Array:
        comparator = circuits.Comparator(noise=noise, offset_sigma=0.0, trim=None)
        macro = circuits.SwitchedCapacitor(rows=16, columns=16, comparator=comparator)
        chip = amsim.deploy(lambda p, x: dense(x, p["first"]["w"]), PARAMS, macro, key=die_key)
        return jnp.sum(chip(X, key=read_key))

    ruled, bare = (
        float(jax.grad(measure)(jnp.asarray(0.02), dense)) for dense in (clipped_dense, lambda x, w: sign(x) @ sign(w))
    )
    assert abs(ruled) > 1
    assert ruled == pytest.approx(bare, rel=1e-5)


def test_operands_and_results_without_a_derivative() -> None:
    @jax.custom_vjp
    def call(x: jax.Array, w: jax.Array, count: jax.Array, key: jax.Array) -> Any:
        noise = jax.random.rademacher(key, (4,), float)
        return (x @ w) * noise[None], jnp.sum(x) > 0, count + 1

    def back(kept: Any, slope: Any) -> Any:
        return slope[0] @ kept[1].T, 7.0 * kept[0].T @ slope[0], None, None

    call.defvjp(lambda x, w, count, key: (call(x, w, count, key), (x, w)), back)

    def function(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        sums, positive, count = call(x, p["second"]["w"], jnp.asarray(2), key)
        return jnp.where(positive, sums, -sums) * count.astype(float)

    inputs, key = X[:, :12], jax.random.key(8)
    plain, chip = (lambda p, x: function(p, x, key)), (lambda p, x: amsim.deploy(function, p, circuits.Exact())(x, key))
    equal(chip(PARAMS, inputs), plain(PARAMS, inputs))
    equal(slopes(chip, PARAMS, inputs), slopes(plain, PARAMS, inputs))


def test_forward_mode_and_rules_inside_rules() -> None:
    @jax.custom_jvp
    def outer(x: jax.Array, w: jax.Array) -> jax.Array:
        return 2.0 * clipped_dense(x, w)

    @outer.defjvp
    def _(primals: Any, moved: Any) -> Any:
        return outer(*primals), 9.0 * (moved[0] @ primals[1] + primals[0] @ moved[1])

    def function(p: Any, x: jax.Array) -> jax.Array:
        return jax.checkpoint(lambda w: jnp.tanh(outer(x, w) / 30))(p["first"]["w"])

    chip = on_chip(function, circuits.Exact())
    equal(slopes(chip, PARAMS, X), slopes(function, PARAMS, X))
    equal(jax.jvp(chip, (PARAMS, X), (PARAMS, X)), jax.jvp(function, (PARAMS, X), (PARAMS, X)))


def decided_inside() -> Callable[..., jax.Array]:
    @jax.custom_vjp
    def neuron(inputs: jax.Array, weight: jax.Array) -> jax.Array:
        return sign(inputs @ sign(weight))

    neuron.defvjp(lambda x, w: (neuron(x, w), (x, w)), lambda kept, g: (g @ kept[1].T, 5.0 * kept[0].T @ g))
    return neuron


def test_a_neuron_that_is_decided_inside_a_rule_keeps_it() -> None:
    neuron = decided_inside()

    def function(p: Any, x: jax.Array) -> jax.Array:
        return neuron(x, p["first"]["w"])

    # Weights of an odd number of rows: no sum is a tie.
    params, inputs = {"first": {"w": PARAMS["first"]["w"][:15]}}, X[:, :15]
    macro = COMPARATOR.ideal()
    chip = on_chip(function, macro)
    (row,) = amsim.deploy(function, params, macro).sites(inputs)
    assert row.readout == "comparator"
    equal(chip(params, inputs), function(params, inputs))
    equal(slopes(chip, params, inputs), slopes(function, params, inputs))
    ruled = amsim.deploy(function, params, macro, decision_rule="tanh")
    assert sum(ruled.sites(inputs).others.values()) == 1


def test_a_rule_between_a_product_and_its_decision_gives_way_and_is_counted() -> None:
    def function(p: Any, x: jax.Array) -> jax.Array:
        return sign(clipped_dense(x, p["first"]["w"]))

    table = amsim.deploy(function, PARAMS, COMPARATOR).sites(X)
    assert [row.readout for row in table] == ["comparator"]
    (kind,) = table.others
    assert kind == "custom derivative around a product: replaced by that of the macro"
    assert table.others[kind] == 1
    assert f"1 x {kind}" in str(table).splitlines()
