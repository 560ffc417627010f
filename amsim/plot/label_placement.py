"""Puts text labels beside points so that they cover neither one another nor the data."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text

GAPS = (5.0, 8.0, 12.0, 18.0, 26.0, 36.0, 48.0, 64.0)
"""Distances tried from a point to the edge of its label, in points."""

DIRECTIONS = 24
"""Directions tried around a point."""

NEAR = 12.0
"""Gap in points up to which a label needs no line to its point."""

LABEL_WEIGHT, DATA_WEIGHT, LINE_WEIGHT, OUTSIDE_WEIGHT = 2e3, 1e3, 1e2, 1e4
"""Cost of covering other labels, data, thin lines and the area outside the axes with a whole label.

The distance from the data point costs 1 per typographic point: any free place beats one that covers data or labels.
"""

TOUCH = 0.1
"""Least cost of touching a thing, as a fraction of its weight."""

CONFUSION, FAR = 60.0, 16.0
"""Cost of touching the point of another label; falls to 0 where that point is `FAR` points farther than its own."""

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
    anchors = axes.transData.transform([label.xy for label in labels])
    choices, costs = [], []
    for number, label in enumerate(labels):
        # An annotation's own extent would include its line.
        extent = Text.get_window_extent(label)
        size = np.array([extent.width, extent.height]) + 2 * PADDING * point
        offsets, gaps = _offsets(size / point)
        centres = anchors[number] + offsets * point
        boxes = np.hstack([centres - size / 2, centres + size / 2])
        outside = 1 - _coverage(boxes, inside[None])[:, 0]
        cost = OUTSIDE_WEIGHT * outside + DATA_WEIGHT * _cost_of(_coverage(boxes, forbidden))
        others = _distance(boxes, np.delete(anchors, number, axis=0)) / point
        cost += CONFUSION * np.clip(1 - others / (gaps[:, None] + FAR), 0, None).sum(axis=1)
        choices.append((offsets, gaps, boxes))
        costs.append(cost + LINE_WEIGHT * _cost_of(_coverage(boxes, avoided)) + gaps)
    chosen = _settle([boxes for _, _, boxes in choices], costs)
    for label, (offsets, gaps, _), index in zip(labels, choices, chosen, strict=True):
        label.set_position(tuple(offsets[index]))
        if label.arrow_patch is not None:
            label.arrow_patch.set_visible(bool(gaps[index] > NEAR))


def _offsets(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of a label's centre from its point, and the gap of each, all in points; nearest first."""
    angles = np.pi / 4 + 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    direction = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Onto a square, so that a label lies along its point or corner to corner with it, whatever its shape.
    direction /= np.abs(direction).max(axis=1, keepdims=True)
    offsets = np.concatenate([direction * (size / 2 + gap) for gap in GAPS])
    return offsets, np.repeat(GAPS, DIRECTIONS)


def _settle(boxes: list[np.ndarray], costs: list[np.ndarray], rounds: int = 20) -> list[int]:
    chosen = [int(np.argmin(cost)) for cost in costs]
    for _ in range(rounds):
        before = list(chosen)
        for index, (own, cost) in enumerate(zip(boxes, costs, strict=True)):
            others = [boxes[n][chosen[n]] for n in range(len(boxes)) if n != index]
            covered = _cost_of(_coverage(own, np.array(others).reshape(-1, 4)))
            chosen[index] = int(np.argmin(cost + LABEL_WEIGHT * covered))
        if chosen == before:
            break
    return chosen


def _in_pixels(axes: Axes, boxes: np.ndarray, margin: float) -> np.ndarray:
    corners = np.asarray(boxes, float).reshape(-1, 2, 2)
    pixels = axes.transData.transform(corners.reshape(-1, 2)).reshape(-1, 2, 2)
    return np.hstack([pixels.min(axis=1) - margin, pixels.max(axis=1) + margin])


def _coverage(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Fraction of each box that covers each other one, shape (boxes, others)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.prod(np.clip(high - low, 0, None), axis=-1) / area[:, None]


def _distance(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance of each box from each point along the farther axis, shape (boxes, points)."""
    beyond = np.maximum(boxes[:, None, :2] - points, points - boxes[:, None, 2:])
    return np.clip(beyond, 0, None).max(axis=-1)


def _cost_of(covered: np.ndarray) -> np.ndarray:
    return np.sum(covered + TOUCH * (covered > 0), axis=1)
