"""Accelerators small enough to add up by hand, and a network of three layers for them."""

import jax.numpy as jnp

from amsim.circuits import DigitalBinary, Dram, DramChannel, MultiPrecision, Sram, SramOrganisation
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.hardware import COMPONENTS, PowerManagement
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
    found = system_cost(accelerator, workload.layers).energy
    return float(jnp.sum(found if component is None else found[:, COMPONENTS.index(component)]))


def seconds(accelerator, workload=NETWORK):
    return float(jnp.sum(system_cost(accelerator, workload.layers).seconds))
