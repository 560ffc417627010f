"""Bits at each memory: against a plain loop, conserved between memories, and what they cost in time and energy."""

import dataclasses
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits import DigitalBinary, Dram, DramChannel, MultiPrecision, Sram, SramOrganisation
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.hardware import MEMORIES
from amsim.system.site_counts import site_counts
from amsim.system.traffic import bandwidths, memory_energies, traffic, transfer_cycles
from amsim.workloads import dense

# 8 x 8 cells with 2-bit inputs: everything is loaded at each inference.
ARRAY = DigitalBinary(rows=16, columns=8, input_bits=2, load_width=8.0)
LAYERS = (
    dense("a", 40, 20, 6),
    dense("b", 20, 30, 6),
    dense("c", 30, 12, 6, weights="c"),
    dense("d", 30, 12, weights="c"),
)
PLENTY = 1e6


def memory(capacity, word=64, banks=1):
    return Sram(capacity, organisation=SramOrganisation(word_width=word, banks=banks))


def hardware(weights=PLENTY, activations=PLENTY, between=None, *, macro=ARRAY, batch=1.0, word=64, **settings):
    return Accelerator(
        macro,
        weight_memory=memory(weights, word),
        activation_memory=memory(activations, word),
        global_memory=None if between is None else memory(between, word),
        inferences_per_load=batch,
        **settings,
    )


def moved(accelerator, layers=LAYERS):
    found = traffic(accelerator, site_counts(accelerator, layers))
    return {name: np.asarray(bits, float) for name, bits in zip(("read", "written"), found, strict=True)}


def by_hand(weights, activations, between, batch):
    """The same by a loop over layers, shape (2, layers, memories)."""
    seen, stored, live = set(), [], []
    for layer in LAYERS:
        rows, columns, positions = layer.work.product.rows, layer.work.product.columns, layer.work.positions
        stored.append(0 if layer.weights in seen else rows * columns)
        seen.add(layer.weights)
        live.append((2 * positions * rows, 2 * positions * columns))
    passing = []
    for inputs, outputs in live:
        spilled = min(max(batch * (inputs + outputs) - activations, 0), batch * outputs)
        shared = min(spilled, between)
        passing.append((shared / batch, (spilled - shared) / batch))
    missing = max(sum(stored) - weights, 0)
    near = min(missing, between - batch * max(shared for shared, _ in passing))
    read, written = [], []
    for layer, kept, (inputs, outputs), (shared, outside) in zip(LAYERS, stored, live, passing, strict=True):
        passes = math.ceil(layer.work.product.columns / 8)
        share = kept / sum(stored) / batch
        fetched = layer.work.product.rows * layer.work.product.columns / batch
        read.append((fetched, inputs * passes, share * near + shared, share * (missing - near) + outside))
        written.append((share * missing, outputs, shared, outside))
    return np.array([read, written])


@eqx.filter_jit
def _compiled(accelerator):
    return traffic(accelerator, site_counts(accelerator, LAYERS))


capacities = st.floats(1, 3000, width=32)


@settings(max_examples=80, deadline=None)
@given(weights=capacities, activations=capacities, between=capacities, batch=st.sampled_from([1.0, 2.0, 5.0]))
def test_traffic_is_that_of_a_plain_loop(weights, activations, between, batch):
    found = np.array(_compiled(hardware(weights, activations, between, batch=batch)), float)
    np.testing.assert_allclose(found, by_hand(weights, activations, between, batch), rtol=1e-4, atol=0.02)


@settings(max_examples=40, deadline=None)
@given(weights=capacities, activations=capacities, between=capacities, batch=st.sampled_from([1.0, 2.0, 5.0]))
def test_no_bit_is_lost_between_memories(weights, activations, between, batch):
    accelerator = hardware(weights, activations, between, batch=batch)
    found = _compiled(accelerator)
    read, written = (dict(zip(MEMORIES, np.asarray(bits, float).T, strict=True)) for bits in found)
    stored = np.array([800, 600, 360, 0])
    far = (read["dram"] - written["dram"], read["global_memory"] - written["global_memory"])
    # What is written outside is read back; all else that comes from there are weights, each bit once a batch.
    assert min(np.min(bits) for bits in far) >= -1e-2
    np.testing.assert_allclose(far[0] + far[1], written["weight_memory"], rtol=1e-4, atol=0.02)
    missing = max(stored.sum() - weights, 0)
    np.testing.assert_allclose(written["weight_memory"].sum() * batch, missing, rtol=1e-4, atol=0.02)
    # No memory holds more than it can.
    assert far[1].sum() * batch + batch * np.max(written["global_memory"]) <= between * (1 + 1e-4) + 0.02
    assert np.all(written["dram"] + written["global_memory"] <= written["activation_memory"] * (1 + 1e-5))


def test_all_on_chip_moves_each_bit_between_macros_and_their_memories_only():
    found = moved(hardware())
    # 5, 3 or 2 passes over 8 columns fetch the inputs again.
    np.testing.assert_array_equal(found["read"][:, 0], [800, 600, 360, 360])
    np.testing.assert_array_equal(found["read"][:, 1], [480 * 3, 240 * 4, 360 * 2, 60 * 2])
    np.testing.assert_array_equal(found["written"][:, 1], [240, 360, 144, 24])
    for bits in (found["read"][:, 2:], found["written"][:, [0, 2, 3]]):
        np.testing.assert_array_equal(bits, 0)


def test_larger_memories_never_move_more_bits_outside():
    for name in ("weights", "activations", "between"):
        series = []
        for capacity in (1.0, 100.0, 300.0, 500.0, 700.0, 1200.0, 2500.0):
            sizes = {"weights": 900.0, "activations": 500.0, "between": 200.0} | {name: capacity}
            found = _compiled(hardware(**sizes))
            series.append(float(jnp.sum(found.read[:, 3] + found.written[:, 3])))
        assert series == sorted(series, reverse=True), name
        assert series[0] > series[-1]


def test_weights_are_loaded_once_for_all_inferences_of_a_batch():
    one, four = (moved(hardware(100.0, batch=batch)) for batch in (1.0, 4.0))
    for name, place in (("read", 0), ("read", 3), ("written", 0)):
        np.testing.assert_allclose(four[name][:, place], one[name][:, place] / 4, rtol=1e-6)
    for name in ("read", "written"):
        np.testing.assert_array_equal(four[name][:, 1], one[name][:, 1])
    # Cells take them up once too; what streams through the cells comes again.
    once, often = (system_cost(hardware(batch=batch), LAYERS) for batch in (4.0, 1.0))
    computing = np.asarray(often.cycles - often.stalls)
    np.testing.assert_allclose(
        4 * (np.asarray(once.cycles) - computing), np.asarray(often.cycles) - computing, rtol=1e-5
    )
    units = MultiPrecision(rows=4, columns=4)
    streams = [moved(hardware(batch=batch, macro=units))["read"][:, 0] for batch in (1.0, 4.0)]
    np.testing.assert_array_equal(streams[0], streams[1])


def test_weights_that_stay_in_cells_need_no_memory():
    cells = DigitalBinary(rows=64, columns=90, input_bits=2)
    found = moved(hardware(1.0, macro=cells))
    for bits in (found["read"][:, [0, 2, 3]], found["written"][:, [0, 2, 3]]):
        np.testing.assert_array_equal(bits, 0)
    # With one column fewer than 20 + 30 + 12 they do not.
    found = moved(hardware(1.0, macro=dataclasses.replace(cells, columns=61)))
    assert found["read"][:, 3].sum() == pytest.approx(1759)
    assert moved(hardware(1.0, macro=dataclasses.replace(cells, columns=62)))["read"][:, 3].sum() == 0


@pytest.mark.parametrize(("activations", "between"), [(500.0, None), (500.0, 100.0), (200.0, 1000.0), (PLENTY, None)])
def test_a_repeated_layer_is_as_many_layers_that_share_a_weight(activations, between):
    layer = LAYERS[0]
    repeated = (dataclasses.replace(layer, repeats=3),)
    unrolled = tuple(dataclasses.replace(layer, name=f"a{i}", weights="a") for i in range(3))
    accelerator = hardware(300.0, activations, between)
    for name, bits in moved(accelerator, unrolled).items():
        np.testing.assert_allclose(moved(accelerator, repeated)[name].sum(0), bits.sum(0), rtol=1e-6, err_msg=name)


# Energy and time.


def test_energy_of_reads_and_writes_by_hand():
    accelerator = hardware(900.0, 500.0, 200.0, dram=Dram(access_energy=11e-12))
    found = moved(accelerator)
    energies = memory_energies(accelerator, traffic(accelerator, site_counts(accelerator, LAYERS)))
    for place, capacity in enumerate((900.0, 500.0, 200.0)):
        bit = 0.083e-12 * math.sqrt(capacity / 65536) * (0.8 / 0.9) ** 2
        by_loop = bit * (found["read"][:, place] + 1.1 * found["written"][:, place])
        np.testing.assert_allclose(energies[place], by_loop, rtol=1e-5)
    np.testing.assert_allclose(energies[3], 11e-12 * (found["read"] + found["written"])[:, 3], rtol=1e-5)
    none = hardware(900.0, PLENTY, dram=None)
    for place in (2, 3):
        np.testing.assert_array_equal(memory_energies(none, traffic(none, site_counts(none, LAYERS)))[place], 0)


def test_a_word_a_bank_a_cycle():
    wide = hardware(900.0, 500.0, 200.0, word=32, dram=Dram(channel=DramChannel(bandwidth=2e6)))
    wide = dataclasses.replace(wide, weight_memory=memory(900.0, 16, banks=4))
    counts = site_counts(wide, LAYERS)
    bits = traffic(wide, counts)
    cycles = transfer_cycles(wide, bits, counts.clock)
    both = np.asarray(bits.read + bits.written)
    seconds = both[:, 3] / 2e6
    by_hand = np.stack([both[:, 0] / 64, both[:, 1] / 32, both[:, 2] / 32, seconds * 6e6], axis=1)
    np.testing.assert_allclose(cycles, by_hand, rtol=1e-5)
    np.testing.assert_allclose(bandwidths(wide, counts.clock)[0], [64 * 6e6, 32 * 6e6, 32 * 6e6, 2e6], rtol=1e-5)
    assert np.all(np.isinf(np.asarray(bandwidths(hardware(), counts.clock))[:, 2:]))


def test_what_waits_for_what():
    """One layer: 6 positions, 3 tiles and 3 passes of 2 x 2 cycles, 100 cycles to load 800 weights."""
    layer, channel = LAYERS[:1], Dram(channel=DramChannel(bandwidth=6e6))

    def cycles(weights=PLENTY, activations=PLENTY, word=64, **settings):
        cost = system_cost(hardware(weights, activations, word=word, dram=channel, **settings), layer)
        assert float(cost.cycles[0] - cost.stalls[0]) == computing
        return float(cost.cycles[0])

    computing, load, buffered = 6 * 3 * 2 * 3 * 2, 100, {"double_buffered": True}
    # Narrow words: 800 weights in words of 4 bits need longer than the cells; 1680 bits of activations stall computing.
    np.testing.assert_allclose(cycles(), computing + load)
    np.testing.assert_allclose(cycles(word=4), (1440 + 240) / 4 + 800 / 4)
    np.testing.assert_allclose(cycles(**buffered), computing)
    np.testing.assert_allclose(cycles(word=4, **buffered), (1440 + 240) / 4)
    # A bit a cycle: 300 weights are missing, 100 bits of activations go out and come back.
    np.testing.assert_allclose(cycles(500, 620), computing + load + 300 + 2 * 100, rtol=1e-6)
    np.testing.assert_allclose(cycles(500, 620, **buffered), max(computing, 300 + 2 * 100), rtol=1e-6)


@pytest.mark.parametrize("macro", [ARRAY, MultiPrecision(rows=4, columns=4)], ids=["stays", "streams"])
def test_latency_never_rises_with_wider_words_or_double_buffering(macro):
    channel = Dram(channel=DramChannel(bandwidth=20e6))
    costs = [
        [
            system_cost(
                hardware(900.0, 500.0, 200.0, macro=macro, word=word, dram=channel, double_buffered=double), LAYERS
            )
            for double in (False, True)
        ]
        for word in (2, 32)
    ]
    seconds = np.array([[np.asarray(cost.seconds) for cost in row] for row in costs])
    assert np.all(np.diff(seconds, axis=0) <= 0)
    assert np.all(np.diff(seconds, axis=1) <= 0)
    assert np.any(np.diff(seconds, axis=0) < 0)
    for cost in (one for row in costs for one in row):
        assert np.all(np.asarray(cost.stalls) >= 0)
        assert np.all((np.asarray(cost.utilisation) > 0) & (np.asarray(cost.utilisation) <= 1))
