"""The system's part of the support matrix against derivatives and differences of the code; names of all parts."""

import importlib.util
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import Accelerator, workloads
from amsim.circuits import Dram, MultiPrecision, Process, RegisterFile, Sram, SramOrganisation
from amsim.circuits.technology.dram import DramChannel
from amsim.system import settings, what_has_no_effect
from amsim.system.cost import system_cost
from amsim.system.hardware import COMPONENTS, PowerManagement
from amsim.system.organisation import Processor, Spread, SystolicArray

PAGE = (Path(__file__).parents[2] / "docs" / "support_matrix.md").read_text()
QUANTITIES = ("energy", "time", "area", "leakage")
MEMORIES = ("weight_memory", "activation_memory", "global_memory")
INSTRUCTIONS = "organisation.instruction_memory"
# Two sites whose weights fill all memories, and part of whose feature maps does not fit.
LAYERS = (workloads.dense("first", 64, 32, 4), workloads.dense("second", 32, 16, 4))
# Away from 0.8 V and 300 K, where laws of leakage have the derivative 0.
OTHER = {
    "word_width": 4,
    "banks": 4,
    "node": "45nm",
    "double_buffered": True,
    "count": 3,
    "over": "output channels",
}


def memory(capacity):
    organisation = SramOrganisation(word_width=16, banks=2)
    return Sram(capacity=capacity, supply=0.75, organisation=organisation, process=Process(threshold=0.35, alpha=1.4))


def accelerator(organisation, bandwidth):
    unit = MultiPrecision(rows=4, columns=4, weight_bits=4, input_bits=4)
    return Accelerator(
        {"first": unit, ".*": unit},
        organisation=organisation,
        spreads=Spread(2, "input channels"),
        weight_memory=memory(2e3),
        activation_memory=memory(4e3),
        global_memory=memory(4e3),
        dram=Dram(channel=DramChannel(bandwidth=bandwidth, background_power=1e-6)),
        inferences_per_load=3.0,
        power=PowerManagement(rate=1e3, gated_leakage=0.5, retention=0.5, temperature=310.0),
    )


REGISTERS = RegisterFile(supply=0.75)
# The slower of DRAM and global memory takes the time: once the one, once the other.
DESIGNS = {
    "processor": accelerator(
        Processor(vector_width=1.0, operand_reuse=1.5, instruction_memory=memory(1e3), registers=REGISTERS), 1e8
    ),
    "systolic array": accelerator(SystolicArray(registers=REGISTERS), 1e12),
}


def rows():
    """For each row of the table: its effect, its settings and its entry for each quantity."""
    section = PAGE.split("## The system\n")[1]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert tuple(cells[0][2:6]) == QUANTITIES
    return [(row[0], re.findall(r"`([\w.]+)`", row[1]), row[2:6]) for row in cells[2:]]


def system_settings(hardware):
    return {path: one for path, one in settings.continuous_settings(hardware).items() if not path.startswith("macro")}


def spent(hardware):
    """Energy without leakage, time, area and leakage of one inference."""
    cost = system_cost(hardware, LAYERS)
    energy = jnp.sum(jnp.delete(cost.energy, COMPONENTS.index("leakage"), axis=1))
    leakage = hardware.active_leakage(0) + hardware.idle_leakage
    # Without the row of idle time.
    return jnp.stack([energy, jnp.sum(cost.seconds[:-1]), jnp.sum(cost.area), leakage])


@pytest.fixture(scope="module")
def slopes():
    """For each continuous setting whether each quantity depends on it, in one of the designs at least."""
    found = {}
    for hardware in DESIGNS.values():
        values = {path: jnp.asarray(one, float) for path, one in system_settings(hardware).items()}
        slope = jax.jit(jax.jacrev(lambda given, of=hardware: spent(settings.with_numbers(of, given))))(values)
        for path, one in slope.items():
            found[path] = found.get(path, False) | (np.asarray(one) != 0)
    return found


def everywhere(part):
    """What a setting of the table stands for."""
    if part.startswith("memory."):
        return [part.replace("memory", one, 1) for one in MEMORIES]
    return [re.sub("^registers", "organisation.registers", part)]


def entry(depends):
    return ["yes" if one else "-" for one in depends]


def test_continuous_settings_of_the_system(slopes):
    named = set()
    for effect, parts, entries in rows():
        for path in (path for part in parts for path in everywhere(part)):
            inside = [one for one in slopes if f"{one}.".startswith(f"{path}.")]
            for one in inside:
                assert entry(slopes[one]) == entries, (effect, one)
            assert not named & set(inside), effect
            named |= set(inside)
            if path.startswith(MEMORIES[0]):
                for one in inside:
                    same = one.replace(MEMORIES[0], INSTRUCTIONS)
                    if same not in slopes:
                        continue
                    # It is read beside computing, and never written.
                    expected = ["-"] * 4 if one.endswith("write_ratio") else [entries[0], "-", *entries[2:]]
                    assert entry(slopes[same]) == expected, same
    assert {path for path in slopes if path.startswith(MEMORIES)} <= named
    # What changes nothing is listed with its reason, and nothing else.
    listed = {path for hardware in DESIGNS.values() for path in what_has_no_effect(hardware)}
    assert {path for path, one in slopes.items() if not np.any(one)} == listed & set(slopes)
    others = {path: one for path, one in slopes.items() if path not in named and not path.startswith(INSTRUCTIONS)}
    assert all("technology." in path for path in others)
    assert not any(np.any(one) for one in others.values())


def test_counts_and_choices_of_the_system():
    hardware = DESIGNS["systolic array"]
    with jax.disable_jit():
        before = np.asarray(spent(hardware))
        for effect, parts, entries in rows():
            static = [part for part in parts if part.rpartition(".")[2] in OTHER]
            assert ("steps" in entries) == (static == parts), effect
            if static:
                changes = {path: OTHER[part.rpartition(".")[2]] for part in parts for path in everywhere(part)}
                after = np.asarray(spent(amsim.with_settings(hardware, changes)))
                changed = ["steps" if one else "-" for one in ~np.isclose(after, before, rtol=1e-5, atol=0)]
                assert changed == entries, (effect, after / before)


def test_no_setting_of_the_system_changes_what_a_network_computes():
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"first": jax.random.normal(keys[0], (8, 6)), "second": jax.random.normal(keys[1], (6, 4))}
    inputs = jax.random.normal(keys[2], (3, 8))

    def outputs(values, hardware):
        used = settings.with_numbers(hardware, values)
        chip = amsim.deploy(lambda given, x: jnp.tanh(x @ given["first"]) @ given["second"], params, used)
        return jnp.sum(chip(inputs) * jnp.arange(12.0).reshape(3, 4))

    hardware = DESIGNS["processor"]
    values = {path: jnp.asarray(one, float) for path, one in system_settings(hardware).items()}
    assert not any(float(one) for one in jax.jit(jax.grad(lambda given: outputs(given, hardware)))(values).values())


def test_parts_that_the_page_names_exist():
    named = set(re.findall(r"`(amsim[.][\w.]+)`", PAGE))
    assert len(named) > 40
    for name in named:
        words = name.split(".")
        modules = [".".join(words[:end]) for end in range(len(words), 0, -1)]
        module = next(one for one in modules if _is_module(one))
        found = importlib.import_module(module)
        for word in words[module.count(".") + 1 :]:
            found = getattr(found, word)


def _is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
