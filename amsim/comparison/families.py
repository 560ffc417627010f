"""Comparison of circuit families: accuracy over dies against the total energy of the system."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import xarray as xr

from amsim import networks
from amsim.chips.designs import DEFAULT_DESIGNS, FAMILIES, WORD_LENGTHS, Design, design, named_design
from amsim.circuits.checks import integer_between, one_of, part_of, words
from amsim.comparison.procedure import COST_IMAGES, choice_key, find_design
from amsim.comparison.quantities import LABELS
from amsim.datasets.load import DATASETS, load_dataset
from amsim.datasets.split import Dataset
from amsim.deployment.front_door import deploy
from amsim.evaluation.accuracy import answers_on_dies, plain_accuracy
from amsim.networks.image_network import ImageNetwork, Params
from amsim.networks.registry import named_network
from amsim.progress import Progress, check_progress, in_part, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import described, provenance
from amsim.statistics.crossed_interval import crossed_interval
from amsim.statistics.intervals import interval_names

Network = tuple[ImageNetwork, Params]


def compare(
    designs: Sequence[str] | None = None,
    *,
    network: str | Path | None = None,
    data: str | Dataset = "fashion-mnist-mini",
    dies: int = 16,
    seed: int = 0,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Compare circuit families: accuracy over dies against the energy, latency and area of the whole system.

    The settings of every design are found by one procedure that is the same for all families,
    `amsim.comparison.find_design`: sites by their role, coding, range and centre of converters of least error times
    energy, and the least energy among as many candidates for each, on the same training images. Nothing that
    is scored takes part in the choice.

    Args:
        designs: Names `FAMILY-Nb`; None is the default set, or with `network` every family at its word length.
        network: Reference network or network file to put on every design; None gives each design the reference
            network of its word length.
        data: Name of a data set, or one already loaded.
        dies: Dies of each design; die `n` of a design does not depend on what else is compared.
        seed: Fixes dies and reads.
        progress: True shows a bar with the time left; a function is called with (phase, dies done, dies) over all
            designs.

    Returns:
        Dataset over (design, die, component, item): accuracy of each die and of each image, their mean with a 95 %
        interval that holds the finite number of both, accuracy without circuits, energy by component, latency, area
        and MACs of one inference, and the `chosen_setting` that the procedure chose.

    Raises:
        ValueError: An unknown design, network or data set, designs named twice, or a count below 1.
    """
    integer_between("dies", dies, 1)
    integer_between("seed", seed, 0, 2**32 - 1)
    check_progress(progress)
    if isinstance(data, str):
        one_of("data", data, DATASETS)
    else:
        part_of("data", data, Dataset)
    named = None if designs is None else _named(designs)
    given = None if network is None else _common(network)
    chosen = _default_designs(given) if named is None else named
    dataset = load_dataset(data) if isinstance(data, str) else data
    with reporting(progress) as report:
        parts = [in_part(report, one.name, number * dies, len(chosen) * dies) for number, one in enumerate(chosen)]
        rows = [_measure(one, given, dataset, dies, seed, part) for one, part in zip(chosen, parts, strict=True)]
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    dims: dict[str, tuple[str, ...]] = dict.fromkeys(stacked, ("design",))
    dims |= {
        "accuracy": ("design", "die"),
        "item_accuracy": ("design", "item"),
        "energy": ("design", "component"),
    }
    apart = ("component", "accelerator")
    variables = {name: (dims[name], values) for name, values in stacked.items() if name not in apart}
    return labelled(
        variables,
        {
            "design": [one.name for one in chosen],
            "die": np.arange(dies),
            "item": np.arange(len(dataset.test)),
            "component": rows[0]["component"],
        },
        {
            "network": "" if network is None else str(network),
            "data": dataset.name,
            "images": len(dataset.test),
            "seed": seed,
            "accelerators": [str(row["accelerator"]) for row in rows],
            **provenance(),
        },
        labels=LABELS,
    )


def _named(designs: Sequence[str]) -> list[Design]:
    designs = words("designs", designs)
    if not designs:
        raise ValueError("Argument `designs` must name at least one design, but is empty.")
    if len(set(designs)) < len(designs):
        raise ValueError(f"Argument `designs` must not name a design twice, but is {', '.join(designs)}.")
    return [named_design("designs", name) for name in designs]


def _default_designs(network: Network | None) -> list[Design]:
    if network is None:
        return [design(name) for name in DEFAULT_DESIGNS]
    bits = network[0].bits
    length = next(one for one in WORD_LENGTHS if one >= bits)
    return [Design(family, length) for family in FAMILIES]


def _common(network: str | Path) -> Network:
    """The network that all designs share; an error about its file names the argument too."""
    try:
        return named_network("network", network)
    except (ValueError, OSError) as error:
        if "`network`" in str(error):
            raise
        raise ValueError(f"Argument `network` cannot be used: {error}") from None


def _measure(
    one: Design,
    network: Network | None,
    data: Dataset,
    dies: int,
    seed: int,
    report: Progress,
) -> dict[str, np.ndarray]:
    net, params = networks.load(one.network) if network is None else network
    _check_shape(net, data)
    report("design", 0, dies)
    found = find_design(one, net, params, data.train, choice_key(seed))
    accelerator, choice = found.candidate.accelerator, found.calibration
    key = jax.random.key(seed)
    right = answers_on_dies(net, params, accelerator, data.test, key, dies, calibration=choice, report=report)
    interval = crossed_interval(right.astype(float), deterministic=accelerator.deterministic)
    chip = deploy(net, params, accelerator, calibration=choice)
    cost = chip.cost(data.test.inputs[:COST_IMAGES])
    return {
        "accuracy": right.mean(axis=1),
        "item_accuracy": right.mean(axis=0),
        **dict(zip(interval_names("accuracy"), np.asarray(interval), strict=True)),
        "plain_accuracy": np.asarray(plain_accuracy(net, params, data.test)),
        "energy": cost["energy"].sum("site").values,
        "latency": cost["latency"].sum("site").values,
        "area": cost["area"].values,
        "macs": cost["macs"].sum("site").values,
        "chosen_setting": np.asarray(found.candidate.setting, str),
        "component": cost["component"].values,
        "accelerator": np.asarray(described(accelerator), str),
    }


def _check_shape(net: ImageNetwork, data: Dataset) -> None:
    if data.test.inputs.shape[1:] != net.input_shape:
        height, width = net.input_shape
        raise ValueError(
            f"Argument `data` must have images of {height} x {width}, the input of the network, but {data.name} has "
            f"shape {data.test.inputs.shape[1:]}."
        )
