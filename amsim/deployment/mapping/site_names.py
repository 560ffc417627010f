"""Names of sites, from the module paths of their weights."""

import math
from collections.abc import Sequence

from amsim.deployment.mapping.sites import chosen_operand, weight_operand, weights_inside
from amsim.deployment.tracing.primitives import PRODUCTS
from amsim.deployment.tracing.steps import Program
from amsim.workloads.use_names import use_name


class SiteNames:
    """Names of sites: the module path of the weight, and the number of the use where a weight has several."""

    def __init__(self, program: Program, leaf_names: list[str]) -> None:
        """Find which modules have several weights.

        Args:
            program: All products whose weights are named.
            leaf_names: Names of the parameter leaves, the first inputs of the program.
        """
        self.leaf_names = leaf_names
        self.sizes = [math.prod(value.shape) for value in program.inputs]
        self.given: dict[str, int] = {}
        leaves = {self._leaf(weight) for weight in _weights(program)}
        modules = [self._module(leaf) for leaf in leaves]
        # Two weights of one module keep their own names.
        self.shared = {module for module in modules if modules.count(module) > 1}

    def of(self, weight: frozenset[int]) -> str:
        """Name of a site whose weight is made from these leaves."""
        leaf = self._leaf(weight)
        module = self._module(leaf)
        name = self.leaf_names[leaf] if module in self.shared else module
        return self.unique(name)

    def unique(self, name: str) -> str:
        """A name, made unique."""
        self.given[name] = self.given.get(name, 0) + 1
        found = use_name(name, self.given[name])
        # Another layer may bear the name of a use.
        return self.unique(name) if found != name and found in self.given else found

    def size(self, weight: frozenset[int]) -> int:
        """Elements of the leaf that a weight is made from."""
        return self.sizes[self._leaf(weight)]

    def _leaf(self, leaves: frozenset[int]) -> int:
        return main_leaf(leaves, self.sizes)

    def _module(self, leaf: int) -> str:
        name = self.leaf_names[leaf]
        return name.rpartition(".")[0] or name


def main_leaf(leaves: frozenset[int], sizes: Sequence[int]) -> int:
    """The leaf that is the weight, where it is also quantised or normalised by others: the largest."""
    return max(sorted(leaves), key=sizes.__getitem__)


def _weights(program: Program) -> list[frozenset[int]]:
    """Parameter leaves of the weight of every product that a program holds."""
    found: list[frozenset[int]] = []
    for step in program.steps:
        operand = None
        if step.primitive in PRODUCTS:
            operand = chosen_operand(step) if weight_operand(step) is None else weight_operand(step)
        found += [] if operand is None else [step.inputs[operand].params]
        found += [] if step.bodies else weights_inside(step)
        for body in step.bodies:
            found += _weights(body)
    return found
