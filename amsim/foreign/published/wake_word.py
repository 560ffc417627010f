"""Always-on streaming keyword networks with 8-bit weights, from the package `pymicro-wakeword`."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from amsim.circuits.checks import one_of
from amsim.foreign.published.package_file import Package
from amsim.foreign.published.stream_graph import Code, StreamGraph, StreamOperation, read_stream_graph
from amsim.noise.gradients import rounded
from amsim.noise.loops import scan

PACKAGE = Package("pymicro_wakeword", "pymicro-wakeword==2.5.0 tflite==2.18.0 flatbuffers")

WAKE_WORDS = {
    "alexa": "9011a8155b04de858c48038529235cbc0e42e9fca05a55bf588cb80a653a723b",
    "hey_jarvis": "21a7976add39ee24ec96c63d96b7aaa18e24d1d9824b963e451da8feb4b78b77",
    "hey_mycroft": "c2a9b6ed51182db72e014781d5a4ece1929dc232a40b5b4be384f0295f0e1571",
    "okay_nabu": "d89128c4d16a72de429119fb2254ce46649553c2a24f5dd840175c80d7b9d094",
}
"""The networks, with the SHA-256 of their files."""

WINDOW = 5
"""Consecutive outputs whose mean is compared with the threshold: `sliding_window_size` of the package's settings."""

WakeWordParams = dict[str, dict[str, Array]]
"""`kernel` and `bias` of `conv1`, `depthwise1`, ... in the order in which they run, `dense1` last."""

_States = dict[str, Array]
_LAYERS = {"CONV_2D": "conv", "DEPTHWISE_CONV_2D": "depthwise", "FULLY_CONNECTED": "dense"}
_NONE, _RELU = 0, 1


@dataclass(frozen=True, eq=False)
class WakeWordNetwork:
    """Streaming network `network(params, features)`; every value between its layers is one of 256 levels, as published.

    The rounding passes its gradient straight through. Each step takes some new frames and what the layers kept of
    earlier ones, so that a step computes only what is new.

    Attributes:
        name: One of `WAKE_WORDS`.
        stride: Frames per step.
        channels: Features per frame.
        graph: The published graph.
    """

    name: str
    stride: int
    channels: int
    graph: StreamGraph = field(repr=False)

    @property
    def __name__(self) -> str:
        """Name of its workload."""
        return self.name

    def __call__(
        self, params: WakeWordParams, features: Float[ArrayLike, "batch frames 40"]
    ) -> Float[Array, "batch steps"]:
        """Probability of the wake word at each step, from empty states.

        Args:
            params: As `load_wake_word` returned them.
            features: Of the front end (`spoken_words.speech_features`), one frame every 10 ms. Frames beyond a whole
                number of steps are left out.

        Raises:
            ValueError: Features of another shape, or fewer frames than a step needs.
        """
        features = jnp.asarray(features)
        if features.ndim != 3 or features.shape[2] != self.channels or features.shape[1] < self.stride:
            raise ValueError(
                f"Argument `features` must have shape (batch, frames, {self.channels}) with {self.stride} frames or "
                f"more, but has {features.shape}."
            )
        steps = features.shape[1] // self.stride
        frames = features[:, : steps * self.stride].reshape(len(features), steps, self.stride, self.channels)
        first = {
            name: jnp.broadcast_to(jnp.asarray(value, features.dtype), (len(features), *value.shape[1:]))
            for name, value in self.graph.states.items()
        }

        def step(states: _States, now: Array) -> tuple[_States, Array]:
            return _step(self.graph, params, states, now)

        return scan(step, first, jnp.swapaxes(frames, 0, 1))[1].T

    def score(self, params: WakeWordParams, features: Float[ArrayLike, "batch frames 40"]) -> Float[Array, " batch"]:
        """Largest mean of `WINDOW` consecutive probabilities, which the package compares with its threshold."""
        outputs = self(params, features)
        sums = jnp.cumsum(jnp.pad(outputs, ((0, 0), (WINDOW, 0))), axis=1)
        return jnp.max(sums[:, WINDOW:] - sums[:, :-WINDOW], axis=1) / WINDOW


def load_wake_word(name: str) -> tuple[WakeWordNetwork, WakeWordParams]:
    """A keyword network of microWakeWord (Kevin Ahrendt, Apache-2.0) from the installed package, which is not imported.

    Args:
        name: One of `WAKE_WORDS`.

    Returns:
        The function `network(params, features)` and its parameters, for `amsim.deploy`.

    Raises:
        ImportError: The package `pymicro-wakeword` or `tflite` is not installed; the text says how to.
        ValueError: The name is unknown, or the file is another than of version 2.5.0.

    Validity: sums are taken in floating point and rounded half to even; the published integer arithmetic rounds half
    up, so an output may differ by a few of its 256 levels.
    """
    one_of("name", name, WAKE_WORDS)
    graph = read_stream_graph(PACKAGE.read(f"models/{name}.tflite", WAKE_WORDS[name]))
    params = {}
    for layer, operation in _layers(graph).items():
        kernel, bias = (graph.tensors[place].numbers for place in operation.inputs[1:])
        params[layer] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    _, stride, channels = graph.tensors[graph.input].shape
    return WakeWordNetwork(name, stride, channels, graph), params


def _layers(graph: StreamGraph) -> dict[str, StreamOperation]:
    """Operations with weights by name: their kind, and their number among those of this kind."""
    found: dict[str, StreamOperation] = {}
    counts = dict.fromkeys(_LAYERS, 0)
    for one in graph.operations:
        if one.kind in _LAYERS:
            counts[one.kind] += 1
            found[f"{_LAYERS[one.kind]}{counts[one.kind]}"] = one
    return found


def _step(graph: StreamGraph, params: WakeWordParams, states: _States, frames: Array) -> tuple[_States, Array]:
    """States after some more frames, and the output of each item of the batch."""
    names = {one.outputs: name for name, one in _layers(graph).items()}
    handles: dict[int, str] = {}
    code = graph.tensors[graph.input].code
    values: dict[int, Any] = {graph.input: _quantised(frames, code)}
    values |= {place: tensor.numbers for place, tensor in enumerate(graph.tensors) if tensor.numbers is not None}
    for one in graph.operations:
        match one.kind:
            case "VAR_HANDLE":
                handles[one.outputs[0]] = one.options["SharedName"]
            case "READ_VARIABLE":
                values[one.outputs[0]] = states[handles[one.inputs[0]]]
            case "ASSIGN_VARIABLE":
                states = states | {handles[one.inputs[0]]: values[one.inputs[1]]}
            case "CALL_ONCE":
                pass
            case _:
                layer = params.get(names.get(one.outputs, ""))
                results = _results(one, [values[place] for place in one.inputs], layer, graph)
                for place, result in zip(one.outputs, results, strict=True):
                    values[place] = _quantised(_activated(one, result), graph.tensors[place].code)
    return states, values[graph.output].reshape(-1)


def _results(one: StreamOperation, taken: list[Any], layer: dict[str, Array] | None, graph: StreamGraph) -> list[Array]:
    x = taken[0]
    match one.kind:
        case "CONV_2D" | "DEPTHWISE_CONV_2D" if layer is not None:
            return [_convolution(one, x, layer)]
        case "FULLY_CONNECTED" if layer is not None:
            return [x.reshape(len(x), -1) @ layer["kernel"].T + layer["bias"].reshape(1, -1)]
        case "RESHAPE":
            return [x.reshape(len(x), *graph.tensors[one.outputs[0]].shape[1:])]
        case "CONCATENATION":
            return [jnp.concatenate(taken, one.options["Axis"])]
        case "SPLIT_V":
            return list(jnp.split(x, np.cumsum(taken[1])[:-1], int(taken[2])))
        case "STRIDED_SLICE":
            return [x[_slices(one, *taken[1:])]]
        case "LOGISTIC":
            return [jax.nn.sigmoid(x)]
        case "QUANTIZE":
            return [x]
    raise ValueError(f"The operator {one.kind} has no weights.")


def _convolution(one: StreamOperation, x: Array, layer: dict[str, Array]) -> Array:
    kernel, depthwise = layer["kernel"], one.kind == "DEPTHWISE_CONV_2D"
    y = jax.lax.conv_general_dilated(
        x,
        # The file has (1, height, width, channels) for a kernel of one channel each.
        jnp.moveaxis(kernel, 0, 2) if depthwise else kernel,
        (one.options["StrideH"], one.options["StrideW"]),
        ("SAME", "VALID")[one.options["Padding"]],
        dimension_numbers=("NHWC", "HWIO" if depthwise else "OHWI", "NHWC"),
        feature_group_count=x.shape[3] if depthwise else 1,
    )
    return y + layer["bias"].reshape(1, 1, 1, -1)


def _slices(one: StreamOperation, begin: np.ndarray, end: np.ndarray, strides: np.ndarray) -> tuple[slice, ...]:
    first, last = one.options["BeginMask"], one.options["EndMask"]
    return tuple(
        slice(None if first >> axis & 1 else int(begin[axis]), None if last >> axis & 1 else int(end[axis]), int(step))
        for axis, step in enumerate(strides)
    )


def _activated(one: StreamOperation, x: Array) -> Array:
    activation = one.options.get("FusedActivationFunction", _NONE)
    if activation not in (_NONE, _RELU):
        raise ValueError(f"The activation number {activation} of {one.kind} is not understood.")
    return jax.nn.relu(x) if activation == _RELU else x


def _quantised(x: Array, code: Code | None) -> Array:
    """The nearest of the values that a tensor can hold."""
    if code is None:
        return x
    scale = float(code.scale[0])
    return jnp.clip(rounded(x / scale), code.lowest - code.zero, code.highest - code.zero) * scale
