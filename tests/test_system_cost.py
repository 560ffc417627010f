"""The cost of an inference: by hand, conserved, monotonic, scaling as its laws, differentiable, clear on misuse."""

import dataclasses
import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import config

import amsim
from amsim import circuits
from amsim.accelerator import COMPONENTS, Accelerator, PowerManagement
from amsim.circuits import DigitalBinary, Dram, DramChannel, MultiPrecision, Process, Sram, SramOrganisation
from amsim.circuits.technology import Technology
from amsim.memory_traffic import MEMORIES
from amsim.organisation import Processor, Spread, SystolicArray
from amsim.system_cost import IDLE, evaluate
from amsim.workloads import Workload, convolution, dense


def three_layers():
    first, second = convolution("conv1", 9, 7, 4, 12, 3), convolution("conv2", 9, 7, 12, 20, 2, 2)
    return Workload("three", (first, second, dense("dense", 400, 10))).with_activity(toggling=0.3, nonzero=0.8)


def two_macros():
    """Rules anew, so that their numbers are of the precision in force."""
    units = MultiPrecision(rows=4, columns=4, weight_bits=6, input_bits=6)
    return {"conv.*": DigitalBinary(rows=64, columns=16), "dense": units}


NETWORK, (ARRAY, UNITS) = three_layers(), two_macros().values()


def memory(capacity, word=64, banks=1, **settings):
    return Sram(capacity, organisation=SramOrganisation(word_width=word, banks=banks), **settings)


def small(weights=3000.0, activations=900.0, between=1500.0, batch=2.0, temperature=310.0, **settings):
    """An accelerator on which nothing fits: two kinds of macros, all memories, DRAM of some bandwidth, idle time."""
    parts = {
        "weight_memory": memory(weights, 32),
        "activation_memory": memory(activations, 16, banks=2),
        "global_memory": memory(between, 64),
        "dram": Dram(access_energy=15e-12, channel=DramChannel(bandwidth=50e6, background_power=1e-3)),
        "power": PowerManagement(rate=50.0, gated_leakage=0.3, retention=0.2, temperature=temperature),
        "inferences_per_load": batch,
    }
    return Accelerator(two_macros(), **(parts | settings))


def roomy(**settings):
    """An accelerator whose memories hold all, and whose cells nothing for good."""
    parts = {"weight_memory": memory(1e6), "activation_memory": memory(1e6)} | settings
    return Accelerator(two_macros(), **parts)


def energy(accelerator, workload=NETWORK, component=None):
    found = evaluate(accelerator, workload.layers).energy
    return float(jnp.sum(found if component is None else found[:, COMPONENTS.index(component)]))


def seconds(accelerator, workload=NETWORK):
    return float(jnp.sum(evaluate(accelerator, workload.layers).seconds))


# Against a loop in plain Python.


def sram_bit(memory):
    """Energy of reading a bit, J."""
    sizes = memory.organisation
    capacity, supply = float(memory.capacity), float(memory.supply)
    each = 0.083e-12 * math.sqrt(capacity / sizes.banks / 65536) * (0.7 + 0.3 * 64 / sizes.word_width)
    wire = 0.2e-9 * math.sqrt(capacity * 0.25e-12) * supply**2 / 4 if sizes.banks > 1 else 0.0
    return each * (supply / 0.9) ** 2 + wire


def leaking(memory, temperature):
    return float(memory.capacity) * 10e-12 * float(memory.supply) * math.exp((temperature - 300) / 14)


def of_binary_array(macro, work):
    """Joules, cycles of computing and loading, bits of weights, inputs and outputs, sums to add; on one array."""
    product = work.product
    block = 9 if work.window_fetches == 3 else 4
    tiles = math.ceil(product.rows / block / (macro.rows // block))
    passes = math.ceil(product.columns / macro.columns)
    full_adders = 2 * macro.rows - 2 - math.log2(macro.rows)
    cell = 3.0 * (1.05e-15 + 4.2e-15 * full_adders / macro.rows) * float(macro.supply) ** 2 * 0.3 / 0.5
    weights = product.rows * product.columns
    return {
        "energy": work.positions * weights * cell,
        "compute": work.positions * tiles * passes * 2.0,
        "load": weights / 256,
        "weights": weights,
        "inputs": work.input_words * passes * work.window_fetches,
        "outputs": work.positions * product.columns,
        "live": work.input_words + work.positions * product.columns,
        "additions": work.positions * product.columns * (tiles - 1),
        "clock": float(macro.clock),
        "supply": float(macro.supply),
        "peak": macro.rows * macro.columns / 2,
    }


def of_units(work):
    """The same for 6-bit operands in 8-bit subwords of 16-bit units."""
    product = work.product
    rows, columns = math.ceil(work.positions / 8), math.ceil(product.columns / 4)
    weights = product.rows * product.columns * 6
    return {
        "energy": work.macs * 0.8 * 6.7e-12 * (0.8 / 1.03) ** 2 / 1.82 / 2 * 6 / 8,
        "compute": rows * columns * product.rows / 0.74,
        "load": 0.0,
        "weights": weights * rows,
        "inputs": work.input_words * 6 * columns,
        "outputs": work.positions * product.columns * 6,
        "live": 6 * (work.input_words + work.positions * product.columns),
        "additions": 0,
        "clock": 100e6,
        "supply": 0.8,
        "peak": 32,
    }


def by_hand(accelerator):
    """Energy (sites, components), seconds (sites,) and stalls of `NETWORK` on an accelerator as `small` makes them."""
    batch, power, dram = float(accelerator.inferences_per_load), accelerator.power, accelerator.dram
    near, maps, between = accelerator.weight_memory, accelerator.activation_memory, accelerator.global_memory
    sites = [of_binary_array(accelerator.macros[0], layer.work) for layer in NETWORK.layers[:2]]
    sites.append(of_units(NETWORK.layers[2].work))
    stored = [9 * 4 * 12, 4 * 12 * 20, 4000 * 6]
    spilled = [min(max(batch * s["live"] - float(maps.capacity), 0), batch * s["outputs"]) for s in sites]
    shared = [min(bits, float(between.capacity)) for bits in spilled]
    missing = max(sum(stored) - float(near.capacity), 0)
    weights_between = min(missing, float(between.capacity) - max(shared))
    leak = [leaking(one, float(power.temperature)) for one in (near, maps, between)]
    macros = [float(macro.leakage_power(power.temperature)) for macro in accelerator.macros]
    rows, times, stalls = [], [], []
    for site, kept, spill, pass_by in zip(sites, stored, spilled, shared, strict=True):
        streams = site["load"] == 0
        from_between = kept / sum(stored) * weights_between / batch
        from_dram = kept / sum(stored) * (missing - weights_between) / batch
        fetched = site["weights"] / (1 if streams else batch)
        outside = 2 * (spill - pass_by) / batch + from_dram
        passing = [pass_by / batch + from_between, pass_by / batch]
        word_cycles = (fetched + from_between + from_dram) / 32, (site["inputs"] + site["outputs"]) / 32
        arriving = max(sum(passing) / 64, outside / 50e6 * site["clock"])
        if streams:
            cycles = max(site["compute"], *word_cycles) + arriving
        else:
            loading = max(site["load"] / batch, word_cycles[0])
            cycles = max(site["compute"], word_cycles[1]) + loading + arriving
        time, square = cycles / site["clock"], site["supply"] ** 2
        own = 1 if streams else 0
        leakage = sum(leak) + macros[own] + float(power.gated_leakage) * macros[1 - own]
        by_component = {
            "mac": site["energy"] + site["additions"] * 24 * (4.2e-15 + 2.1e-15) * square,
            "registers": 0.0,
            "weight_memory": sram_bit(near) * (fetched + 1.1 * (from_between + from_dram)),
            "activation_memory": sram_bit(maps) * (site["inputs"] + 1.1 * site["outputs"]),
            "global_memory": sram_bit(between) * (passing[0] + 1.1 * passing[1]),
            "dram": 15e-12 * outside + 1e-3 * time,
            "control": cycles * 70e-12 * square,
            "leakage": leakage * time,
        }
        rows.append([by_component[name] for name in COMPONENTS])
        times.append(time)
        stalls.append(cycles - site["compute"])
    idle = 1 / float(power.rate) - sum(times)
    still = float(power.gated_leakage) * sum(macros) + float(power.retention) * sum(leak)
    rows.append([{"leakage": idle * still, "dram": idle * 1e-3}.get(name, 0.0) for name in COMPONENTS])
    assert dram is not None
    return np.array(rows), np.array([*times, idle]), np.array([*stalls, 0.0])


@settings(max_examples=25, deadline=None)
@given(
    weights=st.floats(100, 40000),
    activations=st.floats(100, 4000),
    between=st.floats(10, 4000),
    batch=st.sampled_from([1.0, 3.0]),
    temperature=st.floats(250, 380),
    supply=st.floats(0.55, 1.0),
)
def test_three_layers_by_hand(weights, activations, between, batch, temperature, supply):
    accelerator = small(weights, activations, between, batch, temperature)
    accelerator = eqx.tree_at(lambda a: a.macros[0].supply, accelerator, jnp.asarray(supply))
    cost = evaluate(accelerator, NETWORK.layers)
    joules, times, stalls = by_hand(accelerator)
    np.testing.assert_allclose(cost.energy, joules, rtol=3e-4, atol=1e-15)
    np.testing.assert_allclose(cost.seconds, times, rtol=3e-4, atol=1e-10)
    np.testing.assert_allclose(cost.stalls, stalls, rtol=1e-3, atol=0.3)
    assert np.all(np.asarray(cost.stalls) >= 0)
    assert np.all((np.asarray(cost.utilisation) >= 0) & (np.asarray(cost.utilisation) <= 1))


# Conservation.


def test_nothing_is_counted_twice_or_lost():
    accelerator = small()
    cost = accelerator.cost(NETWORK)
    result = evaluate(accelerator, NETWORK.layers)
    np.testing.assert_allclose(cost["energy"], result.energy, rtol=1e-6)
    np.testing.assert_allclose(float(cost["latency"].sum()), 1 / 50.0, rtol=1e-6)
    assert list(cost["site"].values) == ["conv1", "conv2", "dense", IDLE]
    assert int(cost["macs"].sum()) == NETWORK.macs == 63 * 36 * 12 + 20 * 48 * 20 + 400 * 10
    np.testing.assert_allclose(float(cost["area"]), float(cost["component_area"].sum()), rtol=1e-6)
    np.testing.assert_allclose(float(accelerator.area), float(cost["area"]), rtol=1e-6)
    read, written = (cost[name].sum("site").to_series() for name in ("bits_read", "bits_written"))
    weights = (432 + 960 + 24000 - 3000) / 2
    assert written["weight_memory"] == pytest.approx(weights, rel=1e-5)
    far = read[["dram", "global_memory"]].sum() - written[["dram", "global_memory"]].sum()
    assert far == pytest.approx(weights, rel=1e-5)


def test_halves_of_a_network_add_up_to_the_whole():
    # Too few columns to keep even the first layer, which a half could otherwise.
    accelerator = dataclasses.replace(roomy(), macros=(dataclasses.replace(ARRAY, columns=8), UNITS))
    whole = accelerator.cost(NETWORK)
    for cut in (1, 2):
        parts = [accelerator.cost(Workload("part", layers)) for layers in (NETWORK.layers[:cut], NETWORK.layers[cut:])]
        for name in ("energy", "latency", "macs", "bits_read", "bits_written", "stored_bits"):
            np.testing.assert_allclose(whole[name], np.concatenate([part[name] for part in parts]), rtol=1e-6)
        np.testing.assert_allclose(whole["area"], parts[0]["area"])


def test_area_by_hand():
    processor = Processor(vector_width=16.0)
    accelerator = small(organisation=processor, spreads=(Spread(3), Spread(2, "pixels")))
    area = dict(zip(COMPONENTS, np.asarray(accelerator.component_area, float), strict=True))
    np.testing.assert_allclose(area["mac"], 3 * float(ARRAY.area) + 2 * 16 * 4770e-12, rtol=1e-6)
    np.testing.assert_allclose(area["control"], 5 * float(processor.area), rtol=1e-6)
    held = {"weight_memory": 3000, "activation_memory": 900, "global_memory": 1500}
    for name in held:
        np.testing.assert_allclose(area[name], held[name] * 0.25e-12, rtol=1e-6)
    assert area["dram"] == area["leakage"] == area["registers"] == 0


def test_idle_time_leaks_and_refreshes():
    busy = seconds(small(power=PowerManagement(temperature=310.0)))
    for rate in (20.0, 200.0, 1 / busy):
        accelerator = small(power=PowerManagement(rate=rate, gated_leakage=0.3, retention=0.2, temperature=310.0))
        idle = accelerator.cost(NETWORK).sel(site=IDLE)
        rest = 1 / rate - busy
        leakage = float(idle["energy"].sel(component="leakage"))
        assert leakage == pytest.approx(rest * float(accelerator.idle_leakage), rel=1e-4, abs=1e-15)
        assert float(idle["energy"].sel(component="dram")) == pytest.approx(rest * 1e-3, rel=1e-4, abs=1e-10)
        assert float(idle["energy"].sum()) == pytest.approx(leakage + rest * 1e-3, rel=1e-4, abs=1e-10)
    # The gated part of both macros and the retained part of all memories.
    macros = sum(float(macro.leakage_power(310.0)) for macro in accelerator.macros)
    held = leaking(memory(3000.0 + 900.0 + 1500.0), 310.0)
    assert float(accelerator.idle_leakage) == pytest.approx(0.3 * macros + 0.2 * held, rel=1e-5)


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
    costs = [evaluate(one, NETWORK.layers) for one in (before, after)]
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
        totals.append(evaluate(Accelerator(wider), NETWORK.layers[2:]).energy.sum(0))
    for name in ("mac", "weight_memory", "activation_memory"):
        values = [float(total[COMPONENTS.index(name)]) for total in totals]
        assert values == sorted(values), name
        assert values[0] < values[-1], name


def test_latency_never_rises_with_more_macros():
    flowing = SystolicArray(registers=circuits.RegisterFile())
    spreads = [(Spread(1), Spread(1)), (Spread(2, "pixels"), Spread(2)), (Spread(4, "pixels"), Spread(5))]
    costs = [evaluate(small(spreads=spread, organisation=flowing), NETWORK.layers) for spread in spreads]
    series = np.array([cost.seconds[:-1] for cost in costs])
    assert np.all(series[1:] <= series[:-1] * (1 + 1e-6))
    assert np.all(np.diff(series.sum(axis=1)) < 0)


# Scaling laws.


def test_energy_goes_with_the_square_of_the_supply():
    costs = [
        evaluate(eqx.tree_at(lambda a: a.macros[0].supply, roomy(), jnp.asarray(volts)), NETWORK.layers).energy[:2]
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
    wide = evaluate(Accelerator(dataclasses.replace(ARRAY, weight_bits=4, input_bits=2, columns=16)), layers)
    plain = evaluate(Accelerator(dataclasses.replace(ARRAY, columns=4)), layers)
    ratios = np.asarray(wide.energy[0] / jnp.where(plain.energy[0] > 0, plain.energy[0], 1.0), float)
    by_component = dict(zip(COMPONENTS, ratios, strict=True))
    assert by_component["weight_memory"] == pytest.approx(4, rel=1e-5)
    assert by_component["activation_memory"] == pytest.approx(2, rel=1e-5)


def test_leakage_grows_exponentially_with_temperature():
    hot, cold = (
        evaluate(roomy(power=PowerManagement(temperature=kelvin)), NETWORK.layers) for kelvin in (330.0, 300.0)
    )
    place = COMPONENTS.index("leakage")
    np.testing.assert_allclose(hot.energy[:, place] / cold.energy[:, place], math.exp(30 / 14), rtol=1e-4)
    np.testing.assert_allclose(jnp.delete(hot.energy, place, axis=1), jnp.delete(cold.energy, place, axis=1), rtol=1e-6)


def test_all_frequencies_together_change_power_but_no_switching_energy():
    fast, slow = (
        evaluate(eqx.tree_at(lambda a: a.macros[0].clock, roomy(), jnp.asarray(clock)), NETWORK.layers[:2])
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
            cost = evaluate(scaled(accelerator, logs), layers)
            return jnp.stack([1e6 * jnp.sum(cost.energy), 1e3 * jnp.sum(cost.seconds[:-1])])

        none, step = jnp.zeros(len(SWEPT)), 1e-5
        slopes = np.asarray(jax.jit(jax.jacrev(figures))(none))
        moved = step * jnp.concatenate([jnp.eye(len(SWEPT)), -jnp.eye(len(SWEPT))])
        values = np.asarray(jax.jit(jax.vmap(figures))(moved))
        difference = ((values[: len(SWEPT)] - values[len(SWEPT) :]) / (2 * step)).T
        np.testing.assert_allclose(slopes, difference, rtol=1e-5, atol=1e-8 * np.abs(slopes).max())
        assert np.all(slopes[0] != 0), [name for name, slope in zip(SWEPT, slopes[0], strict=True) if slope == 0]


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
        cost = evaluate(accelerator, layers)
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
    at_once = eqx.filter_jit(eqx.filter_vmap(lambda a: evaluate(eqx.combine(a, static), NETWORK.layers)))(stacked)
    for index, one in enumerate(designs):
        for got, want in zip(jax.tree.leaves(at_once), jax.tree.leaves(evaluate(one, NETWORK.layers)), strict=True):
            np.testing.assert_allclose(got[index], want, rtol=3e-5, atol=1e-12)


# Deployed networks.


def network(params, images):
    layout = ("NHWC", "HWIO", "NHWC")
    values = jax.lax.conv_general_dilated(images, params["conv1"], (1, 1), "SAME", dimension_numbers=layout)
    return jax.nn.relu(values).reshape(len(images), -1) @ params["dense"]


def test_the_workload_of_a_chip_costs_what_the_chip_does():
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"conv1": jax.random.normal(keys[0], (3, 3, 4, 6)), "dense": jax.random.normal(keys[1], (180, 10))}
    images = jax.random.normal(keys[2], (4, 6, 5, 4))
    first, other = small(), roomy(spreads=Spread(2))
    chip = amsim.deploy(network, params, first)
    workload, cost = chip.workload(images), chip.cost(images)
    np.testing.assert_allclose(float(cost["energy"].sum()), float(chip.energy(images)), rtol=1e-5)
    again = first.cost(workload)
    for name in again.data_vars:
        np.testing.assert_allclose(again[name], cost[name], rtol=1e-6, err_msg=str(name))
    assert workload.macs == int(cost["macs"].sum()) == 30 * 36 * 6 + 1800
    # These macros report the same activity wherever they stand.
    elsewhere = amsim.deploy(network, params, other).cost(images)
    moved = other.cost(workload)
    for name in moved.data_vars:
        np.testing.assert_allclose(moved[name], elsewhere[name], rtol=1e-6, err_msg=str(name))


# Bad input.


def test_a_network_that_does_not_fit_says_what_would():
    tight = small(power=None, dram=None)
    sizes = r"25392 bits of weights.*`weight_memory` holds 3000 and `activation_memory` 900.*`global_memory` 1500"
    with pytest.raises(ValueError, match=sizes):
        tight.cost(NETWORK)
    text = re.escape("does not fit the memories of an accelerator without DRAM")
    with pytest.raises(RuntimeError, match=text):
        evaluate(tight, NETWORK.layers)
    # Whatever of the result is looked at.
    for name in ("energy", "seconds"):
        with pytest.raises(RuntimeError, match=text):
            eqx.filter_jit(lambda a, name=name: getattr(evaluate(a, NETWORK.layers), name))(tight)
    enough = small(25392.0, 2 * 6000.0, dram=None, batch=1.0, power=None)
    assert float(enough.cost(NETWORK)["energy"].sel(component="dram").sum()) == 0


def test_a_rate_too_high_says_what_is_possible():
    fastest = 1 / seconds(small(power=PowerManagement()))
    with pytest.raises(ValueError, match=f"`rate` must be at most {fastest:.4g} .* but is 1e\\+06"):
        small(power=PowerManagement(rate=1e6)).cost(NETWORK)
    with pytest.raises(RuntimeError, match="`rate` must be at most"):
        evaluate(small(power=PowerManagement(rate=fastest * 1.01)), NETWORK.layers)
    evaluate(small(power=PowerManagement(rate=fastest)), NETWORK.layers)


def test_a_supply_outside_the_window_says_its_value():
    wrong = roomy(weight_memory=memory(1e6, supply=1.3, process=Process("16nm")))
    with pytest.raises(ValueError, match=r"`supply` must be finite and from 0\.5 to 1 V at 16nm.*but is 1\.3"):
        wrong.cost(NETWORK)
    with pytest.raises(RuntimeError, match=r"`supply` must be finite and from 0\.5 to 1 V at 16nm"):
        evaluate(wrong, NETWORK.layers)


def test_wrong_arguments():
    config.update("jaxtyping_disable", True)
    try:
        for make, words in (
            (lambda: roomy(spreads=(Spread(),)), "`spreads` must be one or have one for each of 2 macros, but has 1"),
            (lambda: roomy(spreads=3), "`spreads` must be a Spread or have one for each macro, but is 3"),
            (lambda: roomy(spreads=(Spread(), "pixels")), "`spreads` must be of type Spread, but is 'pixels'"),
            (lambda: roomy(double_buffered=1), "`double_buffered` must be of type bool, but is 1"),
            (lambda: roomy(double_buffered="yes"), "`double_buffered` must be of type bool, but is 'yes'"),
            (lambda: roomy(inferences_per_load=0.5), r"`inferences_per_load` must be at least 1, but is 0\.5"),
            (lambda: roomy(inferences_per_load=-1), "`inferences_per_load` must be finite and above 0, but is -1"),
            (lambda: roomy(weight_memory=1e6), "`weight_memory` must be of type Sram, but is 1000000"),
            (lambda: roomy(global_memory=Dram()), "`global_memory` must be of type Sram or None"),
            (lambda: roomy(organisation="systolic"), "`organisation` must be of type Organisation, but is 'systolic'"),
            (lambda: roomy(technology="28nm"), "`technology` must be of type Technology, but is '28nm'"),
            (lambda: roomy(power=1e-3), "`power` must be of type PowerManagement, but is 0.001"),
            (lambda: roomy(dram="LPDDR4"), "`dram` must be of type Dram or None, but is 'LPDDR4'"),
            (lambda: Accelerator({}), "must have at least one rule, but is empty"),
            (lambda: Accelerator(3), "must be a macro, an Accelerator or rules .* but has 3 of type int"),
            (lambda: Accelerator({"(": ARRAY}), r"regular expressions as patterns, but '\(' is none"),
            (lambda: Accelerator((ARRAY, UNITS), patterns=("a",)), r"`patterns` .* each of 2 macros, but is \('a',\)"),
            (lambda: Accelerator((ARRAY, UNITS), patterns=("a", "a")), r"`patterns` .* different .* is \('a', 'a'\)"),
            (lambda: roomy().cost(NETWORK.layers), "`workload` must be of type Workload"),
            (lambda: PowerManagement(rate=0), "`rate` must be finite and above 0, but is 0"),
            (lambda: PowerManagement(gated_leakage=1.5), r"`gated_leakage` must be .* at most 1, but is 1\.5"),
            (
                lambda: PowerManagement(temperature=-3),
                "`temperature` must be finite .* at most 400, but is -3",
            ),
            (lambda: Technology(process=Process("29nm")), "`node` must be one of .*, but is '29nm'"),
            (lambda: DigitalBinary(rows=-64), "`rows` must be an integer of at least 1, but is -64"),
            (lambda: memory(-1.0), "`capacity` must be finite and above 0, but is -1"),
            (lambda: memory(8.0, word=0), "`word_width` must be an integer of at least 1, but is 0"),
            (lambda: DramChannel(bandwidth=-1.0), "`bandwidth` must be finite and above 0, but is -1"),
            (lambda: Dram.standard("DDR9"), "`name` must be one of .*, but is 'DDR9'"),
            (lambda: MultiPrecision(weight_bits=17), "`weight_bits` must be an integer from 1 to 16, but is 17"),
            (lambda: NETWORK.with_activity(toggling=-0.1), r"`toggling` must be .* at least 0 everywhere.* -0\.1"),
            (lambda: convolution("a", 0, 3, 1, 1, 1), "`height` must be an integer of at least 1, but is 0"),
        ):
            with pytest.raises(ValueError, match=words):
                make()
    finally:
        config.update("jaxtyping_disable", False)


def test_names_of_components_and_memories_are_all_there():
    cost = roomy(dram=None).cost(NETWORK)
    assert tuple(cost["component"].values) == COMPONENTS
    assert tuple(cost["memory"].values) == MEMORIES
    assert bool((cost["energy"].sel(component=["dram", "global_memory", "registers"]) == 0).all())
    for name in [*cost.data_vars, *cost.coords]:
        assert cost[name].attrs["units"], name
