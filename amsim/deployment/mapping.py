"""Where each product of a network lands: on which macro, read how, or why it stays digital."""

import io
import math
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from amsim.accelerator import Accelerator
from amsim.circuits.macro import Macro
from amsim.deployment.neurons import Consumers, NeuronChain, find_chain
from amsim.deployment.program import PRODUCTS, Program, Step, products_inside
from amsim.deployment.sites import Site, UnmappableError, site_of, weight_operand


class DeploymentError(ValueError):
    """A network cannot be deployed on this hardware; the text names the site and says what would work."""


class MappedSite(NamedTuple):
    """A site on a macro.

    Attributes:
        site: The site.
        macro: Index of its macro in the accelerator.
        chain: The neuron it is fused with, or None when the product is read as a number.
    """

    site: Site
    macro: int
    chain: NeuronChain | None


class SiteRow(NamedTuple):
    """One line of the site table; `readout` is comparator, number or - for what stays digital."""

    name: str
    operation: str
    rows: int
    columns: int
    tiles: int
    macro: str
    readout: str
    weight_bits: int
    input_bits: int
    input_range: str
    reason: str


class SiteTable(tuple[SiteRow, ...]):
    """What landed where, and what did not and why; prints as a table."""

    def __str__(self) -> str:
        """The table as text."""
        console = Console(width=160, record=True, file=io.StringIO(), force_jupyter=False)
        table = Table(box=None)
        for field in SiteRow._fields:
            table.add_column(field.replace("_", " "), overflow="fold")
        for row in self:
            table.add_row(*map(str, row))
        console.print(table)
        return console.export_text().rstrip()

    __repr__ = __str__


class Mapping(NamedTuple):
    """All products of a program that involve a weight.

    Attributes:
        sites: Those on macros, by number of the value their product writes.
        table: One row for each, and for those that stay digital.
    """

    sites: tuple[MappedSite, ...]
    table: SiteTable


def map_program(program: Program, accelerator: Accelerator, leaf_names: list[str]) -> Mapping:
    """Assign every site to its macro.

    Raises:
        DeploymentError: No site at all, a rule that matches no site, or a site that its macro cannot do.
    """
    consumers, names = Consumers(program), _Names(program, leaf_names)
    sites: list[MappedSite] = []
    rows: list[SiteRow] = []
    used: set[int | None] = set()
    for step in program.steps:
        for weight in _weights_inside(step):
            name = names.of(weight)
            rows.append(_digital(name, step.primitive, f"it is inside a `{step.primitive}`"))
            used.add(accelerator.macro_for(name))
        operand = weight_operand(step) if step.primitive in PRODUCTS else None
        if operand is None:
            continue
        name = names.of(step.inputs[operand].params)
        index = accelerator.macro_for(name)
        if index is None:
            rows.append(_digital(name, step.primitive, "no rule matches its name"))
            continue
        used.add(index)
        try:
            site = site_of(name, step, operand)
        except UnmappableError as error:
            rows.append(_digital(name, step.primitive, str(error)))
            continue
        mapped = _place(site, index, accelerator.macros[index], consumers)
        sites.append(mapped)
        rows.append(_row(mapped, accelerator.macros[index]))
    _check_found(sites, rows, accelerator, used)
    return Mapping(tuple(sites), SiteTable(rows))


def _place(site: Site, index: int, macro: Macro, consumers: Consumers) -> MappedSite:
    if macro.keeps_product:
        return MappedSite(site, index, None)
    reason = f"{type(macro).__name__} has no comparator readout"
    try:
        if macro.decides:
            macro.check_neuron(site.product)
            chain = find_chain(site, consumers)
            if isinstance(chain, NeuronChain):
                return MappedSite(site, index, chain)
            reason = chain
        elif not macro.reads_numbers:
            macro.check_neuron(site.product)
    except ValueError as error:
        reason = str(error)
    if not macro.reads_numbers:
        longer = f"a macro with at least {site.product.rows} rows, " if site.product.rows > macro.rows else ""
        raise DeploymentError(
            f"Site `{site.name}` cannot be a decision of {type(macro).__name__}, which has a comparator readout only: "
            f"{reason.rstrip('.')}. What would work: an ADC readout (argument `adc`), {longer}or a rule that sends "
            "this site to a macro that reads numbers."
        )
    try:
        macro.tiles(site.product)
    except ValueError as error:
        raise DeploymentError(f"Site `{site.name}` does not fit {type(macro).__name__}: {error}") from None
    return MappedSite(site, index, None)


def _row(mapped: MappedSite, macro: Macro) -> SiteRow:
    site = mapped.site
    known = site.data.range
    limits = "from data" if known.limit is None else f"{known.low:g} to {known.high:g}"
    return SiteRow(
        name=site.name,
        operation=site.step.primitive,
        rows=site.product.rows,
        columns=site.product.columns,
        tiles=macro.tiles(site.product),
        macro=type(macro).__name__,
        readout="number" if mapped.chain is None else "comparator",
        weight_bits=macro.weight_bits,
        input_bits=macro.input_bits,
        input_range=limits,
        reason="",
    )


def _digital(name: str, operation: str, reason: str) -> SiteRow:
    return SiteRow(name, operation, 0, 0, 0, "-", "-", 0, 0, "-", f"stays digital: {reason}")


def _check_found(sites: list[MappedSite], rows: list[SiteRow], accelerator: Accelerator, used: set[int | None]) -> None:
    if not sites and not rows:
        raise DeploymentError(
            "Argument `fn` has no product of a parameter with an input: nothing to put on a macro. Weights must come "
            "in through `params`, not through a closure."
        )
    for index, pattern in enumerate(accelerator.patterns):
        if index not in used and pattern != ".*":
            names = ", ".join(sorted({row.name for row in rows}))
            raise DeploymentError(
                f"Rule {pattern!r} of argument `hardware` is the first to match none of the sites {names}."
            )


class _Names:
    """Names of sites: the module path of the weight, made unique."""

    def __init__(self, program: Program, leaf_names: list[str]) -> None:
        self.leaf_names = leaf_names
        self.sizes = [math.prod(value.shape) for value in program.inputs]
        self.given: dict[str, int] = {}
        leaves = {self._leaf(weight) for step in program.steps for weight in _weights(step)}
        modules = [self._module(leaf) for leaf in leaves]
        # Two weights of one module keep their own names.
        self.shared = {module for module in modules if modules.count(module) > 1}

    def of(self, weight: frozenset[int]) -> str:
        leaf = self._leaf(weight)
        module = self._module(leaf)
        name = self.leaf_names[leaf] if module in self.shared else module
        self.given[name] = self.given.get(name, 0) + 1
        return name if self.given[name] == 1 else f"{name}#{self.given[name]}"

    def _leaf(self, leaves: frozenset[int]) -> int:
        # A quantised or normalised weight depends on several leaves: the weight is the largest.
        return max(sorted(leaves), key=self.sizes.__getitem__)

    def _module(self, leaf: int) -> str:
        name = self.leaf_names[leaf]
        return name.rpartition(".")[0] or name


def _weights(step: Step) -> list[frozenset[int]]:
    """Parameter leaves of the weight of every product that a step is or holds."""
    operand = weight_operand(step) if step.primitive in PRODUCTS else None
    return _weights_inside(step) if operand is None else [step.inputs[operand].params]


def _weights_inside(step: Step) -> list[frozenset[int]]:
    products = products_inside(step.equation, step.inputs)
    return [frozenset().union(*(step.inputs[index].params for index in weights)) for weights in products]
