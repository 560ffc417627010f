"""Spreads and organisations against counts by hand: what is split, shared, added, filled, drained and waited for."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits import DigitalBinary, Exact, MultiPrecision, RegisterFile, Sram, SwitchedCapacitor
from amsim.circuits.contract.work import SHARED_BY
from amsim.system.accelerator import Accelerator
from amsim.system.organisation import ACCUMULATOR_BITS, Processor, Spread, SystolicArray
from amsim.system.site_counts import site_counts
from amsim.workloads import Workload, convolution, dense

WAYS = tuple(SHARED_BY)
CONVOLUTION = convolution("conv", 9, 7, 10, 12, 3)  # 63 positions, 90 rows in blocks of 9, 12 columns
FRAMES = dense("frames", 64, 32, 10)
ARRAY = DigitalBinary(rows=32, columns=8, load_width=4.0, evaluation_cycles=2.0)
UNITS = MultiPrecision(rows=4, columns=4, weight_bits=8, input_bits=8, utilisation=0.5)


def counts_of(macro, *layers, **settings):
    """Counts by name, one number for each layer."""
    counts = site_counts(Accelerator(macro, **settings), layers or (FRAMES,))
    found = {field.name: np.asarray(getattr(counts, field.name), float) for field in dataclasses.fields(counts)}
    return found if len(layers) > 1 else {name: float(value[0]) for name, value in found.items()}


def picked(counts, *names):
    return tuple(counts[name] for name in names)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=4, max_size=4),
    kernel=st.sampled_from([0, 1, 2, 3]),
    over=st.sampled_from(WAYS),
    ways=st.integers(1, 9),
)
def test_the_largest_part_is_the_ceiling_of_an_equal_share(sizes, kernel, over, ways):
    layer = convolution("a", *sizes, kernel) if kernel else dense("a", *sizes[:3])
    work, part = layer.work, layer.work.part(over, ways)
    split = {
        "output channels": lambda w: w.product.columns,
        "pixels": lambda w: w.positions,
        "input channels": lambda w: w.product.blocks,
    }
    for name, size in split.items():
        assert size(part) == (math.ceil(size(work) / ways) if name == over else size(work))
    # Parts of this size hold all of the work, and one fewer would not.
    parts = math.ceil(split[over](work) / split[over](part))
    assert parts <= ways
    assert (parts - 1) * part.macs < work.macs <= parts * part.macs
    assert work.part(over, 1).macs == work.macs
    if over == "output channels":
        assert part.input_words == work.input_words
    else:
        assert part.input_words * ways >= work.input_words


def test_one_array_by_hand():
    # 64 rows are 2 tiles, 32 columns 4 passes, each evaluated for 10 positions.
    got = counts_of(ARRAY)
    names = ("macs", "compute_cycles", "load_cycles", "weight_bits", "input_bits", "output_bits", "additions")
    assert picked(got, *names) == (20480, 10 * 2 * 4 * 2, 512, 2048, 640 * 4, 320, 320)
    assert picked(got, "stored_bits", "cell_bits", "working_set_bits", "repeats", "streams") == (2048, 0, 960, 1, 0)
    assert got["peak_macs"] == 32 * 8 / 2
    np.testing.assert_allclose(got["mac_energy"], ARRAY.cost(FRAMES.work, {}).energy, rtol=1e-6)


@pytest.mark.parametrize(
    ("over", "cycles", "load", "weights", "inputs", "additions"),
    [
        # Four arrays: one pass each, inputs once for all; three positions at most, weights once for all; 16 rows each.
        ("output channels", 10 * 2 * 1 * 2, 128, 2048, 640 * 1, 320),
        ("pixels", 3 * 2 * 4 * 2, 512, 2048, 640 * 4, 320),
        ("input channels", 10 * 1 * 4 * 2, 128, 2048, 640 * 4, 3 * 320),
    ],
)
def test_four_arrays_by_hand(over, cycles, load, weights, inputs, additions):
    got = counts_of(ARRAY, spreads=Spread(4, over))
    assert picked(got, "compute_cycles", "load_cycles", "weight_bits", "input_bits") == (cycles, load, weights, inputs)
    assert got["additions"] == additions
    one = counts_of(ARRAY)
    for name in ("macs", "mac_energy", "stored_bits", "output_bits", "working_set_bits"):
        assert got[name] == one[name], name
    assert got["peak_macs"] == 4 * one["peak_macs"]


@pytest.mark.parametrize(
    ("over", "cycles", "weights", "inputs"),
    [
        # 63 positions are 16 rows of units of the one macro and 8 of each of two; 12 filters 3 columns and 2.
        ("output channels", 16 * 2 * 90, 90 * 12 * 8 * 16, 630 * 8 * 2 * 3),
        ("pixels", 8 * 3 * 90, 90 * 12 * 8 * 8, 630 * 8 * 3 * 3),
        ("input channels", 16 * 3 * 45, 90 * 12 * 8 * 16, 630 * 8 * 3 * 3),
    ],
)
def test_two_multi_precision_units_by_hand(over, cycles, weights, inputs):
    wide = dataclasses.replace(UNITS, modes=UNITS.modes[-1:])  # one product a cycle
    got = counts_of(wide, CONVOLUTION, spreads=Spread(2, over))
    assert picked(got, "compute_cycles", "weight_bits", "input_bits") == (cycles / 0.5, weights, inputs)
    # Only partial sums of different units are added outside.
    assert got["additions"] == (63 * 12 if over == "input channels" else 0)
    assert got["streams"] == 1


@pytest.mark.parametrize("ways", [1, 2, 3, 4, 7, 10, 99])
def test_every_partial_sum_is_added_once(ways):
    # 10 channels of 9 rows, at most 3 a tile: the tiles of all parts are as many partial sums.
    part = math.ceil(10 / ways)
    sizes = [min(part, 10 - start) for start in range(0, 10, part)]
    sums = sum(math.ceil(size / 3) for size in sizes)
    got = counts_of(ARRAY, CONVOLUTION, spreads=Spread(ways, "input channels"))
    assert got["additions"] == 63 * 12 * (sums - 1)


def test_weights_that_fit_stay_in_the_cells():
    loading = ("weight_bits", "load_cycles")
    fitting = DigitalBinary(rows=64, columns=32)
    got = counts_of(fitting)
    assert picked(got, *loading) == (0, 0)
    assert got["cell_bits"] == got["stored_bits"] == 2048
    # One column fewer, one more layer, or another weight of the same macro, and all are loaded again.
    assert counts_of(dataclasses.replace(fitting, columns=31))["weight_bits"] == 2048
    other = dense("other", 64, 1)
    assert list(counts_of(fitting, FRAMES, other)["weight_bits"]) == [2048, 64]
    assert list(counts_of(dataclasses.replace(fitting, columns=33), FRAMES, other)["weight_bits"]) == [0, 0]
    # The same weight twice needs its cells and its bits once.
    again = dense("again", 64, 32, 5, weights="frames")
    shared = counts_of(fitting, FRAMES, again)
    assert list(shared["weight_bits"]) == [0, 0]
    assert list(shared["stored_bits"]) == list(shared["cell_bits"]) == [2048, 0]
    # On a macro of its own the other layer changes nothing.
    rules = {"frames": fitting, "other": dataclasses.replace(fitting, columns=1)}
    assert list(counts_of(rules, FRAMES, other)["weight_bits"]) == [0, 0]


def test_a_weight_that_one_site_streams_needs_memory_too():
    again = dense("again", 64, 32, weights="frames")
    got = counts_of({"frames": DigitalBinary(rows=64, columns=32), "again": UNITS}, FRAMES, again)
    assert got["weight_bits"][0] == 0
    assert list(got["cell_bits"]) == [0, 0]


def test_cells_of_several_arrays_add_up_unless_all_hold_the_same():
    def loaded(count, over, columns):
        return counts_of(dataclasses.replace(ARRAY, columns=columns), spreads=Spread(count, over))["weight_bits"]

    # 64 x 32 weights take 2 tiles of 32 columns: in four parts 8 columns of each.
    assert loaded(4, "output channels", 16) == 0
    assert loaded(4, "output channels", 15) == 2048
    assert loaded(2, "input channels", 32) == 0
    assert loaded(2, "input channels", 31) == 2048
    # Over pixels each holds all of them.
    assert loaded(4, "pixels", 16) == 2048
    assert loaded(4, "pixels", 63) == 2048
    assert loaded(4, "pixels", 64) == 0


def test_repeats_multiply_all_but_what_is_kept():
    once, thrice = counts_of(ARRAY), counts_of(ARRAY, dataclasses.replace(FRAMES, repeats=3))
    kept = {"peak_macs", "clock", "supply", "stored_bits", "cell_bits", "working_set_bits", "streams", "leakage"}
    for name, value in thrice.items():
        np.testing.assert_allclose(value, (1 if name in kept else 3) * once[name], rtol=1e-6, err_msg=name)
    assert (
        counts_of(ARRAY, dataclasses.replace(FRAMES, repeats=3))["macs"] == dataclasses.replace(FRAMES, repeats=3).macs
    )


@pytest.mark.parametrize("macro", [ARRAY, UNITS, SwitchedCapacitor(rows=32, columns=8)], ids=["XNOR", "units", "lines"])
@pytest.mark.parametrize("over", WAYS)
def test_more_macros_never_take_longer_nor_fetch_more(macro, over):
    series = [counts_of(macro, CONVOLUTION, spreads=Spread(count, over)) for count in (1, 2, 3, 5, 8)]
    for name in ("compute_cycles", "load_cycles", "unclocked_time", "weight_bits", "input_bits"):
        values = [counts[name] for counts in series]
        assert values == sorted(values, reverse=True), name
    for name in ("macs", "output_bits", "stored_bits"):
        assert len({counts[name] for counts in series}) == 1, name
    for counts in series:
        assert 0 < counts["macs"] <= counts["compute_cycles"] * counts["peak_macs"] * (1 + 1e-6)


# Organisations.


def test_a_systolic_array_fills_and_drains_at_each_pass():
    registers = RegisterFile(words=1, word_width=25)
    systolic = SystolicArray(registers=registers)
    got = counts_of(ARRAY, organisation=systolic)
    # 2 tiles x 4 passes, each 32 + 8 - 2 cycles; each MAC writes one input bit and a partial sum.
    assert got["overhead_cycles"] == 8 * 38
    flip_flop = float(registers.technology.energy("flip_flop", registers.supply))
    np.testing.assert_allclose(got["register_energy"], 20480 * (1 + ACCUMULATOR_BITS) * 0.5 * flip_flop, rtol=1e-6)
    assert picked(counts_of(ARRAY), "overhead_cycles", "register_energy") == (0, 0)
    assert float(systolic.area) == 0
    # Slices of multi-bit weights stand in columns of their own.
    assert counts_of(dataclasses.replace(ARRAY, weight_bits=4), organisation=systolic)["overhead_cycles"] == 32 * 38
    # Each of four arrays does its own passes only, at the same time as the others.
    by_spread = [counts_of(ARRAY, organisation=systolic, spreads=Spread(4, over))["overhead_cycles"] for over in WAYS]
    assert by_spread == [2 * 38, 8 * 38, 4 * 38]
    # Units take 4 filters at a time.
    assert counts_of(UNITS, CONVOLUTION, organisation=systolic)["overhead_cycles"] == 3 * (4 + 4 - 2)


def test_a_processor_by_hand():
    processor = Processor(vector_width=8.0, instruction_overhead=0.25, instruction_bits=64.0, operand_reuse=4.0)
    got = counts_of(UNITS, organisation=processor)
    # 2 pixels in the subwords and a filter on each of 16 units: 640 steps, the fewest. An instruction starts 8 units.
    instructions = 5 * 2 * 64 * 2 * 1.25
    program, registers = processor.instruction_memory, processor.registers
    one_bit = float(program.energy(jnp.asarray(1.0)))
    np.testing.assert_allclose(got["instruction_energy"], instructions * 64 * one_bit, rtol=1e-6)
    # A weight serves one unit, an input 16, of which one read reaches 4.
    bits = 20480 * (8 / 1 + 8 / 4 + ACCUMULATOR_BITS)
    read, write = (float(energy(jnp.asarray(1.0))) for energy in (registers.read_energy, registers.write_energy))
    np.testing.assert_allclose(got["register_energy"], bits * (read + write), rtol=1e-6)
    assert got["compute_cycles"] == 5 * 2 * 64 / 0.5
    assert got["overhead_cycles"] == instructions - 5 * 2 * 64 / 0.5
    np.testing.assert_allclose(float(processor.area), float(program.area() + 8 * registers.area()), rtol=1e-6)


def test_a_narrow_vector_stalls_the_units():
    def cycles(width, count=1, over="pixels"):
        organisation = Processor(vector_width=width, instruction_overhead=0.0)
        got = counts_of(UNITS, CONVOLUTION, organisation=organisation, spreads=Spread(count, over))
        return got["compute_cycles"], got["overhead_cycles"]

    # Each step of the 16 units takes 16 instructions of one unit, whether or not all of them have work.
    instructions, computing = 8 * 3 * 90 * 16, cycles(16.0)[0]
    assert computing == 8 * 3 * 90 / 0.5
    assert cycles(16.0)[1] == 0
    np.testing.assert_allclose(sum(cycles(1.0)), instructions, rtol=1e-6)
    widths = [sum(cycles(width)) for width in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)]
    assert widths == sorted(widths, reverse=True)
    # Each of two copies has a program of its own: half of the instructions each.
    np.testing.assert_allclose(sum(cycles(1.0, 2)), instructions / 2, rtol=1e-6)


def test_what_is_no_circuit_takes_no_cycles():
    got = counts_of(Exact(), organisation=Processor())
    assert picked(got, "compute_cycles", "overhead_cycles", "mac_energy", "weight_bits") == (0, 0, 0, 0)


def test_wrong_arguments():
    for make, words in (
        (lambda: Spread(0), "`count` must be an integer of at least 1, but is 0"),
        (lambda: Spread(-3, "pixels"), "`count` must be an integer of at least 1, but is -3"),
        (lambda: Spread(2, "pixel"), "`over` must be one of .*, but is 'pixel'. Did you mean 'pixels'"),
        (lambda: Processor(vector_width=0.0), "`vector_width` must be finite and above 0, but is 0"),
        (lambda: Processor(operand_reuse=-1.0), "`operand_reuse` must be finite and above 0, but is -1"),
        (lambda: Processor(instruction_bits=-128.0), "`instruction_bits` must be finite and at least 0, but is -128"),
        (
            lambda: SystolicArray(control_capacitance=-1e-12),
            "`control_capacitance` must be .*at least 0, but is -1e-12",
        ),
        (lambda: counts_of({"conv.*": ARRAY}, FRAMES), "Site 'frames' matches none of the rules conv"),
        (lambda: counts_of(dataclasses.replace(ARRAY, rows=8), CONVOLUTION), "`rows` must be at least 9.*but is 8"),
        (lambda: dataclasses.replace(FRAMES, repeats=0), "`repeats` must be an integer of at least 1, but is 0"),
        (lambda: dense("a", 5, -1), "`columns` must be an integer of at least 1, but is -1"),
        (lambda: Workload("none", ()), "`layers` must have at least one layer"),
        (lambda: Sram(-8.0), "`capacity` must be finite and above 0, but is -8"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
