"""Inferences of a batch: how many the inputs hold, and along which axis each of them counts."""

from typing import Any, NamedTuple

import jax
import numpy as np

from amsim.deployment.mapping.inference_axis import SHARED, InferenceAxis
from amsim.deployment.mapping.mapper import MappedProgram, MappedSite, Share
from amsim.deployment.tracing.steps import Value

_REMEDY = (
    "`in_axes` says which axis of each input counts them, as in `jax.vmap`: None for an input that all share, such as "
    "a mask or a table, and `in_axes=None` where all inputs are one inference"
)


class Batch(NamedTuple):
    """Inferences that the inputs of a network hold.

    Attributes:
        inferences: How many.
        axes: Axis that counts them in each array of the inputs; None where all share it.
    """

    inferences: int
    axes: tuple[int | None, ...]


def batch_of(inputs: tuple[Any, ...], in_axes: Any) -> Batch:
    """Inferences of inputs.

    Args:
        inputs: Inputs of a network.
        in_axes: Axis of each that counts inferences, as in `jax.vmap`. With one number for all, scalars are shared.

    Raises:
        ValueError: `in_axes` does not fit the inputs, no array has such an axis, or they differ in its size.
    """
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(inputs)]
    if in_axes is None:
        return Batch(1, (None,) * len(shapes))
    whole = isinstance(in_axes, int)
    axes = [in_axes if shape else None for shape in shapes] if whole else _axis_of_each(inputs, in_axes)
    for axis, shape in zip(axes, shapes, strict=True):
        if axis is not None and not -len(shape) <= axis < len(shape):
            raise ValueError(f"Argument `in_axes` must name axes of the inputs, but {axis} is none of shape {shape}.")
    places = tuple(None if axis is None else axis % len(shape) for axis, shape in zip(axes, shapes, strict=True))
    sizes = dict.fromkeys(shape[axis] for axis, shape in zip(places, shapes, strict=True) if axis is not None)
    if not sizes or 0 in sizes:
        raise ValueError("Argument `inputs` must have a leading axis that counts inferences, of at least 1.")
    if len(sizes) > 1:
        raise ValueError(
            f"Argument `inputs` must have as many inferences in each array, but there are "
            f"{' and '.join(map(str, sizes))} in arrays of shapes {', '.join(map(str, shapes))}. {_REMEDY}."
        )
    return Batch(next(iter(sizes)), places)


def _axis_of_each(inputs: tuple[Any, ...], in_axes: Any) -> list[int | None]:
    def is_axis(one: Any) -> bool:
        return one is None or isinstance(one, int)

    try:
        broad = jax.tree.map(
            lambda axis, part: [axis] * len(jax.tree.leaves(part)), tuple(in_axes), inputs, is_leaf=is_axis
        )
    except (TypeError, ValueError):
        raise ValueError(
            f"Argument `in_axes` must be a number, None or one of them for each of the {len(inputs)} inputs, but is "
            f"{in_axes!r}."
        ) from None
    axes = jax.tree.leaves(broad, is_leaf=is_axis)
    if not all(map(is_axis, axes)):
        raise ValueError(f"Argument `in_axes` must have whole numbers and None, but is {in_axes!r}.")
    return axes


class Shares:
    """Share of one inference in the work of each site."""

    def __init__(self, network: MappedProgram, leaves: int, batch: Batch) -> None:
        """Follow the inferences through the program.

        Args:
            network: The program and its sites.
            leaves: How many of its inputs are parameters.
            batch: Inferences of the other inputs.

        Raises:
            ValueError: A site, or each of the outputs, takes several inferences together.
        """
        self.batch = batch
        self.axis: InferenceAxis | None = None
        if batch.inferences == 1:
            return
        self.axis = axis = InferenceAxis(network.program, (*[None] * leaves, *batch.axes), batch.inferences)
        for mapped in network.sites:
            # One vector of all inferences, such as what ends a loop, is none of the frames of several.
            several = mapped.site.vectors > 1 and any(map(axis.is_together, _operands(mapped)))
            if several or self._is_uneven(mapped):
                raise self._error(f"site `{mapped.site.name}` takes")
        outputs = [value for value in network.program.outputs if value.shape]
        if outputs and all(map(axis.is_together, outputs)):
            raise self._error("its outputs are made from")

    def of(self, mapped: MappedSite) -> Share:
        """Share of one inference in a site."""
        if self.axis is None:
            return mapped.share(1)
        if any(self.axis.of(value) != SHARED for value in _operands(mapped)):
            return mapped.share(self.batch.inferences)
        # Each inference would need all of it by itself.
        again = self.batch.inferences if any(one.number in self.axis.loops for one in mapped.enclosures) else 1
        return Share(mapped.site.work(1), mapped.turns // again, 1.0)

    def _is_uneven(self, mapped: MappedSite) -> bool:
        """Whether the vectors of a site that runs once are not the same number for each inference."""
        assert self.axis is not None
        shared = all(self.axis.of(value) == SHARED for value in _operands(mapped))
        once = mapped.turns == 1 and not mapped.runs_by_data and mapped.site.vectors > 1
        return once and not shared and mapped.site.vectors % self.batch.inferences != 0

    def _error(self, what: str) -> ValueError:
        axes = " and ".join(map(str, dict.fromkeys(axis for axis in self.batch.axes if axis is not None)))
        return ValueError(
            f"Argument `inputs` must have {self.batch.inferences} inferences along axis {axes}, but {what} several of "
            f"them together, as a recurrent network does with frames. {_REMEDY}."
        )


def _operands(mapped: MappedSite) -> tuple[Value, Value]:
    return mapped.site.data, mapped.site.weight
