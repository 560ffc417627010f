"""Parts of parameters that the weights of layers are made of, each stored once for each word length."""

from collections.abc import Mapping, Sequence

Parts = Mapping[str, int]
"""Words of each part, by its name."""


def first_stored(parts: Sequence[Parts], word_lengths: Sequence[int] | None = None) -> list[dict[str, int]]:
    """Parts that each layer is the first to store; those of another word length are other words.

    Args:
        parts: Parts of each layer, in order.
        word_lengths: Bits of a weight of each layer; None where all are alike.
    """
    seen: set[tuple[str, int]] = set()
    found = []
    for of_layer, length in zip(parts, word_lengths or [0] * len(parts), strict=True):
        found.append({name: words for name, words in of_layer.items() if (name, length) not in seen})
        seen |= {(name, length) for name in of_layer}
    return found
