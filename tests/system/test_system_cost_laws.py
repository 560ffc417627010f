"""Energy and latency of systems: monotonicity, scaling laws and derivatives."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_systems import ARRAY, NETWORK, UNITS, energy, memory, roomy, small, three_layers

from amsim import circuits
from amsim.circuits import Dram
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.hardware import COMPONENTS, PowerManagement
from amsim.system.organisation import Processor, Spread, SystolicArray

# Monotonicity.


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*3 * [st.floats(100, 30000)]),
    factor=st.floats(1, 10),
    which=st.sampled_from(["weight_memory", "activation_memory", "global_memory"]),
)
def test_dram_bits_never_rise_with_a_larger_memory(sizes, factor, which):
    before = small(*sizes)
    after = eqx.tree_at(lambda a: getattr(a, which).capacity, before, getattr(before, which).capacity * factor)
    costs = [system_cost(one, NETWORK.layers) for one in (before, after)]
    outside = [float(jnp.sum(cost.read[:, 3] + cost.written[:, 3])) for cost in costs]
    assert outside[1] <= outside[0] * (1 + 1e-5) + 1e-2


def test_a_larger_local_memory_saves_energy_where_dram_dominates():
    dear = Dram(access_energy=1e-9)
    totals = [energy(roomy(weight_memory=memory(bits), dram=dear)) for bits in (100.0, 1e3, 1e4, 2.5e4)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > 2 * totals[-1]
    # Where all fits, more of it only costs.
    larger = [energy(roomy(weight_memory=memory(bits), dram=dear)) for bits in (2.6e4, 1e5, 1e6)]
    assert larger == sorted(larger)


def test_energy_rises_with_supply_and_activity_and_falls_with_gating_and_reuse():
    supplies = [energy(eqx.tree_at(lambda a: a.macros[0].supply, roomy(), jnp.asarray(v))) for v in (0.5, 0.7, 0.9)]
    assert supplies == sorted(supplies)
    for name in ("toggling", "nonzero"):
        totals = [energy(roomy(), NETWORK.with_activity(**{name: value})) for value in (0.0, 0.2, 0.5)]
        assert totals == sorted(totals), name
        assert totals[0] < totals[-1]
    for name in ("gated_leakage", "retention"):
        power = [PowerManagement(rate=50.0, **{name: part}) for part in (0.0, 0.5, 1.0)]
        totals = [energy(small(power=one)) for one in power]
        assert totals == sorted(totals), name
        assert totals[0] < totals[-1]
    batches = [energy(small(batch=batch, activations=1e5), component="weight_memory") for batch in (1.0, 2.0, 4.0)]
    assert batches == sorted(batches, reverse=True)


@pytest.mark.parametrize("macro", [ARRAY, UNITS], ids=["XNOR", "units"])
def test_energy_rises_with_word_length(macro):
    totals = []
    for bits in (1, 3, 8):
        wider = dataclasses.replace(macro, weight_bits=bits, input_bits=bits)
        totals.append(system_cost(Accelerator(wider), NETWORK.layers[2:]).energy.sum(0))
    for name in ("mac", "weight_memory", "activation_memory"):
        values = [float(total[COMPONENTS.index(name)]) for total in totals]
        assert values == sorted(values), name
        assert values[0] < values[-1], name


def test_latency_never_rises_with_more_macros():
    flowing = SystolicArray(registers=circuits.RegisterFile())
    spreads = [(Spread(1), Spread(1)), (Spread(2, "pixels"), Spread(2)), (Spread(4, "pixels"), Spread(5))]
    costs = [system_cost(small(spreads=spread, organisation=flowing), NETWORK.layers) for spread in spreads]
    series = np.array([cost.seconds[:-1] for cost in costs])
    assert np.all(series[1:] <= series[:-1] * (1 + 1e-6))
    assert np.all(np.diff(series.sum(axis=1)) < 0)


# Scaling laws.


def test_energy_goes_with_the_square_of_the_supply():
    costs = [
        system_cost(eqx.tree_at(lambda a: a.macros[0].supply, roomy(), jnp.asarray(volts)), NETWORK.layers).energy[:2]
        for volts in (0.5, 1.0)
    ]
    for name, ratio in {"mac": 4, "control": 4, "weight_memory": 1, "activation_memory": 1}.items():
        place = COMPONENTS.index(name)
        np.testing.assert_allclose(costs[1][:, place], ratio * costs[0][:, place], rtol=1e-5, err_msg=name)
    low, high = (roomy(weight_memory=memory(1e6, supply=volts)) for volts in (0.5, 1.0))
    assert energy(high, component="weight_memory") == pytest.approx(
        4 * energy(low, component="weight_memory"), rel=1e-5
    )


def test_memory_energy_goes_with_the_root_of_the_capacity_and_with_the_bits():
    for name in ("weight_memory", "activation_memory"):
        four, one = (energy(roomy(**{name: memory(bits)}), component=name) for bits in (4e6, 1e6))
        assert four == pytest.approx(2 * one, rel=1e-5)
    # Bit-parallel weights take as many columns, bit-serial inputs as many evaluations.
    layers = NETWORK.layers[:1]
    wide = system_cost(Accelerator(dataclasses.replace(ARRAY, weight_bits=4, input_bits=2, columns=16)), layers)
    plain = system_cost(Accelerator(dataclasses.replace(ARRAY, columns=4)), layers)
    ratios = np.asarray(wide.energy[0] / jnp.where(plain.energy[0] > 0, plain.energy[0], 1.0), float)
    by_component = dict(zip(COMPONENTS, ratios, strict=True))
    assert by_component["weight_memory"] == pytest.approx(4, rel=1e-5)
    assert by_component["activation_memory"] == pytest.approx(2, rel=1e-5)


def test_leakage_grows_exponentially_with_temperature():
    hot, cold = (
        system_cost(roomy(power=PowerManagement(temperature=kelvin)), NETWORK.layers) for kelvin in (330.0, 300.0)
    )
    place = COMPONENTS.index("leakage")
    np.testing.assert_allclose(hot.energy[:, place] / cold.energy[:, place], math.exp(30 / 14), rtol=1e-4)
    np.testing.assert_allclose(jnp.delete(hot.energy, place, axis=1), jnp.delete(cold.energy, place, axis=1), rtol=1e-6)


def test_all_frequencies_together_change_power_but_no_switching_energy():
    fast, slow = (
        system_cost(eqx.tree_at(lambda a: a.macros[0].clock, roomy(), jnp.asarray(clock)), NETWORK.layers[:2])
        for clock in (24e6, 6e6)
    )
    np.testing.assert_allclose(slow.seconds, 4 * fast.seconds, rtol=1e-5)
    place = COMPONENTS.index("leakage")
    np.testing.assert_allclose(slow.energy[:, place], 4 * fast.energy[:, place], rtol=1e-5)
    np.testing.assert_allclose(
        jnp.delete(slow.energy, place, axis=1), jnp.delete(fast.energy, place, axis=1), rtol=1e-6
    )


# jit, vmap, grad.

SWEPT = {
    "macro supply": lambda a: a.macros[0].supply,
    "clock": lambda a: a.macros[0].clock,
    "mac energy": lambda a: a.macros[1].mac_energy,
    "weight capacity": lambda a: a.weight_memory.capacity,
    "activation capacity": lambda a: a.activation_memory.capacity,
    "weight supply": lambda a: a.weight_memory.supply,
    "global capacity": lambda a: a.global_memory.capacity,
    "dram energy": lambda a: a.dram.access_energy,
    "bandwidth": lambda a: a.dram.channel.bandwidth,
    "temperature": lambda a: a.power.temperature,
    "rate": lambda a: a.power.rate,
    "batch": lambda a: a.inferences_per_load,
    "control": lambda a: a.organisation.control_capacitance,
}


def scaled(accelerator, logs):
    """The accelerator with each of `SWEPT` times the exponential of its number."""
    places = list(SWEPT.values())
    values = [place(accelerator) * jnp.exp(log) for place, log in zip(places, logs, strict=True)]
    return eqx.tree_at(lambda a: [place(a) for place in places], accelerator, values)


def test_gradients_equal_central_differences():
    with jax.enable_x64(True):
        accelerator, layers = small(), three_layers().layers

        def figures(logs):
            cost = system_cost(scaled(accelerator, logs), layers)
            return jnp.stack([1e6 * jnp.sum(cost.energy), 1e3 * jnp.sum(cost.seconds[:-1])])

        none, step = jnp.zeros(len(SWEPT)), 1e-5
        slopes = np.asarray(jax.jit(jax.jacrev(figures))(none))
        moved = step * jnp.concatenate([jnp.eye(len(SWEPT)), -jnp.eye(len(SWEPT))])
        values = np.asarray(jax.jit(jax.vmap(figures))(moved))
        difference = ((values[: len(SWEPT)] - values[len(SWEPT) :]) / (2 * step)).T
        np.testing.assert_allclose(slopes, difference, rtol=1e-5, atol=1e-8 * np.abs(slopes).max())
        assert np.all(slopes[0] != 0), [name for name, slope in zip(SWEPT, slopes[0], strict=True) if slope == 0]


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "accelerator",
    [
        small(organisation=Processor()),
        Accelerator(
            circuits.SwitchedCapacitor(rows=64, columns=16), weight_memory=memory(2000.0), double_buffered=True
        ),
    ],
    ids=["processor", "charge lines"],
)
def test_every_parameter_has_a_finite_gradient_in_float32(accelerator):

    def figures(accelerator, layers):
        cost = system_cost(accelerator, layers)
        return sum(
            (jnp.sum(leaf) for leaf in (1e6 * cost.energy, cost.seconds, cost.utilisation, cost.area)), start=0.0
        )

    slopes = eqx.filter_grad(lambda both: figures(*both))((accelerator, NETWORK.layers))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(slopes))


def test_vmap_over_design_points_equals_the_loop():
    logs = 0.3 * jax.random.normal(jax.random.key(0), (5, len(SWEPT))).at[:, list(SWEPT).index("batch")].set(0.0)
    designs = [scaled(small(), one) for one in logs]
    static = eqx.partition(designs[0], eqx.is_array)[1]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[eqx.filter(one, eqx.is_array) for one in designs])
    at_once = eqx.filter_jit(eqx.filter_vmap(lambda a: system_cost(eqx.combine(a, static), NETWORK.layers)))(stacked)
    for index, one in enumerate(designs):
        for got, want in zip(jax.tree.leaves(at_once), jax.tree.leaves(system_cost(one, NETWORK.layers)), strict=True):
            np.testing.assert_allclose(got[index], want, rtol=3e-5, atol=1e-12)
