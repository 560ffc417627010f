"""ONNX operators that resample a map."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from amsim.foreign.operators.registry import (
    Floats,
    Ints,
    Value,
    axis_of,
    known,
    library,
    limited,
    numbers_of,
    operator,
)

_Taps = list[tuple[np.ndarray, np.ndarray]]


@operator("Resize", settings=(1, 2, 3))
def resize(
    x: Value,
    first: Value | None = None,
    second: Value | None = None,
    sizes: Value | None = None,
    *,
    antialias: int = 0,
    axes: Ints = (),
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
    opset: int,
) -> Value:
    """Resample axes by nearest, linear or cubic interpolation."""
    if antialias or keep_aspect_ratio_policy != "stretch":
        raise ValueError("it has an antialiasing filter or keeps an aspect ratio")
    if opset < 11:
        return _resampled(x, _factors(first), None, axes, mode, "asymmetric", "floor", cubic_coeff_a, False)
    wanted = None if sizes is None or sizes.size == 0 else numbers_of("sizes", sizes)
    transformation, outside = coordinate_transformation_mode, bool(exclude_outside)
    factors = None if wanted else _factors(second)
    return _resampled(x, factors, wanted, axes, mode, transformation, nearest_mode, cubic_coeff_a, outside)


@operator("Upsample", settings=(1,))
def upsample(x: Value, factors: Value | None = None, *, mode: str = "nearest", scales: Floats = ()) -> Value:
    """Resample to larger maps."""
    given = scales if factors is None else _factors(factors)
    return _resampled(x, given, None, (), mode, "asymmetric", "floor", -0.75, False)


def _factors(value: Value | None) -> Floats:
    if value is None:
        raise ValueError("it has neither scales nor sizes")
    return tuple(float(number) for number in np.atleast_1d(known("scales", value)))


def _resampled(
    x: Value,
    factors: Floats | None,
    sizes: Ints | None,
    axes: Ints,
    mode: str,
    transformation: str,
    nearest: str,
    cubic: float,
    exclude_outside: bool,
) -> Value:
    places = tuple(axis_of(axis, x.ndim) for axis in axes) or tuple(range(x.ndim))
    given = factors if sizes is None else sizes
    if given is None or len(given) != len(places) or min(given) <= 0:
        raise ValueError(f"it resamples {len(places)} axes by {given}")
    after = sizes or tuple(_scaled_size(x.shape[axis], factor) for axis, factor in zip(places, given, strict=True))
    whole = list(x.shape)
    for axis, size in zip(places, after, strict=True):
        whole[axis] = size
    limited(whole, x)
    limited((max(after),), np.zeros(0))  # its places are computed while tracing
    for axis, size, number in zip(places, after, given, strict=True):
        before = x.shape[axis]
        factor = size / before if sizes is not None else float(number)
        if size == before and factor == 1.0:
            continue
        if transformation == "asymmetric" and nearest == "floor" and mode == "nearest" and factor < 1:
            raise ValueError("it makes a map smaller by an asymmetric nearest element")
        taps = _taps(_coordinates(transformation, before, size, factor), before, mode, nearest, cubic, exclude_outside)
        x = _weighted(x, axis, taps)
    return x


def _scaled_size(size: int, factor: float) -> int:
    """Size of an axis after scaling, rounded down in float32 as ONNX Runtime and PyTorch do; ONNX leaves that open.

    A file holds 0.7 as 0.69999999, and 10 of it are 7 in float32 but 6.9999999 in float64.
    """
    return int(np.float32(size) * np.float32(factor))


def _coordinates(transformation: str, before: int, after: int, factor: float) -> np.ndarray:
    """Places in the old map of the elements of the new one, in float32 like other run times."""
    new, scale = np.arange(after, dtype=np.float32), np.float32(factor)
    half = np.float32(0.5)
    if transformation == "asymmetric":
        return new / scale
    if transformation == "align_corners":
        return new * np.float32(before - 1) / np.float32(max(after - 1, 1))
    if transformation == "half_pixel" or (transformation == "pytorch_half_pixel" and after > 1):
        return (new + half) / scale - half
    if transformation == "pytorch_half_pixel":
        return np.zeros_like(new)
    if transformation == "half_pixel_symmetric":
        adjusted = np.float32(after / (factor * before))
        return np.float32(before / 2) * (1 - adjusted) + (new + half) / scale - half
    raise ValueError(f"its attribute `coordinate_transformation_mode` is {transformation!r}")


def _taps(at: np.ndarray, before: int, mode: str, nearest: str, cubic: float, exclude_outside: bool) -> _Taps:
    """Places that each new element is made from, and their weights."""
    roundings: dict[str, Any] = {
        "round_prefer_floor": lambda p: np.ceil(p - 0.5), "round_prefer_ceil": lambda p: np.floor(p + 0.5),
        "floor": np.floor, "ceil": np.ceil,
    }  # fmt: skip
    if mode == "nearest":
        if nearest not in roundings:
            raise ValueError(f"its attribute `nearest_mode` is {nearest!r}")
        return [(_inside(roundings[nearest](at), before), np.ones_like(at))]
    if mode == "linear":
        at = np.clip(at, 0, before - 1)
        left = np.floor(at)
        return [(_inside(left, before), 1 - (at - left)), (_inside(left + 1, before), at - left)]
    if mode != "cubic":
        raise ValueError(f"its attribute `mode` is {mode!r}")
    left = np.floor(at)
    places = [left + offset for offset in (-1, 0, 1, 2)]
    weights = [_cubic(np.abs(at - place), cubic) for place in places]
    if exclude_outside:
        weights = [w * ((p >= 0) & (p < before)) for w, p in zip(weights, places, strict=True)]
        total = np.sum(weights, axis=0)
        weights = [weight / total for weight in weights]
    return [(_inside(place, before), weight) for place, weight in zip(places, weights, strict=True)]


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _inside(places: np.ndarray, size: int) -> np.ndarray:
    return np.clip(places, 0, size - 1).astype(np.int32)


def _weighted(x: Value, axis: int, taps: _Taps) -> Value:
    if len(taps) == 1:
        return library(x).take(x, taps[0][0], axis)
    x = jnp.asarray(x)
    shape = [1] * x.ndim
    shape[axis] = -1
    parts = [jnp.take(x, places, axis) * jnp.asarray(weights, x.dtype).reshape(shape) for places, weights in taps]
    return sum(parts[1:], start=parts[0])
