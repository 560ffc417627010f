"""Puts text labels beside points so that they cover neither one another nor the data."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text

GAPS = (5.0, 8.0, 12.0, 18.0, 26.0, 36.0, 48.0, 64.0)
"""Distances from a point to the edge of its label that are tried, points."""

DIRECTIONS = 24
"""Directions that are tried around a point."""

NEAR = 12.0
"""Gap in points up to which a label needs no line to its point."""

LABEL_WEIGHT, DATA_WEIGHT, LINE_WEIGHT, OUTSIDE_WEIGHT = 2e3, 1e3, 2e2, 1e4
"""Cost of covering other labels, data, thin lines and the world outside the axes, for each label's area; the
distance from the point costs 1 for each point, so that any free place beats any covered one."""

PADDING = 2.0
"""Free space around a label, points."""


def place_labels(axes: Axes, labels: Sequence[Annotation], data: np.ndarray, lines: np.ndarray) -> None:
    """Move annotations, whose text coordinates are offset points, to free places inside the axes.

    Every label in turn takes its cheapest place until none moves, starting from the upper right of its point. Sizes
    and places hold for the figure as it now is: call again after the axes have changed.

    Args:
        axes: Where the labels are.
        labels: Annotations with centred text.
        data: Boxes to keep free, shape (boxes, 4): left, bottom, right, top in data coordinates.
        lines: Boxes to keep free if possible, same form.
    """
    figure = axes.figure.figure  # the root, also of a subfigure
    for label in labels:
        # A layout that makes room for labels would chase the labels that make room for the axes.
        label.set_in_layout(False)
    figure.draw_without_rendering()
    point = figure.dpi / 72
    frame = axes.get_window_extent()
    inside = np.array([frame.x0, frame.y0, frame.x1, frame.y1])
    forbidden, avoided = (_in_pixels(axes, boxes, 3 * point) for boxes in (data, lines))
    choices, costs = [], []
    for label in labels:
        # An annotation's own extent would include its line.
        extent = Text.get_window_extent(label)
        size = np.array([extent.width, extent.height]) + 2 * PADDING * point
        offsets, gaps = _offsets(size / point)
        centres = axes.transData.transform(label.xy) + offsets * point
        boxes = np.hstack([centres - size / 2, centres + size / 2])
        area = float(np.prod(size))
        outside = area - _overlap(boxes, inside[None])[:, 0]
        cost = OUTSIDE_WEIGHT * outside + DATA_WEIGHT * _overlap(boxes, forbidden).sum(1)
        choices.append((offsets, gaps, boxes))
        costs.append((cost + LINE_WEIGHT * _overlap(boxes, avoided).sum(1)) / area + gaps)
    chosen = _settle([boxes for _, _, boxes in choices], costs)
    for label, (offsets, gaps, _), index in zip(labels, choices, chosen, strict=True):
        label.set_position(tuple(offsets[index]))
        if label.arrow_patch is not None:
            label.arrow_patch.set_visible(bool(gaps[index] > NEAR))


def _offsets(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of a label's centre from its point, and the gap of each, all in points; nearest first."""
    angles = np.pi / 4 + 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    direction = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    offsets = np.concatenate([direction * (size / 2 + gap) for gap in GAPS])
    return offsets, np.repeat(GAPS, DIRECTIONS)


def _settle(boxes: list[np.ndarray], costs: list[np.ndarray], rounds: int = 20) -> list[int]:
    chosen = [int(np.argmin(cost)) for cost in costs]
    for _ in range(rounds):
        before = list(chosen)
        for index, (own, cost) in enumerate(zip(boxes, costs, strict=True)):
            others = [boxes[n][chosen[n]] for n in range(len(boxes)) if n != index]
            area = float(np.prod(own[0, 2:] - own[0, :2]))
            covered = _overlap(own, np.array(others).reshape(-1, 4)).sum(1) / area
            chosen[index] = int(np.argmin(cost + LABEL_WEIGHT * covered))
        if chosen == before:
            break
    return chosen


def _in_pixels(axes: Axes, boxes: np.ndarray, margin: float) -> np.ndarray:
    corners = np.asarray(boxes, float).reshape(-1, 2, 2)
    pixels = axes.transData.transform(corners.reshape(-1, 2)).reshape(-1, 2, 2)
    return np.hstack([pixels.min(axis=1) - margin, pixels.max(axis=1) + margin])


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Area that each box shares with each other one, shape (boxes, others)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), axis=-1)
