"""Quantities that a study measures: accuracy and cost of a network, or any traceable function of hardware and keys."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from amsim import networks
from amsim.circuits.checks import at_least_one, one_of, part_of, words
from amsim.datasets.check import LabelledData, class_items
from amsim.datasets.inputs import first_arguments
from amsim.datasets.split import Split
from amsim.deployment.front_door import check_deployable, deploy, params_on_device
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.accuracy import right_answers
from amsim.evaluation.batches import labelled_batches, on_device
from amsim.results.provenance import described
from amsim.results.quantities import QUANTITIES as LABELS
from amsim.system.accelerator import Accelerator
from amsim.system.cost import system_cost
from amsim.system.hardware import COMPONENTS

QUANTITIES = ("accuracy", "energy", "latency", "area")

SCOPES = ("point", "die", "read")
"""Whether results differ between points only, also between dies, or also between reads; by the function's arguments."""

COMPONENT = "component"


class Measurement(NamedTuple):
    """One function of a study with its fixed settings.

    Attributes:
        function: `function(hardware)`, `(hardware, die_key)` or `(hardware, die_key, read_key)`, which gives named
            arrays.
        scope: One of `SCOPES`.
        repeats: Whether all dies and all reads give the same, so that one is computed for all.
    """

    function: Callable[..., Any]
    scope: str
    repeats: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """Accuracy and cost of a network on hardware; made by `amsim.study`."""

    fn: Callable[..., Any] | None
    params: Any
    hardware: Any
    data: Split
    quantities: tuple[str, ...]
    batch: int
    cost_items: int
    calibration: Calibration | None

    takes_network = True

    @property
    def outputs(self) -> Mapping[str, tuple[str, str]]:
        """Unit and long name of the quantities."""
        return {name: LABELS[name] for name in self.quantities}

    @property
    def inner_dims(self) -> Mapping[str, tuple[str, ...]]:
        """Dimension of the energy: the component."""
        return {"energy": (COMPONENT,)}

    @property
    def shares(self) -> Mapping[str, int]:
        """Items of which the accuracy is the fraction that is right."""
        return {"accuracy": len(self.data)}

    @property
    def coordinates(self) -> Mapping[str, Any]:
        """Names of the components."""
        return {COMPONENT: list(COMPONENTS)}

    @property
    def description(self) -> Mapping[str, Any]:
        """The quantities and how they are computed; parameters and data are in the fingerprint of the program."""
        name = getattr(self.fn, "__name__", type(self.fn).__name__)
        return {
            "measured": "network",
            "network": "" if self.fn is None else name,
            "quantities": list(self.quantities),
            "items": len(self.data),
            "batch": self.batch,
            "cost_items": self.cost_items,
            "calibration": described(self.calibration),
        }

    def measurements(self, hardware: Any, network: Any) -> Sequence[Measurement]:
        """Accuracy of each read of each die; cost of the nominal hardware."""
        fn, params = self._network(network)
        check_deployable(fn, params, hardware, calibration=self.calibration)
        found = []
        if "accuracy" in self.quantities:
            repeats = Accelerator.of(hardware).deterministic
            found.append(Measurement(self._accuracy(fn, params), "read", repeats))
        if set(self.quantities) - {"accuracy"}:
            found.append(Measurement(self._cost(fn, params), "point"))
        return found

    def _network(self, network: Any) -> tuple[Callable[..., Any], Any]:
        if isinstance(network, str):
            return networks.load(network)
        if network is not None:
            return network
        if self.fn is None:
            raise ValueError("Argument `fn` must be a network, since `axes` has no axis `network`, but is None.")
        return self.fn, self.params

    def _accuracy(self, fn: Callable[..., Any], params: Any) -> Callable[..., dict[str, Array]]:
        inputs, labels, highest = labelled_batches(self.data, self.batch)
        batches, answers, items = on_device(inputs), jnp.asarray(labels), len(self.data)

        def accuracy(hardware: Any, die_key: PRNGKeyArray, read_key: PRNGKeyArray) -> dict[str, Array]:
            chip = deploy(fn, params, hardware, key=die_key, calibration=self.calibration)
            return {"accuracy": right_answers(chip, read_key.reshape(1), batches, answers, highest)[0] / items}

        return accuracy

    def _cost(self, fn: Callable[..., Any], params: Any) -> Callable[..., dict[str, Array]]:
        inputs = on_device(first_arguments(self.data.inputs, self.cost_items))

        def cost(hardware: Any) -> dict[str, Array]:
            chip = deploy(fn, params, hardware, calibration=self.calibration)
            found = system_cost(chip.accelerator, chip.workload(*inputs).layers)
            all_of = {
                "energy": jnp.sum(found.energy, axis=0),
                "latency": jnp.sum(found.seconds),
                "area": jnp.sum(found.area),
            }
            return {name: value for name, value in all_of.items() if name in self.quantities}

        return cost


def study(
    fn: Callable[..., Any] | str | None,
    params: Any = None,
    hardware: Any = None,
    data: LabelledData | None = None,
    *,
    quantities: Sequence[str] = QUANTITIES,
    batch: int = 250,
    cost_items: int = 64,
    calibration: Calibration | None = None,
) -> Study:
    """Study of a network, for `amsim.sweep` to measure over settings, dies and reads.

    Args:
        fn: Network `fn(params, inputs) -> logits`, or the name of a reference network; None with an axis `network`.
        params: Its parameters; None with a name.
        hardware: A macro, an `Accelerator` or rules; None with an axis `hardware`.
        data: Labelled inputs, such as `dataset.test`, as `amsim.evaluate` takes them.
        quantities: Some of `QUANTITIES`. Accuracy is that of each read on each die, as `amsim.evaluate` gives it for
            the same key; energy by component, latency and area are those of one inference on the nominal hardware.
        batch: Inputs computed at once; bounds the memory, and changes the cost of a call only.
        cost_items: Inputs whose activity the energy is averaged over.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`.

    Returns:
        The study, first argument of `amsim.sweep`.

    Raises:
        ValueError: No data or others than `amsim.evaluate` takes, an unknown quantity, none at all, a
            parameter that is no finite number, or a count below 1.
    """
    if data is None or (isinstance(data, Split) and len(data) == 0):
        raise ValueError(f"Argument `data` must be a Split with at least one item, but is {data!r}.")
    items = class_items("data", data)
    at_least_one(batch=batch, cost_items=cost_items)
    part_of("calibration", calibration, Calibration, optional=True)
    quantities = (
        [quantities] if isinstance(quantities, str) else words("quantities", quantities)
    )  # else its letters would be tried
    for quantity in quantities:
        one_of("quantities", quantity, QUANTITIES)
    if not quantities:
        raise ValueError(f"Argument `quantities` must have some of {', '.join(QUANTITIES)}, but is empty.")
    if isinstance(fn, str):
        if not fn.endswith(".npz"):
            one_of("fn", fn, networks.NETWORKS)
        fn, params = networks.load(fn)
    if fn is not None and not callable(fn):
        raise ValueError(f"Argument `fn` must be a function fn(params, inputs), but is {fn!r}.")
    params_on_device(params)
    if hardware is not None:
        hardware = Accelerator.of(hardware)
    chosen = tuple(name for name in QUANTITIES if name in quantities)
    return Study(fn, params, hardware, items, chosen, batch, cost_items, calibration)


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredFunction:
    """A user's function with units and names of its outputs."""

    function: Callable[..., Any]
    hardware: Any
    labels: Mapping[str, tuple[str, str]]
    scope: str

    takes_network = False
    coordinates: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    shares: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def outputs(self) -> Mapping[str, tuple[str, str]]:
        """The labels given, and those of quantities that many results have."""
        return LABELS | dict(self.labels)

    @property
    def inner_dims(self) -> Mapping[str, tuple[str, ...]]:
        """Empty: own dimensions of outputs have no names."""
        return {}

    @property
    def description(self) -> Mapping[str, Any]:
        """The function by its name."""
        return {"measured": getattr(self.function, "__qualname__", type(self.function).__name__)}

    def measurements(self, hardware: Any, network: Any) -> Sequence[Measurement]:
        """The function itself."""
        return [Measurement(self.function, self.scope)]


Measured = Study | MeasuredFunction
"""A study or a user's function; both state their outputs, the dimensions of these and the functions to run."""


def measured(function: Any, hardware: Any, labels: Mapping[str, tuple[str, str]] | None) -> Measured:
    """The study as given; a user's function with the scope that its arguments imply.

    Raises:
        ValueError: Neither, hardware given twice, or a function whose arguments are not those of a scope.
    """
    if isinstance(function, Study):
        if hardware is not None:
            function = dataclasses.replace(function, hardware=Accelerator.of(hardware))
        if labels:
            raise ValueError("Argument `labels` must be left out with `amsim.study`, whose outputs have theirs.")
        return function
    if not callable(function):
        raise ValueError(
            "Argument `function` must be `amsim.study(...)` or a function measure(hardware), (hardware, die_key) or "
            f"(hardware, die_key, read_key), but is {function!r}."
        )
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise ValueError(f"Argument `function` must have a signature, but {error}.") from None
    count = sum(one.kind in kinds and one.default is inspect.Parameter.empty for one in parameters)
    if not 1 <= count <= len(SCOPES):
        raise ValueError(
            "Argument `function` must take (hardware), (hardware, die_key) or (hardware, die_key, read_key), but takes "
            f"{count} arguments."
        )
    return MeasuredFunction(function, hardware, checked_labels({} if labels is None else labels), SCOPES[count - 1])


def checked_labels(labels: Any) -> dict[str, tuple[str, str]]:
    """Unit and long name by output.

    Raises:
        ValueError: They are something else.
    """
    part_of("labels", labels, Mapping)
    for name, label in labels.items():
        if not isinstance(label, tuple) or len(label) != 2 or not all(isinstance(text, str) for text in label):
            raise ValueError(
                f"Argument `labels` must have (unit, long name) per output, but has {label!r} for {name!r}."
            )
    return dict(labels)


def named_arrays(outputs: Any) -> dict[str, Array]:
    """Outputs of a measured function as floating-point arrays by name.

    Raises:
        ValueError: The function gave something else.
    """
    if not isinstance(outputs, Mapping) or not outputs or not all(isinstance(name, str) for name in outputs):
        raise ValueError(f"Argument `function` must give a dict of named arrays, but gave {type(outputs).__name__}.")
    return {name: _floating(name, value) for name, value in outputs.items()}


def _floating(name: str, value: Any) -> Array:
    """An output in float32 or float64, which every file format has."""
    if not isinstance(value, jax.Array | np.ndarray | np.generic | int | float):
        raise ValueError(f"Argument `function` must give arrays, but gave {name!r} as {type(value).__name__}.")
    array = jnp.asarray(float(value) if isinstance(value, int) else value)
    if not jnp.isrealobj(array) or jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        raise ValueError(f"Argument `function` must give real numbers, but gave {name!r} of type {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"Argument `function` must give values, but gave {name!r} of shape {array.shape}.")
    wide = jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize >= 4
    return array if wide else array.astype(jnp.result_type(float))
