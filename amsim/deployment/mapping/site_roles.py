"""Roles of the sites of a network: those fed by its data alone, and those behind which no other site lies."""

from collections.abc import Iterator
from typing import NamedTuple

from amsim.deployment.mapping.mapper import MappedProgram
from amsim.deployment.tracing.steps import Program


class SiteRoles(NamedTuple):
    """Names of sites by role; a site may have both.

    Attributes:
        first: Sites that no other site lies before.
        last: Sites that no other site lies behind.
    """

    first: tuple[str, ...]
    last: tuple[str, ...]


def site_roles(network: MappedProgram) -> SiteRoles:
    """Roles of the sites of a mapped program, by the flow of its values; those inside loops and branches have none.

    Args:
        network: The program and its sites.
    """
    names = {mapped.site.step.outputs[0].number: mapped.site.name for mapped in network.sites}
    before: dict[str, frozenset[str]] = {}
    behind: dict[int, frozenset[str]] = {}
    for step in network.program.steps:
        read = frozenset[str]().union(*(behind.get(value.number, frozenset()) for value in step.inputs))
        for body in step.bodies:
            inside = frozenset(_sites_inside(body, names))
            read |= inside
        own = names.get(step.outputs[0].number) if step.outputs else None
        if own is not None:
            before[own] = read
            read |= {own}
        behind |= {value.number: read for value in step.outputs}
    passed = frozenset[str]().union(*before.values())
    last = (name for name in before if name not in passed)
    return SiteRoles(tuple(name for name, read in before.items() if not read), tuple(last))


def _sites_inside(program: Program, names: dict[int, str]) -> Iterator[str]:
    for step in program.steps:
        if step.outputs and step.outputs[0].number in names:
            yield names[step.outputs[0].number]
        for body in step.bodies:
            yield from _sites_inside(body, names)
