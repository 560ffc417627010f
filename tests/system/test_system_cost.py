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
from small_systems import ARRAY, NETWORK, UNITS, memory, roomy, seconds, small

import amsim
from amsim.circuits import DigitalBinary, Dram, DramChannel, MultiPrecision, Process
from amsim.circuits.technology.technology import Technology
from amsim.system.accelerator import Accelerator
from amsim.system.cost import IDLE, system_cost
from amsim.system.hardware import COMPONENTS, MEMORIES, PowerManagement
from amsim.system.organisation import Processor, Spread
from amsim.workloads import Workload, convolution

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
    cost = system_cost(accelerator, NETWORK.layers)
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
    result = system_cost(accelerator, NETWORK.layers)
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
        system_cost(tight, NETWORK.layers)
    # Whatever of the result is looked at.
    for name in ("energy", "seconds"):
        with pytest.raises(RuntimeError, match=text):
            eqx.filter_jit(lambda a, name=name: getattr(system_cost(a, NETWORK.layers), name))(tight)
    enough = small(25392.0, 2 * 6000.0, dram=None, batch=1.0, power=None)
    assert float(enough.cost(NETWORK)["energy"].sel(component="dram").sum()) == 0


def test_a_rate_too_high_says_what_is_possible():
    fastest = 1 / seconds(small(power=PowerManagement()))
    with pytest.raises(ValueError, match=f"`rate` must be at most {fastest:.4g} .* but is 1e\\+06"):
        small(power=PowerManagement(rate=1e6)).cost(NETWORK)
    with pytest.raises(RuntimeError, match="`rate` must be at most"):
        system_cost(small(power=PowerManagement(rate=fastest * 1.01)), NETWORK.layers)
    system_cost(small(power=PowerManagement(rate=fastest)), NETWORK.layers)


def test_a_supply_outside_the_window_says_its_value():
    wrong = roomy(weight_memory=memory(1e6, supply=1.3, process=Process("16nm")))
    with pytest.raises(ValueError, match=r"`supply` must be finite and from 0\.5 to 1 V at 16nm.*but is 1\.3"):
        wrong.cost(NETWORK)
    with pytest.raises(RuntimeError, match=r"`supply` must be finite and from 0\.5 to 1 V at 16nm"):
        system_cost(wrong, NETWORK.layers)


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
