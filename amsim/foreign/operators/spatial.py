"""Windows that slide over the space of a map: sizes and padding as ONNX writes them."""

from amsim.foreign.operators.registry import Ints


def per_axis(name: str, values: Ints, axes: int, default: int, *, low: int = 1) -> Ints:
    """One integer for each axis of space.

    Raises:
        ValueError: There is another number of them, or one is below `low`.
    """
    if not values:
        return (default,) * axes
    if len(values) != axes or min(values) < low:
        raise ValueError(f"its attribute `{name}` must have {axes} integers of at least {low}, but is {values}")
    return values


def window_padding(
    auto_pad: str, pads: Ints, space: Ints, kernel: Ints, strides: Ints, dilations: Ints
) -> list[tuple[int, int]]:
    """Zeros before and after each axis of space.

    Raises:
        ValueError: The padding has another number of axes or an unknown name.
    """
    axes = len(space)
    if auto_pad == "NOTSET":
        both = per_axis("pads", pads, 2 * axes, 0, low=0)
        return list(zip(both[:axes], both[axes:], strict=True))
    if auto_pad == "VALID":
        return [(0, 0)] * axes
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"its attribute `auto_pad` is {auto_pad!r}")
    found = []
    for size, width, stride, dilation in zip(space, kernel, strides, dilations, strict=True):
        all_of_it = max((-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size, 0)
        found.append(halves(all_of_it, auto_pad))
    return found


def halves(padding: int, auto_pad: str) -> tuple[int, int]:
    """A padding in two halves; an odd one is larger at the end, or at the start for `SAME_LOWER`."""
    less, more = padding // 2, padding - padding // 2
    return (more, less) if auto_pad == "SAME_LOWER" else (less, more)


def for_whole_windows(
    padding: list[tuple[int, int]], space: Ints, kernel: Ints, strides: Ints, dilations: Ints
) -> list[tuple[int, int]]:
    """Padding with as much more at the end as a last window needs that starts inside the map or its first padding."""
    found = []
    for (low, high), size, width, stride, dilation in zip(padding, space, kernel, strides, dilations, strict=True):
        span = (width - 1) * dilation + 1
        windows = -(-(low + size + high - span) // stride) + 1
        if (windows - 1) * stride >= size + low:
            windows -= 1
        found.append((low, max((windows - 1) * stride + span - size - low, 0)))
    return found
