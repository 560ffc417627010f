"""A chip composes with jit, grad and vmap, in weights and in the parameters of the hardware."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.noise.gradients import decision

Params = dict[str, dict[str, jax.Array]]


def network(params: Params, inputs: jax.Array) -> jax.Array:
    hidden = jnp.tanh(inputs @ params["first"]["w"] + params["first"]["b"][None])
    return hidden @ params["second"]["w"]


def binary_network(params: Params, inputs: jax.Array) -> jax.Array:
    hidden = inputs @ decision(params["first"]["w"], "straight-through") + params["first"]["b"][None]
    return decision(hidden, "tanh") @ decision(params["second"]["w"], "straight-through")


def straight_network(params: Params, inputs: jax.Array) -> jax.Array:
    """With a slope that does not depend on where between two counts the comparator puts its threshold."""
    hidden = inputs @ decision(params["first"]["w"], "straight-through") + params["first"]["b"][None]
    return decision(hidden, "straight-through") @ decision(params["second"]["w"], "straight-through")


def one_site(params: Params, inputs: jax.Array) -> jax.Array:
    return inputs @ decision(params["first"]["w"]) + params["first"]["b"][None]


PARAMETER_KEYS = jax.random.split(jax.random.key(0), 3)


def new_params() -> Params:
    keys = PARAMETER_KEYS
    return {
        "first": {"w": jax.random.normal(keys[0], (7, 5)), "b": 0.3 * jax.random.normal(keys[1], (5,))},
        "second": {"w": jax.random.normal(keys[2], (5, 3))},
    }


INPUTS = jnp.where(jax.random.normal(jax.random.key(1), (6, 7)) >= 0, 1.0, -1.0)
SMALL = circuits.SwitchedCapacitor(rows=8, columns=4)


def mean_square(outputs: jax.Array) -> jax.Array:
    return jnp.mean(outputs**2)


@pytest.mark.parametrize(
    ("function", "macro"),
    [
        (network, circuits.Exact()),
        (binary_network, circuits.Exact()),
        (binary_network, circuits.DigitalBinary()),
        (straight_network, SMALL.ideal()),
    ],
    ids=["float on Exact", "binary on Exact", "binary on DigitalBinary", "binary on ideal capacitors"],
)
def test_gradient_in_weights_equals_that_of_plain_jax(function: Any, macro: circuits.Macro) -> None:
    def loss(params: Params) -> jax.Array:
        return mean_square(amsim.deploy(function, params, macro)(INPUTS))

    value, got = jax.jit(jax.value_and_grad(loss))(new_params())
    plain, want = jax.jit(jax.value_and_grad(lambda params: mean_square(function(params, INPUTS))))(new_params())
    np.testing.assert_allclose(value, plain, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), got, want)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(got))


def test_gradient_in_inputs() -> None:
    chip = amsim.deploy(network, new_params(), circuits.Exact())
    got = jax.grad(lambda inputs: mean_square(chip(inputs)))(INPUTS)
    want = jax.grad(lambda inputs: mean_square(network(new_params(), inputs)))(INPUTS)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_custom_gradients_of_the_network_stay_in_force() -> None:
    @jax.custom_vjp
    def doubled_backward(values: jax.Array) -> jax.Array:
        return values

    doubled_backward.defvjp(lambda values: (values, None), lambda _, cotangent: (2 * cotangent,))

    def function(params: Params, inputs: jax.Array) -> jax.Array:
        return doubled_backward(inputs @ params["second"]["w"])

    inputs = INPUTS[:, :5]

    def loss(params: Params, factor: float) -> jax.Array:
        if factor == 2:
            return mean_square(amsim.deploy(function, params, circuits.Exact())(inputs))
        return factor * mean_square(inputs @ params["second"]["w"])

    got, plain = (jax.grad(loss)(new_params(), factor)["second"]["w"] for factor in (2.0, 1.0))
    np.testing.assert_allclose(got, 2 * plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("adc", [True, False], ids=["ADC", "comparator"])
def test_gradient_in_hardware_is_finite_and_not_zero(adc: bool) -> None:
    macro = SMALL if adc else circuits.SwitchedCapacitor(rows=8, columns=4, adc=None)

    def function(params: Params, inputs: jax.Array) -> jax.Array:
        sums = inputs @ decision(params["first"]["w"]) + params["first"]["b"][None]
        return sums if adc else decision(sums, "tanh")

    def loss(macro: circuits.SwitchedCapacitor) -> jax.Array:
        chip = amsim.deploy(function, new_params(), macro, key=jax.random.key(2))
        return mean_square(chip(INPUTS, key=jax.random.key(3)) - 0.1)

    slopes = eqx.filter_jit(eqx.filter_grad(loss))(macro)
    assert all(bool(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
    for slope in (slopes.unit_capacitance, slopes.supply, slopes.mismatch_coefficient, slopes.comparator.noise):
        assert float(slope) != 0


def test_gradient_of_energy() -> None:
    def energy(macro: circuits.SwitchedCapacitor) -> jax.Array:
        return amsim.deploy(binary_network, new_params(), macro).energy(INPUTS)

    slopes = eqx.filter_jit(eqx.filter_grad(energy))(SMALL)
    assert float(slopes.unit_capacitance) > 0
    step = 0.05
    up, down = (energy(eqx.tree_at(lambda m: m.supply, SMALL, SMALL.supply * (1 + s))) for s in (step, -step))
    # The energy is quadratic in the supply, so that the central difference is exact.
    np.testing.assert_allclose(slopes.supply, (up - down) / (2 * step * SMALL.supply), rtol=1e-3)


def test_chip_passes_through_jit_and_grad_as_an_argument() -> None:
    chip = amsim.deploy(one_site, new_params(), SMALL, key=jax.random.key(0))
    want = chip(INPUTS, key=jax.random.key(1))
    got = jax.jit(lambda chip, inputs: chip(inputs, key=jax.random.key(1)))(chip, INPUTS)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    slopes = jax.jit(jax.grad(lambda chip: mean_square(chip(INPUTS))))(chip)
    np.testing.assert_allclose(slopes.params["first"]["b"], 2 / 5 * jnp.mean(chip(INPUTS), axis=0), rtol=1e-5)
    moved = eqx.tree_at(lambda chip: chip.params["first"]["b"], chip, chip.params["first"]["b"] + 1)
    np.testing.assert_allclose(moved(INPUTS), chip(INPUTS) + 1, rtol=1e-6, atol=1e-6)


def test_a_module_that_holds_its_own_arrays_can_be_the_function() -> None:
    class Masked(eqx.Module):
        mask: jax.Array

        def __call__(self, params: Params, inputs: jax.Array) -> jax.Array:
            return network(params, inputs * self.mask[None])

    chip = amsim.deploy(Masked(jnp.arange(7.0)), new_params(), circuits.Exact())
    want = jax.jit(network)(new_params(), INPUTS * jnp.arange(7.0)[None])
    np.testing.assert_array_equal(chip(INPUTS), want)


def test_jit_and_vmap_over_dies_equal_a_loop() -> None:
    def outputs(keys: jax.Array) -> jax.Array:
        return amsim.deploy(one_site, new_params(), SMALL, key=keys[0])(INPUTS, key=keys[1])

    keys = jax.random.split(jax.random.key(5), (2, 2))
    together = jax.jit(jax.vmap(outputs))(keys)
    np.testing.assert_allclose(together, jnp.stack([outputs(pair) for pair in keys]), rtol=1e-6, atol=1e-6)
    assert len({np.asarray(one).tobytes() for one in together}) == 2


def test_vmap_over_chips_and_parameters() -> None:
    keys = jax.random.split(jax.random.key(7), 2)
    chips = jax.jit(jax.vmap(lambda key: amsim.deploy(one_site, new_params(), SMALL, key=key)))(keys)
    got = jax.jit(jax.vmap(lambda chip: chip(INPUTS)))(chips)
    alone = [amsim.deploy(one_site, new_params(), SMALL, key=key)(INPUTS) for key in keys]
    np.testing.assert_allclose(got, jnp.stack(alone), rtol=1e-6, atol=1e-6)
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), new_params())
    got = jax.jit(jax.vmap(lambda params: amsim.deploy(network, params, circuits.Exact())(INPUTS)))(several)
    want = [network(jax.tree.map(lambda leaf, i=i: leaf[i], several), INPUTS) for i in range(2)]
    np.testing.assert_allclose(got, jnp.stack(want), rtol=1e-6, atol=1e-6)


def test_hardware_settings_are_traced() -> None:
    params = new_params()

    @jax.jit
    def spread(unit_capacitance: jax.Array) -> jax.Array:
        macro = circuits.SwitchedCapacitor(rows=8, columns=4, unit_capacitance=unit_capacitance)
        chip = amsim.deploy(one_site, params, macro, key=jax.random.key(0))
        return jnp.mean(jnp.abs(chip(INPUTS, key=jax.random.key(1)) - one_site(params, INPUTS)))

    assert float(spread(jnp.asarray(1e-18))) > float(spread(jnp.asarray(1e-9)))
