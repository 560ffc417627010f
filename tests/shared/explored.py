"""Tiny networks on made-up sequences, and records of their accuracy, to explore without training."""

import numpy as np
import xarray as xr

import amsim
from amsim.exploration import network_grid
from amsim.exploration.members import configuration_text

KILOBYTE = 8192.0
SPACE = amsim.DesignSpace(
    families=("digital-binary", "switched-capacitor"),
    weight_memory=(KILOBYTE, 8 * KILOBYTE),
    activation_memory=(KILOBYTE,),
)
SETTINGS = {"topology": "dense", "depth": 1, "classes": 3, "input_shape": (4, 3)}
NETWORKS = network_grid("sequences", {"width": [4], "bits": [2, 4]}, **SETTINGS)
ANALOG = {
    f"{volts:g} V, comparators of {noise} mV": (volts, float(noise))
    for volts in (0.5, 0.6, 0.7, 0.8)
    for noise in ("0.2", "0.4")
}
"""Circuits of the analog family in words, with their supply, V, and the noise of their comparators, mV."""


def known_accuracy(bits: int, circuit: str) -> float:
    """Accuracy that the records state: more bits are better, and on analog circuits more supply and less noise."""
    if not circuit:
        return {2: 0.80, 4: 0.90}[bits]
    volts, noise = ANALOG[circuit]
    return {2: 0.76, 4: 0.88}[bits] - 0.1 * (0.8 - volts) - 0.05 * (noise - 0.2)


def records(data: str = "toy") -> xr.Dataset:
    """A record of each network on each circuit, as an exploration has them."""
    rows = []
    for network in NETWORKS:
        for family, circuits in (("digital-binary", [""]), ("switched-capacitor", list(ANALOG))):
            rows += [(configuration_text(network), family, one, known_accuracy(network.bits, one)) for one in circuits]
    texts, families, circuits, means = (np.asarray(one) for one in zip(*rows, strict=True))
    variables = {"configuration": texts, "circuit_family": families, "circuit": circuits, "accuracy_mean": means}
    variables |= {"accuracy_low": means - 0.01, "accuracy_high": means + 0.01, "plain_accuracy": means}
    variables |= {name: np.full(len(rows), value) for name, value in (("seed", 0), ("steps", 100))}
    found = xr.Dataset({name: ("dot", values) for name, values in variables.items()})
    return found.assign_attrs(data=data, amsim_version="0.1")


def toy_data() -> amsim.Dataset:
    """Sequences of three classes, one feature of which is larger."""
    draws = np.random.default_rng(0)

    def split(count: int) -> amsim.Split:
        labels = draws.integers(0, 3, count)
        inputs = draws.normal(size=(count, 4, 3)).astype(np.float32)
        inputs[np.arange(count), labels] += 2
        return amsim.Split(inputs, labels.astype(np.int32))

    return amsim.Dataset("toy", split(160), split(60), ("a", "b", "c"), "made up")
