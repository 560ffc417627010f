"""Explorations that ship: accuracies of trained networks, the cost of their design points, and weights of the front."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from amsim.chips.designs import FAMILIES
from amsim.circuits.checks import one_of, text
from amsim.exploration.hardware_points import FamilyPoints, PointsOf, RefusedError, family_points, family_variants
from amsim.exploration.members import configuration_text
from amsim.exploration.quantities import LABELS
from amsim.exploration.records import TUNED
from amsim.exploration.space import DesignSpace
from amsim.exploration.training import tuned_name
from amsim.networks.families import Configuration
from amsim.networks.quantised import Params
from amsim.networks.storage import Network, load_network
from amsim.report.result_file import open_result
from amsim.results.labelled import labelled
from amsim.results.provenance import described
from amsim.system.hardware import COMPONENTS

OF_POINTS = {
    "point_energy": "energy",
    "point_latency": "latency",
    "point_area": "area",
    "point_fits": "fits",
    "point_keeps_rate": "keeps_rate",
}
"""Attribute of `FamilyPoints` that each variable over every design point holds."""


def shipped_data() -> list[str]:
    """Names of the data sets of which results ship."""
    folder = files("amsim.exploration") / "shipped"
    return sorted(one.name.removesuffix(".nc") for one in folder.iterdir() if one.name.endswith(".nc"))


@functools.cache
def shipped_results(data: str) -> xr.Dataset:
    """Results that ship of a data set, as `shipped_dataset` makes them."""
    with as_file(files("amsim.exploration") / "shipped" / f"{data}.nc") as path:
        return open_result(path)


def shipped_network(data: str, network: str, circuit: str | None = None) -> tuple[Network, Params]:
    """Network on the front of accuracy against energy, trained on a data set.

    Args:
        data: Name of the data set, as `amsim.explore` takes it.
        network: Name of the network, as the variable `network` of its results has it.
        circuit: Circuit, as the variable `circuit` has it, that a network "... fine-tuned" was trained further through.

    Returns:
        The network function `network(params, inputs) -> logits` and its parameters.

    Raises:
        ValueError: No results of this data set ship, or no weights of this network.
    """
    one_of("data", data, shipped_data())
    folder = files("amsim.exploration") / "shipped" / data
    text(**{name: one for name, one in (("network", network), ("circuit", circuit)) if one is not None})
    name = network if circuit is None else tuned_name(network.removesuffix(TUNED), circuit)
    one_of("network", name, sorted(one.name.removesuffix(".npz") for one in folder.iterdir()))
    with as_file(folder / f"{name}.npz") as path:
        return load_network(path)


def shipped_points(data: str, space: DesignSpace, rate: float | None) -> PointsOf:
    """Function that finds design points as `family_points` does, from what ships where that is the question.

    Known are those of the default `DesignSpace`, with any of its families, of inferences back to back, in float32.
    """
    default = DesignSpace()
    if not _is_default(space, rate, default):
        return family_points
    held = shipped_results(data)
    pairs = zip(held["pair_configuration"].values, held["pair_family"].values, strict=True)
    places = {(str(text), str(family)): number for number, (text, family) in enumerate(pairs)}
    refused = {(text, family): why for text, family, why in json.loads(held.attrs["points_refused"])}

    def points(configuration: Configuration, family: str, space: DesignSpace, rate: float | None) -> FamilyPoints:
        asked = configuration_text(configuration), family
        if asked in refused:
            raise RefusedError(refused[asked])
        if asked not in places:
            return family_points(configuration, family, space, rate)
        own = held.isel(pair=places[asked])
        make = functools.partial(family_variants, configuration, family, default)
        arrays = {attribute: own[name].values for name, attribute in OF_POINTS.items()}
        arrays |= {name: arrays[name].astype(bool) for name in ("fits", "keeps_rate")}
        return FamilyPoints(
            list(map(str, own["variant_circuit"].values)),
            list(map(str, own["variant_choice"].values)),
            make,
            variant=held["point_variant"].values,
            memories=held["point_memories"].values,
            **arrays,
            macs=int(own["pair_macs"]),
            left_out={},
        )

    return points


def _is_default(space: DesignSpace, rate: float | None, default: DesignSpace) -> bool:
    same = described(dataclasses.replace(space, families=default.families)) == described(default)
    return same and rate is None and jnp.result_type(float) == jnp.float32 and set(space.families) <= set(FAMILIES)


def shipped_dataset(
    records: xr.Dataset,
    points: Mapping[tuple[str, str], FamilyPoints],
    refused: Sequence[Sequence[str]],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """What ships of a data set: records as `amsim.explore` takes them, and every design point of the default space.

    Args:
        records: A result of `amsim.explore`, or the variables over `dot` that its `records` need.
        points: Design points by the text of a configuration and the family.
        refused: Texts of configurations, families that cannot run them, and why.
        attributes: Of the whole.
    """
    found = points
    # Programs order points by what they share; here every pair has one order.
    orders = [np.lexsort((*one.memories.T[::-1], one.variant)) for one in found.values()]
    first, order = next(iter(found.values())), orders[0]
    texts = {
        "pair_configuration": [text for text, _ in found],
        "pair_family": [family for _, family in found],
    }
    variables: dict[str, Any] = {name: (("pair",), np.asarray(one, str)) for name, one in texts.items()}
    variables["pair_macs"] = (("pair",), np.asarray([one.macs for one in found.values()]))
    variables["variant_circuit"] = (("pair", "variant"), np.asarray([one.circuits for one in found.values()], str))
    variables["variant_choice"] = (("pair", "variant"), np.asarray([one.choices for one in found.values()], str))
    variables["point_variant"] = (("point",), first.variant[order])
    variables["point_memories"] = (("point", "memory"), first.memories[order])
    for name, attribute in OF_POINTS.items():
        each = [getattr(one, attribute)[own] for one, own in zip(found.values(), orders, strict=True)]
        dims = ("pair", "point", "component") if attribute == "energy" else ("pair", "point")
        kind = np.int8 if each[0].dtype == bool else np.float32
        variables[name] = (dims, np.asarray(each, kind))
    of_dots = {str(name): (one.dims, one.values) for name, one in records.data_vars.items() if one.dims == ("dot",)}
    coordinates = {"component": list(COMPONENTS)}
    return labelled(
        of_dots | variables, coordinates, {**attributes, "points_refused": json.dumps(list(refused))}, labels=LABELS
    )
