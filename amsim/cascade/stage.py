"""Stages of a cascade: hardware that decides about items, asleep until the stage before passes one."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checks import function, integer_between, part_of, shown
from amsim.circuits.fields import Quantity, quantity
from amsim.circuits.technology.dram import Dram
from amsim.circuits.technology.sram import Sram
from amsim.deployment.chip import Chip
from amsim.noise.checks import floating
from amsim.system.accelerator import Accelerator
from amsim.workloads import Workload


class StatedDetector(eqx.Module):
    """Hardware with a workload, whose decisions are stated as rates instead of being computed from data.

    Both rates are conditional: of the items that the stage before passes.

    Attributes:
        hardware: A macro, an `Accelerator` or rules; kept as an accelerator.
        workload: Network of one inference, such as `amsim.workloads.binary_image_network(64)`.
        recall: Fraction of the true events that it passes, 1.
        false_positive_rate: Fraction of the background items that it passes, 1.

    Raises:
        ValueError: A rate outside 0 to 1, or a part of the wrong kind.
    """

    hardware: Accelerator = eqx.field(converter=Accelerator.of)
    workload: Workload
    recall: Quantity = quantity("recall", unit="1", at_most=1.0)
    false_positive_rate: Quantity = quantity("false_positive_rate", unit="1", at_most=1.0)

    def __check_init__(self) -> None:
        """Check the workload."""
        part_of("workload", self.workload, Workload)


def _threshold(value: Any) -> Any:
    """Threshold as an array without axes, of either sign."""
    array = floating("threshold", value)
    if array.shape != ():
        raise ValueError(f"Argument `threshold` must be a single number, but has shape {array.shape}.")
    return array


class Stage(eqx.Module):
    """A chip that decides whether an item goes on: passed where `score > threshold`.

    It sleeps while nothing waits for it. An item that finds it asleep wakes it, which takes time and energy; it then
    works until nothing waits, and sleeps again. Without a wake-up cost and with full leakage it is always on.

    Attributes:
        name: Name in results (static).
        chip: A deployed network, or a `StatedDetector`.
        threshold: Smallest score that passes, of either sign, in the unit of the scores.
        score: How outputs become one score per item (static). None: the outputs themselves, one per item. A number:
            the margin of that class, its logit less the largest other one, so that the threshold 0 passes what it
            classifies as that class. A function of the outputs.
        inputs: Function from items of the data to the inputs of this chip, such as a smaller picture (static); None
            takes them as they are.
        rate: Of the first stage, items per second that it is offered, 1/s. Of a later one its pace while awake; None
            (default) is as fast as its chip.
        wake_up_energy: Energy per wake-up besides leakage and reload, J. Default 0.
        wake_up_latency: Time per wake-up besides the reload, s. Default 0.
        retention_leakage: Power asleep, W. None: the idle leakage of its accelerator and the background power of its
            DRAM, with its `PowerManagement`; 0 where the memory is lost.
        keeps_memory: Whether its memories keep their data asleep (static). False: every wake-up reloads the weights.
        reload_from: Memory that weights are reloaded from. Default: the DRAM of its accelerator.

    Raises:
        ValueError: A quantity out of range, a threshold that is not finite, a part of the wrong kind, or lost weights
            without a memory to reload them from.

    Not modelled: partial retention, several supplies, and hardware that stages share (its leakage counts in each; set
    `retention_leakage` of one of them to 0).
    """

    name: str = eqx.field(static=True)
    chip: Chip | StatedDetector
    threshold: Quantity = eqx.field(converter=_threshold, default=0.0)
    score: Callable[..., Any] | int | None = eqx.field(static=True, default=None, kw_only=True)
    inputs: Callable[..., Any] | None = eqx.field(static=True, default=None, kw_only=True)
    rate: Quantity | None = quantity("rate", unit="1/s", positive=True, optional=True)
    wake_up_energy: Quantity = quantity("wake_up_energy", unit="J", default=0.0)
    wake_up_latency: Quantity = quantity("wake_up_latency", unit="s", default=0.0)
    retention_leakage: Quantity | None = quantity("retention_leakage", unit="W", optional=True)
    keeps_memory: bool = eqx.field(static=True, default=True, kw_only=True)
    reload_from: Dram | Sram | None = eqx.field(default=None, kw_only=True)

    def __check_init__(self) -> None:
        """Check the parts."""
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"Argument `name` must be a text that is not empty, but is {shown(self.name)}.")
        if not isinstance(self.chip, Chip | StatedDetector):
            raise ValueError(
                f"Argument `chip` must be a chip of `amsim.deploy` or a StatedDetector, but is {shown(self.chip)}."
            )
        if isinstance(self.score, int) and not isinstance(self.score, bool):
            integer_between("score", self.score, 0)
        else:
            function("score", self.score, "(outputs)", optional=True)
        function("inputs", self.inputs, "(items)", optional=True)
        part_of("keeps_memory", self.keeps_memory, bool)
        if not (self.reload_from is None or isinstance(self.reload_from, Dram | Sram)):
            raise ValueError(
                f"Argument `reload_from` must be a Dram, an Sram or None, but is {shown(self.reload_from)}."
            )
        if not self.keeps_memory and self.reload_source is None:
            raise ValueError(
                f"Argument `reload_from` must be a Dram or an Sram for stage {self.name!r}, which loses its memory and "
                "whose accelerator has no DRAM, but is None."
            )

    @property
    def accelerator(self) -> Accelerator:
        """Hardware of the stage."""
        return self.chip.accelerator if isinstance(self.chip, Chip) else self.chip.hardware

    @property
    def reload_source(self) -> Dram | Sram | None:
        """Memory that lost weights come from."""
        return self.accelerator.dram if self.reload_from is None else self.reload_from

    def scores(self, outputs: Any) -> Float[Array, " items"]:
        """One score per item of the outputs of its chip.

        Args:
            outputs: As the network gives them, items first.

        Raises:
            ValueError: They are not one score per item, or have no such class.
        """
        if callable(self.score):
            found = jnp.asarray(self.score(outputs))
        elif self.score is None:
            found = jnp.asarray(outputs)
            found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
        else:
            found = _margin(jnp.asarray(outputs), self.score, self.name)
        if found.ndim != 1:
            raise ValueError(
                f"Argument `score` of stage {self.name!r} must give one score per item, but outputs of shape "
                f"{jnp.shape(outputs)} become scores of shape {found.shape}; a number takes the margin of that class."
            )
        return found


def _margin(logits: Array, label: int, name: str) -> Array:
    if logits.ndim != 2 or not label < logits.shape[1] or logits.shape[1] < 2:
        raise ValueError(
            f"Argument `score` of stage {name!r} must be a class of logits (items, classes), but is {label} for "
            f"outputs of shape {logits.shape}."
        )
    others = jnp.where(jnp.arange(logits.shape[1]) == label, -jnp.inf, logits)
    return logits[:, label] - jnp.max(others, axis=1)
