"""Filling of an array of units: cycles against a plain loop over all fillings, and the choice of a processor."""

import dataclasses
import itertools
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim import chips, workloads
from amsim.circuits import DigitalBinary, MultiPrecision, Sram, SramOrganisation
from amsim.circuits.contract.dataflow import DIMENSIONS, Unrolling
from amsim.system import Processor, Spread, system_cost
from amsim.system.accelerator import Accelerator
from amsim.system.site_counts import site_counts
from amsim.workloads import Workload, convolution, dense

WIDE = Sram(2.0**33, organisation=SramOrganisation(word_width=2**20))
UNITS = MultiPrecision(rows=4, columns=3, weight_bits=8, input_bits=8, utilisation=1.0)
PLACES = [way for way in itertools.product(DIMENSIONS, repeat=3) if way[1] == "output channels"]


def counted_cycles(work, sizes, way):
    """Cycles of one filling, counted one by one: in each, lanes take the next steps of the loops they stand on."""
    lanes = dict.fromkeys(DIMENSIONS, 1)
    for loop, size in zip(way, sizes, strict=True):
        lanes[loop] *= size
    product, cycles = work.product, 0
    filters = product.columns // product.input_groups
    for _group in range(product.input_groups):
        for _pixel in range(0, work.positions, lanes["pixels"]):
            for _filter in range(0, filters, lanes["output channels"]):
                for _channel in range(0, product.blocks, lanes["input channels"]):
                    for _place in range(product.row_block):
                        cycles += 1
                sums = min(lanes["input channels"], product.blocks)
                while sums > 1:  # pairs of sums are added at once
                    sums = math.ceil(sums / 2)
                    cycles += 1
    return cycles


def traffic_of(work, sizes, way):
    """Words of weights and inputs from the memories: weights for each group of pixels, inputs for each of filters."""
    lanes = math.prod(size for loop, size in zip(way, sizes, strict=True) if loop == "pixels")
    filters = math.prod(size for loop, size in zip(way, sizes, strict=True) if loop == "output channels")
    turns = math.ceil(work.product.columns / work.product.input_groups / filters)
    weights = work.product.rows * work.product.columns * math.ceil(work.positions / lanes)
    return weights + work.input_words * turns * work.window_fetches


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(1, high) for high in (6, 7, 9, 3))),
    kernel=st.integers(0, 3),
    groups=st.integers(1, 3),
    rows=st.integers(1, 5),
    columns=st.integers(1, 4),
    bits=st.sampled_from([4, 8, 16]),
)
def test_a_processor_takes_the_fewest_cycles_of_a_plain_loop_over_all_fillings(
    sizes, kernel, groups, rows, columns, bits
):
    side, channels, filters, frames = sizes
    shape = side, side + 1, channels * groups, filters * groups
    layer = convolution("a", *shape, kernel, groups=groups) if kernel else dense("a", 5 * side, 4 * filters, frames)
    units = dataclasses.replace(UNITS, rows=rows, columns=columns, weight_bits=bits, input_bits=bits)
    array = rows, columns, units.mode.subwords
    plain = {way: counted_cycles(layer.work, array, way) for way in PLACES}
    # Each filling by itself.
    for way in units.unrollings:
        found = units.cost(dataclasses.replace(layer.work, unrolling=way), {})
        assert float(found.compute_cycles) == plain[tuple(way)], way
        assert found.filled == pytest.approx(layer.macs / (plain[tuple(way)] * math.prod(array)))
    # The choice, with memories that take no time.
    with jax.disable_jit():
        counts = site_counts(
            Accelerator(units, weight_memory=WIDE, activation_memory=WIDE, organisation=Processor()), (layer,)
        )
    fewest = min(plain.values())
    assert float(counts.compute_cycles[0]) == fewest
    least = min(traffic_of(layer.work, array, way) for way, cycles in plain.items() if cycles == fewest)
    moved = float(counts.weight_bits[0] + counts.input_bits[0])
    assert moved == pytest.approx(least * bits, rel=1e-6)


def cost_of(layer, unrolling=None, **changes):
    parts = {"weight_memory": WIDE, "activation_memory": WIDE, "organisation": Processor(unrolling=unrolling)} | changes
    return Accelerator(UNITS, **parts).cost(Workload("one", (layer,)))


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("layer", "chosen"),
    [
        # Many pixels; few pixels and many filters; one pixel with 3 filters and many input channels.
        (convolution("a", 8, 8, 3, 3, 1), "pixels x output channels"),
        (dense("a", 5, 24, 1), "output channels x output channels"),
        (dense("a", 400, 3, 1), "input channels x output channels"),
        (dense("a", 7, 6, 4), "pixels x output channels, subwords on output channels"),
    ],
)
def test_the_choice_is_told_and_can_be_forced(layer, chosen):
    free = cost_of(layer)
    assert free["unrolling"].item() == chosen
    forced = {name: cost_of(layer, name) for name in dict.fromkeys(one.name for one in UNITS.unrollings)}
    assert {one["unrolling"].item().split(",")[0] for one in forced.values()} == set(forced)
    for name, one in forced.items():
        assert float(one["latency"].sum()) >= float(free["latency"].sum()) * (1 - 1e-6), name
    np.testing.assert_array_equal(forced[chosen.split(",")[0]]["energy"], free["energy"])
    assert float(free["area"]) == float(forced["pixels x output channels"]["area"])


def test_units_that_wait_for_weights_gain_nothing():
    # 24 weights a cycle at 16 bits a cycle: full units would wait for them, so the way with the least traffic wins.
    layer = dense("a", 64, 24, 4)
    narrow = Sram(2.0**20, organisation=SramOrganisation(word_width=16))
    slow, fast = cost_of(layer, weight_memory=narrow), cost_of(layer)
    assert float(slow["latency"].sum()) > float(fast["latency"].sum())
    for name in dict.fromkeys(one.name for one in UNITS.unrollings):
        assert float(cost_of(layer, name, weight_memory=narrow)["cycles"].sum()) >= float(slow["cycles"].sum())
    assert slow["unrolling"].item().startswith("pixels")


def test_every_copy_is_filled_as_its_own_part_needs():
    # 8 pixels fill the rows of one macro; over two copies by pixels, 4 of each.
    layer = dense("a", 9, 6, 8)
    one, two = cost_of(layer), cost_of(layer, spreads=Spread(2, "pixels"))
    assert float(two["cycles"].sum()) <= float(one["cycles"].sum())
    assert int(two["macs"].sum()) == layer.macs


def test_partial_sums_of_units_are_added():
    layer = dense("a", 400, 3, 1)
    counts = site_counts(Accelerator(UNITS, organisation=Processor()), (layer,))
    # 8 units and subwords on input channels: 7 additions for each of 3 outputs, in 3 steps of a tree.
    assert float(counts.additions[0]) == 3 * 7
    assert float(counts.compute_cycles[0]) == 400 / 8 + 3


def test_other_organisations_keep_the_wires_of_the_macro():
    layer = dense("a", 400, 3, 1)
    counts = site_counts(Accelerator(UNITS), (layer,))
    assert float(counts.compute_cycles[0]) == UNITS.cost(layer.work, {}).compute_cycles == 400
    array = Accelerator(DigitalBinary(rows=64, columns=8), organisation=Processor())
    assert array.cost(Workload("a", (layer,)))["unrolling"].item() == ""


def test_the_choice_passes_through_transforms():
    network = Workload("two", (dense("a", 40, 7, 1), convolution("b", 4, 4, 6, 10, 3))).layers

    def energy(capacitance, utilisation):
        units = dataclasses.replace(UNITS, utilisation=utilisation)
        organisation = Processor(control_capacitance=capacitance)
        return system_cost(Accelerator(units, organisation=organisation), network).energy.sum()

    slope = jax.grad(energy)(97e-12, 0.5)
    step = 1e-12
    difference = (energy(97e-12 + step, 0.5) - energy(97e-12 - step, 0.5)) / (2 * step)
    np.testing.assert_allclose(slope, difference, rtol=1e-3)
    many = jax.vmap(energy, (None, 0))(97e-12, np.array([0.5, 0.9], np.float32))
    np.testing.assert_allclose(many, [energy(97e-12, 0.5), energy(97e-12, 0.9)], rtol=1e-5)


def test_envision_is_as_busy_as_published():
    # 76 of 102.4 GOPS (facts 3), within the ladder's tolerance of calibrated values.
    cost = chips.envision2017(8).cost(workloads.alexnet())
    mean = float(cost["macs"].sum() / (cost["cycles"] * cost["peak_macs"]).sum())
    assert mean == pytest.approx(0.74, rel=0.1)
    assert float(cost["utilisation"].min()) > 0.7


def test_wrong_unrollings():
    for make, words in (
        (lambda: Processor(unrolling="pixel x filters"), "`unrolling` must be one of .*, but is 'pixel x filters'"),
        (
            lambda: Accelerator(UNITS, organisation=Processor(unrolling="pixels x pixels")),
            "what the macros can do, 'pixels x output channels' or .*but is 'pixels x pixels'",
        ),
        (
            lambda: Accelerator(DigitalBinary(), organisation=Processor(unrolling="pixels x output channels")),
            "which here have no choice, but is 'pixels x output channels'",
        ),
        (
            lambda: UNITS.cost(dataclasses.replace(dense("a", 4, 4).work, unrolling=Unrolling("a", "b", "c")), {}),
            "`work` must have an `unrolling` of this macro",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            make()
