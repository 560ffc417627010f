"""What a drawing shows: its lines, bars, labels and legend."""

from typing import Any

import numpy as np
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Annotation, Text


def large_enough(ax):
    texts = [text for text in ax.findobj(Text) if text.get_text() and text.get_visible()]
    return texts and all(text.get_fontsize() >= 8 for text in texts)


def line(ax, label) -> Any:
    return next(one for one in ax.lines if one.get_label() == label)


def means(ax) -> list[Any]:
    """Points with or without error bars, without those that are there for the legend alone."""
    return [one for one in ax.containers if isinstance(one, ErrorbarContainer) and np.size(one.lines[0].get_xdata())]


def bars(ax) -> list[Any]:
    return list(ax.patches)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def annotations(ax):
    return [text for text in ax.texts if isinstance(text, Annotation)]
