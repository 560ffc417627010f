"""What a network itself says before it is put on a design: the roles of its sites, and the words that it fixes."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import PyTree

from amsim.chips.designs import WORD_LENGTHS
from amsim.circuits.exact import Exact
from amsim.circuits.selection.codes import fixes_code
from amsim.circuits.selection.value_range import ValueRange
from amsim.datasets.inputs import Inputs, first_arguments
from amsim.deployment.chip import TracedChip, traced_chip
from amsim.deployment.front_door import deploy
from amsim.deployment.input_shapes import shapes_of
from amsim.deployment.mapping.mapper import MappedSite
from amsim.deployment.mapping.site_roles import SiteRoles, site_roles


class NetworkFacts(NamedTuple):
    """What a network says without hardware.

    Attributes:
        roles: Sites that the data feed, and last ones.
        bits: Smallest word length of `WORD_LENGTHS` at which the program fixes the words of all weights and inputs;
            None where it leaves some open, which a calibration has to choose.
    """

    roles: SiteRoles
    bits: int | None


def network_facts(fn: Callable[..., Any], params: PyTree, inputs: Inputs) -> NetworkFacts:
    """Facts of a network, from its program for one item.

    Args:
        fn: Network.
        params: Its parameters.
        inputs: Items of its data.
    """
    return facts_of(traced_chip(deploy(fn, params, Exact()), shapes_of(first_arguments(inputs, 1))))


def facts_of(traced: TracedChip) -> NetworkFacts:
    """Facts of a network from its program on exact products."""
    bits = (one for one in WORD_LENGTHS if all(_fixes(mapped, one) for mapped in traced.sites))
    return NetworkFacts(site_roles(traced.network), next(bits, None))


def _fixes(mapped: MappedSite, bits: int) -> bool:
    ranges = [mapped.site.fixed_range(value) for value in (mapped.site.data, mapped.site.weight)]
    return all(_is_sign(one) if bits == 1 else fixes_code(one, bits) for one in ranges)


def _is_sign(known: ValueRange) -> bool:
    """Whether values are known to be -1 and 1 times a factor, as those of a sign are."""
    return known.words == (-1, 1)
