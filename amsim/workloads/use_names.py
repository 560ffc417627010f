"""Names of the uses of a layer: `tower` and `tower#2` are two products with one weight.

`tower` alone stands for the layer, with all its uses. Each use is shown as `tower`, `tower#2`, `tower#3`, and may be
named on its own; the first of them is then `tower#1`.
"""

import re

ACTIVATIONS = "activations"
"""Name of a product of two activations; `activations#2` is another product, not another use of a layer."""

USE_MARK = "#"
"""Stands between the name of a layer and the number of the use."""


def use_name(layer: str, number: int) -> str:
    """Name of a use of a layer, counted from 1."""
    return layer if number == 1 else f"{layer}{USE_MARK}{number}"


def layer_of(site: str) -> str:
    """Name of the layer of which a site is a use."""
    layer, mark, number = site.rpartition(USE_MARK)
    return layer if mark and layer != ACTIVATIONS and number.isdecimal() else site


def known_as(site: str) -> tuple[str, ...]:
    """Names that stand for a site: those of its own first, and last that of its layer."""
    layer = layer_of(site)
    if layer != site:
        return site, layer
    return (site,) if site.partition(USE_MARK)[0] == ACTIVATIONS else (f"{site}{USE_MARK}1", site)


def names_use(pattern: str, site: str) -> bool:
    """Whether a pattern matches a site by its own name: as it is shown or, of a first use, with its number."""
    return bool(re.fullmatch(pattern, site)) or pattern.replace("\\", "") == known_as(site)[0]
