"""A chip at another word length, one for all sites or one for each."""

import dataclasses
import re
from collections.abc import Mapping

from amsim.circuits.checks import integer_between, part_of
from amsim.system.accelerator import Accelerator


def with_word_length(accelerator: Accelerator, bits: int) -> Accelerator:
    """The same accelerator with every macro at this word length of weights and inputs.

    Args:
        accelerator: The hardware.
        bits: Word length, as its macros allow.

    Returns:
        The hardware, otherwise unchanged.

    Raises:
        ValueError: A macro has no such word length.
    """
    part_of("accelerator", accelerator, Accelerator)
    integer_between("bits", bits, 1, 16)
    macros = tuple(dataclasses.replace(m, weight_bits=bits, input_bits=bits) for m in accelerator.macros)
    return dataclasses.replace(accelerator, macros=macros)


def with_word_lengths(accelerator: Accelerator, word_lengths: Mapping[str, tuple[int, int]]) -> Accelerator:
    """The accelerator with the macro of each site at word lengths of its own, such as `network.word_lengths`.

    Sites of one macro and one pair of word lengths share a macro; each further pair is a macro beside it, with an area
    of its own, also where one unit could run both in turn.

    Args:
        accelerator: The hardware.
        word_lengths: Bits of a weight and of an input by the name of the site.

    Returns:
        The hardware for these sites and no others.

    Raises:
        ValueError: No site, one that no rule of the accelerator takes, or a word length that its macro does not have,
            such as 32 for float32.
    """
    part_of("accelerator", accelerator, Accelerator)
    part_of("word_lengths", word_lengths, Mapping)
    if not word_lengths:
        raise ValueError("Argument `word_lengths` must have at least one site, but is empty.")
    sites: dict[tuple[int, int, int], list[str]] = {}
    for name, pair in word_lengths.items():
        index = accelerator.macro_for(name)
        if index is None:
            raise ValueError(
                f"Argument `word_lengths` must have sites that the rules {', '.join(accelerator.patterns)} take, but "
                f"has {name!r}."
            )
        for bits in pair:
            integer_between(f"word_lengths[{name!r}]", bits, 1, 16)
        sites.setdefault((index, *pair), []).append(name)
    return dataclasses.replace(
        accelerator,
        macros=tuple(
            dataclasses.replace(accelerator.macros[index], weight_bits=weights, input_bits=inputs)
            for index, weights, inputs in sites
        ),
        patterns=tuple("|".join(map(re.escape, names)) for names in sites.values()),
        spreads=tuple(accelerator.spreads[index] for index, *_ in sites),
    )
