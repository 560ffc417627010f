"""Networks that an exploration chooses among: configurations with seeds, as text for records, and grids of them."""

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amsim.circuits.checks import one_of, part_of, shown
from amsim.deployment.workload_from_shapes import network_workload
from amsim.networks.families import FAMILIES, Configuration, network_of
from amsim.networks.storage import Network
from amsim.results.provenance import described
from amsim.workloads import Workload


@dataclasses.dataclass(frozen=True)
class Member:
    """One network of a family, trained from one seed.

    Attributes:
        configuration: What the network is.
        seed: Seed of its initial weights and of the order of items.
    """

    configuration: Configuration
    seed: int

    @property
    def network(self) -> Network:
        """The network, without weights."""
        return network_of(self.configuration)

    @property
    def name(self) -> str:
        """Name of its configuration, with the seed."""
        return f"{self.configuration.name}-seed{self.seed}"

    @property
    def text(self) -> str:
        """Its configuration as JSON, which identifies it in records."""
        return configuration_text(self.configuration)


def configuration_text(configuration: Configuration) -> str:
    """A configuration as JSON: its kind and every setting."""
    kind = next(name for name, one in FAMILIES.items() if isinstance(configuration, one))
    settings = json.loads(described(configuration))
    return json.dumps({name: one for name, one in settings.items() if name != "type"} | {"kind": kind}, sort_keys=True)


def configuration_of(text: str) -> Configuration:
    """Configuration of its text.

    Raises:
        ValueError: The text is not that of a configuration.
    """
    try:
        found = json.loads(text)
        kind = FAMILIES[found.pop("kind")]
        return kind(**{name: _setting(one) for name, one in found.items()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"it has a network that cannot be made, {shown(text)}: {error}") from None


def _setting(value: Any) -> Any:
    """Value of a setting as configurations have it: a list is a tuple, so that it has a hash, a number is Python's."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_setting, value)) if isinstance(value, list) else value


def network_grid(kind: str, settings: Mapping[str, Sequence[Any]], **common: Any) -> list[Configuration]:
    """Members of a family at every combination of some settings.

    Args:
        kind: "images" (`amsim.networks.ImageConfiguration`) or "sequences" (`amsim.networks.SequenceNetwork`).
        settings: Values of each setting that varies, such as `{"width": [8, 16], "bits": [1, 2, 4]}`; a list as a value
            is a tuple.
        **common: Settings that all have, such as `input_maps=4`.

    Returns:
        The configurations; `amsim.explore` takes them.

    Raises:
        ValueError: An unknown family or setting, a setting without values, or what the family refuses.
    """
    one_of("kind", kind, FAMILIES)
    part_of("settings", settings, Mapping)
    family = FAMILIES[kind]
    known = [field.name for field in dataclasses.fields(family)]
    for name in (*settings, *common):
        one_of("settings", name, known)
    for name, values in settings.items():
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"Argument `settings` must have a list of values for {name!r}, but has {shown(values)}.")
    points = itertools.product(*settings.values())
    every = (common | dict(zip(settings, point, strict=True)) for point in points)
    return [family(**{name: _setting(value) for name, value in one.items()}) for one in every]


def given_configurations(argument: str, networks: Any) -> list[Configuration]:
    """Different configurations of a list.

    Raises:
        ValueError: Something else, none, or one twice.
    """
    if not isinstance(networks, list | tuple) or not networks:
        raise ValueError(
            f"Argument `{argument}` must be a list of configurations, such as `amsim.exploration.network_grid(...)` "
            f"makes, but is {shown(networks)}."
        )
    for one in networks:
        if not isinstance(one, Configuration):
            allowed = " or ".join(kind.__name__ for kind in FAMILIES.values())
            raise ValueError(f"Argument `{argument}` must have items of type {allowed}, but has {shown(one)}.")
        try:
            hash(one)
        except TypeError as error:
            raise ValueError(
                f"Argument `{argument}` must have configurations of numbers, words and tuples of them, but {one.name} "
                f"has something else: {error}."
            ) from None
    if len(set(networks)) < len(networks):
        names = [one.name for one in networks]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Argument `{argument}` must not have a network twice, but has {twice} twice.")
    return list(networks)


@functools.cache
def workload_of(configuration: Configuration) -> Workload:
    """Workload of one inference, from shapes alone."""
    network = network_of(configuration)
    params = jax.eval_shape(network.initial_params, jax.random.key(0))
    return network_workload(network, params, jax.ShapeDtypeStruct((1, *network.input_shape), jnp.float32))


def weight_bits(configuration: Configuration) -> int:
    """Bits of all weights as they are stored."""
    network = network_of(configuration)
    lengths = network.word_lengths
    return sum(math.prod(shape) * lengths[name][0] for name, shape in network.kernel_shapes.items())
