"""Weights of the sites by the parameters that they are made of: what is stored once, whoever uses it."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from amsim.deployment.mapping.mapper import MappedProgram, MappedSite
from amsim.deployment.mapping.site_names import main_leaf
from amsim.deployment.mapping.weight_elements import Elements, WeightElements, digest


class StoredWeight(NamedTuple):
    """Weight of a site.

    Attributes:
        name: The first site that has the same elements at the same places of its matrix: these share cells.
        parts: Parts of parameters that it is made of, by name, with their words; sites share what they have in common.
    """

    name: str
    parts: tuple[tuple[str, int], ...]


def stored_weights(network: MappedProgram, leaf_names: Sequence[str]) -> tuple[StoredWeight, ...]:
    """Weight of each site on a macro, in their order; activations have no parts.

    Args:
        network: The program and its sites.
        leaf_names: Names of the parameter leaves, the first inputs of the program.
    """
    sizes = [math.prod(value.shape) for value in network.program.inputs]
    leaves = {
        index: main_leaf(mapped.site.weight.params, sizes)
        for index, mapped in enumerate(network.sites)
        if not mapped.site.weight.data
    }
    found = {index: StoredWeight(mapped.site.name, ()) for index, mapped in enumerate(network.sites)}
    found |= {
        index: StoredWeight(network.sites[index].site.name, ((leaf_names[leaf], sizes[leaf]),))
        for index, leaf in leaves.items()
    }
    followed = _followed(network.sites, leaves, sizes)
    if followed:
        elements = WeightElements(network.program, len(leaf_names))
        made = {index: elements.of(network.sites[index].site.weight) for index in followed}
        numbers = {index: one.numbers for index, one in made.items() if isinstance(one, Elements)}
        parts = _parts(numbers, [leaf_names[leaves[index]] for index in numbers])
        first: dict[tuple[object, ...], str] = {}
        for index, of_site in zip(numbers, parts, strict=True):
            site = network.sites[index].site
            matrix = digest(_as_matrix(numbers[index], site.layout.matrix_axes)), site.product.rows
            found[index] = StoredWeight(first.setdefault(matrix, site.name), of_site)
    return tuple(found.values())


def _followed(sites: Sequence[MappedSite], leaves: dict[int, int], sizes: Sequence[int]) -> list[int]:
    """Sites whose weight is not simply the whole of a parameter that no other site uses."""
    uses, touched = Counter(leaves.values()), frozenset[int]()
    for index, leaf in leaves.items():
        site = sites[index].site
        words = site.product.rows * site.product.columns * sites[index].weight_slices
        if uses[leaf] > 1 or words != sizes[leaf]:
            touched |= site.weight.params
    return [index for index, leaf in leaves.items() if leaf in touched]


def _as_matrix(numbers: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    leading = numbers.ndim - len(axes)
    return np.transpose(numbers, (*range(leading), *(leading + axis for axis in axes)))


def _parts(numbers: dict[int, np.ndarray], names: Sequence[str]) -> list[tuple[tuple[str, int], ...]]:
    """Elements of each site by the sites that they are in: the coarsest parts of which all of them are made."""
    present = {id(one): np.unique(one[one >= 0]) for one in numbers.values()}
    part_of = np.zeros(1 + max(int(one[-1]) for one in present.values() if one.size), np.int64)
    count = 0
    for elements in present.values():
        before, which = np.unique(part_of[elements], return_inverse=True)
        part_of[elements] = count + 1 + which
        count += before.size
    called: dict[int, str] = {}
    found = []
    for one, name in zip(numbers.values(), names, strict=True):
        which, words = np.unique(part_of[present[id(one)]], return_counts=True)
        for part in which.tolist():
            called.setdefault(part, f"{name}, part {len(called) + 1}")
        found.append(tuple((called[part], size) for part, size in zip(which.tolist(), words.tolist(), strict=True)))
    return found
