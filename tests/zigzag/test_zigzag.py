"""Files for ZigZag: their content, and ZigZag's own counts of MACs and memory accesses from them."""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import pytest

from amsim import workloads
from amsim.circuits import DigitalBinary, Macro, MultiPrecision, SwitchedCapacitor
from amsim.circuits.technology.sram import Dram, Sram, SramOrganisation
from amsim.system.accelerator import Accelerator
from amsim.system.organisation import Processor
from amsim.workloads import Layer, Workload, convolution, dense
from amsim.zigzag import export as zigzag
from amsim.zigzag.accelerator_file import accelerator_document
from amsim.zigzag.mapping_file import mapping_document
from amsim.zigzag.workload_file import workload_document
from amsim.zigzag.yaml_text import yaml_lines

# The one input buffer of the files holds three rows of the second map (384 words) and neither map whole (800 and 1024),
# so that it keeps a row of windows in both; the second convolution takes two passes over its filters.
SMALL = Workload(
    "small",
    (
        convolution("conv1", 10, 10, 8, 16, 3, padding="VALID"),
        convolution("conv2", 8, 8, 16, 32, 3, padding="VALID"),
        dense("dense", 3 * 3 * 32, 16),
    ),
)
ARRAY = DigitalBinary(rows=512, columns=64, weight_bits=4, input_bits=4)
REASON = "ZigZag and PyYAML come with the extra `zigzag`"
UNITS = MultiPrecision(rows=4, columns=4, weight_bits=8, input_bits=8)


def entries_of(document: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in document}


def unrolled(entry: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Loops on each side of the array."""
    sides = entry["spatial_mapping"]
    return {side: {loop.split(", ")[0]: int(loop.split(", ")[1]) for loop in loops} for side, loops in sides.items()}


@pytest.mark.parametrize("macro", [ARRAY, UNITS, SwitchedCapacitor(), DigitalBinary(rows=64, columns=8)])
@pytest.mark.parametrize(
    "workload",
    [
        SMALL,
        Workload(
            "odd",
            (
                convolution("strided", 15, 11, 6, 5, 3, 2),
                convolution("grouped", 7, 7, 6, 9, 3, groups=3),
                dense("frames", 40, 24, 13),
            ),
        ),
    ],
)
def test_loops_cover_every_mac_and_fit_the_array(macro: Macro, workload: Workload) -> None:
    layers = entries_of(workload_document(workload.layers, macro))
    mapping = entries_of(mapping_document(workload.layers, macro))
    sizes = accelerator_document(workload, Accelerator(macro), 0)["operational_array"]["sizes"]
    assert set(mapping) == {"default", *layers}
    for layer in workload.layers:
        loops = dict(zip(layers[layer.name]["loop_dims"], layers[layer.name]["loop_sizes"], strict=True))
        assert math.prod(loops.values()) == layer.macs
        sides = unrolled(mapping[layer.name])
        for size, side in zip(sizes, sides.values(), strict=True):
            assert math.prod(side.values()) <= size
        in_time = dict(map(tuple, mapping[layer.name]["temporal_ordering"]))
        in_space = {name: size for side in sides.values() for name, size in side.items()}
        for name, size in loops.items():
            # Just enough turns: one fewer would leave something out.
            turns = in_time.get(name, 1)
            assert (turns - 1) * in_space.get(name, 1) < size <= turns * in_space.get(name, 1)


def test_precisions_and_padding() -> None:
    layer = convolution("conv", 9, 6, 4, 8, 4, 2, "SAME")
    (entry,) = workload_document([layer], DigitalBinary(weight_bits=2, input_bits=3))
    # A sum of 64 products of 2 by 3 bits.
    assert entry["operand_precision"] == {"W": 2, "I": 3, "O": 11, "O_final": 3}
    assert (entry["pr_loop_dims"], entry["pr_loop_sizes"]) == (["IX", "IY"], [6, 9])
    assert entry["padding"] == [[1, 1], [1, 2]]
    assert entry["dimension_relations"] == ["ix=2*ox+1*fx", "iy=2*oy+1*fy"]
    assert workload_document([layer], UNITS)[0]["operand_precision"]["O"] == 8 + 8 + 6
    narrow = dataclasses.replace(UNITS, accumulator_bits=19)
    assert workload_document([layer], narrow)[0]["operand_precision"]["O"] == 19


def test_the_energies_are_amsims_own() -> None:
    accelerator = Accelerator(ARRAY, activation_memory=Sram(capacity=8 * 4096.0, supply=0.7))
    document = accelerator_document(SMALL, accelerator, 0)
    for name in ("weight_memory", "activation_memory"):
        memory, entry = getattr(accelerator, name), document["memories"][name]
        word = jnp.asarray(float(entry["ports"][0]["bandwidth_max"]))
        assert entry["r_cost"] == pytest.approx(float(memory.energy(word)) * 1e12)
        assert entry["w_cost"] == pytest.approx(float(memory.write_energy(word)) * 1e12)
        # Fewer bits than a word cost their share.
        assert {port["bandwidth_min"] for port in entry["ports"]} == {1}
        assert entry["size"] == int(memory.capacity)
        assert entry["area"] == pytest.approx(float(memory.area()) * 1e6)
    array = document["operational_array"]
    energy = sum(float(ARRAY.cost(layer.work, layer.activity).energy) for layer in SMALL.layers)
    assert array["unit_energy"] * SMALL.macs == pytest.approx(energy * 1e12)
    assert array["unit_area"] * math.prod(array["sizes"]) == pytest.approx(float(ARRAY.area) * 1e6)


def test_dram_serves_what_does_not_fit() -> None:
    def served(weight_bits: float, activation_bits: float) -> list[str]:
        weights, activations = Sram(capacity=weight_bits), Sram(capacity=activation_bits)
        accelerator = Accelerator(ARRAY, weight_memory=weights, activation_memory=activations)
        document = accelerator_document(SMALL, accelerator, 0)
        return document["memories"].get("dram", {"operands": []})["operands"]

    weights = SMALL.weight_words * 4.0
    activations = SMALL.activation_words * 4.0
    assert served(weights, activations) == []
    assert served(weights - 1, activations) == ["I2"]
    assert served(weights, activations - 1) == ["I1", "O"]
    dram = accelerator_document(SMALL, Accelerator(ARRAY, weight_memory=Sram(capacity=8.0)), 0)["memories"]["dram"]
    assert dram["r_cost"] == pytest.approx(64 * float(Dram().access_energy) * 1e12)


def test_each_macro_has_files_of_its_own(tmp_path: Path) -> None:
    rules = {"dense": UNITS, "conv.*": ARRAY}
    exports = {export.macro: export for export in zigzag.write(SMALL, rules, tmp_path / "new" / "folder")}
    assert {index: export.layers for index, export in exports.items()} == {0: ("dense",), 1: ("conv1", "conv2")}
    paths = [path for export in exports.values() for path in export[2:]]
    assert len({*paths}) == 6
    assert all(path.read_text().strip() for path in paths)


def test_yaml_is_read_back_as_it_was() -> None:
    yaml: Any = pytest.importorskip("yaml", reason=REASON)
    document = accelerator_document(SMALL, Accelerator(ARRAY), 0)
    # Small and whole floats, which YAML takes for text and integers unless they have a point.
    document["numbers"] = {"small": 1e-15, "whole": 3.0, "none": [], "text": 'a "b": c', "nested": [{"a": [1, "x"]}]}
    read = yaml.safe_load("\n".join(yaml_lines(document)))
    assert read["numbers"] == document["numbers"]
    assert type(read["numbers"]["whole"]) is float
    costs = [
        (m.pop("r_cost"), m.pop("w_cost"), m.pop("area")) for d in (read, document) for m in d["memories"].values()
    ]
    assert costs[: len(costs) // 2] == [pytest.approx(cost) for cost in costs[len(costs) // 2 :]]
    assert read["memories"] == document["memories"]
    mapping = mapping_document(SMALL.layers, UNITS)
    assert yaml.safe_load("\n".join(yaml_lines(mapping))) == mapping


@pytest.mark.parametrize(
    ("layers", "hardware", "options", "message"),
    [
        (SMALL.layers, {"conv.*": ARRAY}, {}, "rule for layer 'dense'; its patterns are conv"),
        (SMALL.layers, ARRAY, {"dataflow": "weight-stationery"}, "Did you mean 'weight-stationary'"),
        (SMALL.layers, DigitalBinary(rows=8), {}, "`rows` must be at least 9"),
        ((dataclasses.replace(SMALL.layers[0], input_size=()),), ARRAY, {}, "layer 'conv1' has kernel"),
    ],
)
def test_bad_input_is_named_and_writes_nothing(
    tmp_path: Path, layers: tuple[Layer, ...], hardware: Any, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        zigzag.write(Workload("bad", layers), hardware, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_does_not_fit_needs_a_dram() -> None:
    small = Accelerator(ARRAY, weight_memory=Sram(capacity=8.0))
    without = eqx.tree_at(lambda a: a.dram, small, None)
    with pytest.raises(ValueError, match="must have a `dram`"):
        accelerator_document(SMALL, without, 0)


class Counted(NamedTuple):
    """What ZigZag says of one layer: bits that the memories move, pJ."""

    macs: int
    weight_bits: float
    input_bits: float
    output_bits: float
    mac_energy: float
    weight_energy: float
    output_energy: float


def sram_of(kilobytes: int, word_width: int) -> Sram:
    return Sram(capacity=8192.0 * kilobytes, organisation=SramOrganisation(word_width=word_width))


def counted(export: zigzag.Export, accelerator: Accelerator, folder: Path) -> dict[str, Counted]:
    """Run ZigZag on the files."""
    api: Any = pytest.importorskip("zigzag.api", reason=REASON)
    datatypes: Any = pytest.importorskip("zigzag.datatypes")
    directions: Any = pytest.importorskip("zigzag.hardware.architecture.memory_port").DataDirection
    *_, summed = api.get_hardware_performance_zigzag(
        str(export.workload),
        str(export.accelerator),
        str(export.mapping),
        dump_folder=str(folder),
        loma_show_progress_bar=False,
    )
    word = {
        "W": accelerator.weight_memory.organisation.word_width,
        "I": accelerator.activation_memory.organisation.word_width,
    }
    found = {}
    for result, _ in summed[0][1]:
        words = {name: result.memory_word_access[datatypes.LayerOperand(name)][1] for name in "WIO"}
        energy = {name: result.mem_energy_breakdown[datatypes.LayerOperand(name)][1] for name in "WO"}
        found[result.layer.name] = Counted(
            macs=result.layer.total_mac_count,
            weight_bits=words["W"].get(directions.RD_OUT_TO_LOW) * word["W"],
            input_bits=words["I"].get(directions.RD_OUT_TO_LOW) * word["I"],
            output_bits=words["O"].get(directions.WR_IN_BY_LOW) * word["I"],
            mac_energy=result.mac_energy,
            weight_energy=energy["W"],
            output_energy=energy["O"],
        )
    return found


# ZigZag's own code warns on import and while it runs; what it warns of is not ours.
@pytest.mark.filterwarnings("ignore")
def test_zigzag_counts_a_weight_stationary_array_alike(tmp_path: Path) -> None:
    # Words of 16 bits divide every count: ZigZag cuts accesses to whole words.
    weight_memory, activation_memory = sram_of(64, 16), sram_of(32, 16)
    accelerator = Accelerator(ARRAY, weight_memory=weight_memory, activation_memory=activation_memory)
    (export,) = zigzag.write(SMALL, accelerator, tmp_path / "files")
    found = counted(export, accelerator, tmp_path / "results")
    assert list(found) == [layer.name for layer in SMALL.layers]
    for layer in SMALL.layers:
        cost, got = ARRAY.cost(layer.work, layer.activity), found[layer.name]
        assert got.macs == layer.macs
        # Every weight once, every output once.
        assert got.weight_bits == cost.weight_bits
        assert got.output_bits == cost.output_bits
        # Three rows of inputs for each row of outputs; amsim takes as many rows of outputs as of inputs.
        border = layer.output_size[0] / layer.input_size[0] if layer.input_size else 1.0
        assert got.input_bits == pytest.approx(cost.input_bits * border)
        assert got.weight_energy == pytest.approx(float(weight_memory.energy(jnp.asarray(cost.weight_bits))) * 1e12)
        written = float(activation_memory.write_energy(jnp.asarray(cost.output_bits)))
        assert got.output_energy == pytest.approx(written * 1e12)
    energy = sum(float(ARRAY.cost(layer.work, layer.activity).energy) for layer in SMALL.layers)
    assert sum(got.mac_energy for got in found.values()) == pytest.approx(energy * 1e12)


@pytest.mark.filterwarnings("ignore")
def test_zigzag_loads_the_weights_of_every_tile_once(tmp_path: Path) -> None:
    # 576 rows on lines of 512: sums of the first tile wait in the activation memory, which amsim leaves out.
    workload = Workload("tiles", (convolution("conv", 8, 8, 64, 16, 3),))
    accelerator = Accelerator(ARRAY, weight_memory=sram_of(64, 16), activation_memory=sram_of(32, 16))
    (export,) = zigzag.write(workload, accelerator, tmp_path / "files")
    got = counted(export, accelerator, tmp_path / "results")["conv"]
    cost = ARRAY.cost(workload.layers[0].work, {})
    sum_bits = ARRAY.weight_bits + ARRAY.input_bits + 10
    assert got.weight_bits == cost.weight_bits
    assert got.output_bits == 2 * workload.layers[0].output_words * sum_bits


@pytest.mark.filterwarnings("ignore")
def test_zigzag_counts_an_output_stationary_array_alike(tmp_path: Path) -> None:
    # Maps of 8 outputs a row on 4 rows of 2 subwords: both tools then see the same blocks of positions.
    workload = Workload("blocks", (SMALL.layers[0], convolution("same", 8, 8, 8, 16, 3), dense("frames", 40, 12, 16)))
    workload = workload.with_activity(nonzero=0.7)
    accelerator = Accelerator(UNITS, weight_memory=sram_of(32, 16), activation_memory=sram_of(32, 16))
    (export,) = zigzag.write(workload, accelerator, tmp_path / "files")
    found = counted(export, accelerator, tmp_path / "results")
    for layer in workload.layers:
        cost, got = UNITS.cost(layer.work, layer.activity), found[layer.name]
        assert got.macs == layer.macs
        # Weights once for each block of positions, outputs once. Inputs differ: the tools keep other windows.
        assert got.weight_bits == cost.weight_bits
        assert got.output_bits == cost.output_bits
    energy = sum(float(UNITS.cost(layer.work, layer.activity).energy) for layer in workload.layers)
    assert sum(got.mac_energy for got in found.values()) == pytest.approx(energy * 1e12)


@pytest.mark.filterwarnings("ignore")
def test_zigzag_counts_the_filling_that_a_processor_chooses(tmp_path: Path) -> None:
    # Pixels, filters and input channels on the rows of units, filters on the subwords of the second.
    layers = (convolution("pixels", 8, 8, 8, 4, 3), dense("filters", 40, 32, 1), dense("inputs", 64, 4, 1))
    workload = Workload("ways", (*layers, dense("mixed", 40, 32, 4)))
    accelerator = Accelerator(
        UNITS, organisation=Processor(), weight_memory=sram_of(64, 2048), activation_memory=sram_of(32, 16)
    )
    ways = accelerator.cost(workload)["unrolling"].values
    assert len({way.split(" x ")[0] for way in ways}) == 3
    (export,) = zigzag.write(workload, accelerator, tmp_path / "files")
    narrow = dataclasses.replace(accelerator, weight_memory=sram_of(64, 2048))
    found = counted(export, narrow, tmp_path / "results")
    moved = accelerator.cost(workload)["bits_read"].sel(memory="weight_memory")
    for layer in workload.layers:
        assert found[layer.name].macs == layer.macs
        assert found[layer.name].weight_bits == pytest.approx(float(moved.sel(site=layer.name)), rel=1e-6), layer.name


@pytest.mark.filterwarnings("ignore")
def test_zigzag_accepts_published_networks_on_small_memories(tmp_path: Path) -> None:
    workload = workloads.alexnet(classifier=True)
    accelerator = Accelerator(MultiPrecision(), activation_memory=Sram(capacity=8 * 32768.0))
    (export,) = zigzag.write(workload, accelerator, tmp_path / "files")
    found = counted(export, accelerator, tmp_path / "results")
    assert sum(got.macs for got in found.values()) == workload.macs
