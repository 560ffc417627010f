"""Assignment of each product of a network to a macro and its readout, or the reason why it stays digital."""

import math
from collections import Counter
from typing import NamedTuple

from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.work import Work
from amsim.circuits.selection.codes import DigitSet, IntegerCode, digits_of, fixes_code
from amsim.deployment.mapping.neurons import Consumers, NeuronChain, find_chain
from amsim.deployment.mapping.site_names import SiteNames
from amsim.deployment.mapping.site_table import CODING, FROM_DATA, SiteRow, SiteTable
from amsim.deployment.mapping.sites import (
    Site,
    UnmappableError,
    chosen_operand,
    loaded_operand,
    site_of,
    weight_operand,
    weights_inside,
)
from amsim.deployment.tracing.flattening import is_chip
from amsim.deployment.tracing.inner_products import products_inside
from amsim.deployment.tracing.primitives import PRODUCTS
from amsim.deployment.tracing.steps import Enclosure, Program, Step
from amsim.system.accelerator import Accelerator
from amsim.workloads.use_names import ACTIVATIONS

TWO_ACTIVATIONS = "product of two values that depend on data: stays digital"
WITH_CONSTANT = "product with a constant of `fn`, which is not a parameter: stays digital"
"""Products without a weight, as the site table counts them."""

RULE_REPLACED = "custom derivative around a product: replaced by that of the macro"
"""Calls whose rule is not in force, as the site table counts them."""


class DeploymentError(ValueError):
    """A network cannot be deployed on this hardware; the text names the site and says what would work."""


class Share(NamedTuple):
    """Share of one inference in a site.

    Attributes:
        work: Work of a run.
        runs: Runs.
        real: Fraction of their work that is not padding.
    """

    work: Work
    runs: int
    real: float


class MappedSite(NamedTuple):
    """A site on a macro.

    Attributes:
        site: The site.
        macro: Index of its macro in the accelerator.
        chain: The neuron it is fused with, or None when the product is read as a number.
        enclosures: Loops and branches around it, the outermost first.
        weight_slices: Different weights that its runs use in turn, as in a scan over stacked layers.
        not_decided: Why it is read as a number on a macro that has comparators too; empty elsewhere.
    """

    site: Site
    macro: int
    chain: NeuronChain | None
    enclosures: tuple[Enclosure, ...] = ()
    weight_slices: int = 1
    not_decided: str = ""

    def digit_sets(self, macro: Macro) -> tuple[DigitSet, DigitSet]:
        """Digits of inputs and weights that a macro chooses by what is known of them.

        Raises:
            ValueError: The macro is built for digits that an operand cannot have.
        """
        inputs, weights = (self.site.fixed_range(value).of_code for value in (self.site.data, self.site.weight))
        return macro.input_digits(inputs), macro.weight_digits(weights)

    def weight_columns(self, macro: Macro, code: IntegerCode | None) -> int:
        """Columns side by side of a weight on its macro, with the code that a calibration chose, if any."""
        return digits_of(macro.weight_bits, self.digit_sets(macro)[1] if code is None else code.digit_set)

    @property
    def turns(self) -> int:
        """Products by all scans around it and all members of its batch axes."""
        return self.site.members * math.prod(one.turns for one in self.enclosures if one.turns is not None)

    @property
    def runs_by_data(self) -> bool:
        """Whether data decide how often it runs."""
        return any(one.turns is None for one in self.enclosures)

    def share(self, inferences: int) -> Share:
        """Share of one of so many inferences that the inputs hold.

        A scan may step through a batch of `inferences`, so that a run holds only a part of it, and not always the same.
        """
        together, vectors = inferences, self.site.vectors
        if self.turns > 1 and vectors % inferences:
            together = math.gcd(vectors, inferences)
        work, runs = self.site.work(together), max(self.turns * together // inferences, 1)
        real = self.turns * vectors / (inferences * runs * work.positions) if self.turns > 1 else 1.0
        return Share(work, runs, real)


class MappedProgram(NamedTuple):
    """A program and where its products with a weight land.

    Attributes:
        program: The flat program.
        sites: The products on macros, in the order in which they are found.
        table: One row for each, and for those that stay digital.
    """

    program: Program
    sites: tuple[MappedSite, ...]
    table: SiteTable


def map_program(program: Program, accelerator: Accelerator, leaf_names: list[str]) -> MappedProgram:
    """Assign every site to its macro.

    Raises:
        DeploymentError: No site at all, a rule that matches no site, or a site that its macro cannot do.
    """
    mapper = _Mapper(accelerator, SiteNames(program, leaf_names))
    mapper.map(program)
    _check_found(mapper.sites, mapper.rows, accelerator, mapper.used)
    return MappedProgram(program, tuple(mapper.sites), SiteTable(mapper.rows, mapper.others))


def lasting_rules(network: MappedProgram, decision_rule: str | None) -> set[int]:
    """`id` of each call with a site inside whose custom derivative can stay in force.

    It cannot where a neuron is fused across the end of the call, where another derivative of decisions is asked for, or
    where the call also returns a weight.
    """
    lasting: set[int] = set()
    broken: set[int] = set()
    for region in network.program.regions:
        leaving = {value.number for value in region.results}
        broad = any(
            mapped.site.step.outputs[0].number in region.numbers
            and (decision_rule is not None or _is_outside(mapped.chain.result.number, region.numbers, leaving))
            for mapped in network.sites
            if mapped.chain is not None
        )
        lasts = not broad and region.gives_data
        (lasting if lasts else broken).add(id(region.equation))
    return lasting - broken


def _is_outside(number: int, inside: range, leaving: set[int]) -> bool:
    return number not in inside or number in leaving


class _Mapper:
    """Sites and table of a program, in the order of its steps, with those inside loops and branches."""

    def __init__(self, accelerator: Accelerator, names: SiteNames) -> None:
        self.accelerator = accelerator
        self.names = names
        self.sites: list[MappedSite] = []
        self.rows: list[SiteRow] = []
        self.used: set[int | None] = set()
        self.others: Counter[str] = Counter()

    def map(self, program: Program) -> None:
        consumers = Consumers(program)
        for step in program.steps:
            for body in step.bodies:
                self.map(body)
            for weight in () if step.bodies else weights_inside(step, self.accelerator.activation_products):
                name = self.names.of(weight) if weight else self.names.unique(ACTIVATIONS)
                inside = "a chip of its own" if is_chip(step.equation) else f"a `{step.primitive}`"
                self.rows.append(_digital_row(name, step, program, f"it is inside {inside}"))
                self.used.add(self.accelerator.macro_for(name))
            if step.primitive in PRODUCTS:
                self._product(step, program, consumers)
            elif not (step.bodies or self.accelerator.activation_products or is_chip(step.equation)):
                products = products_inside(step.equation, step.inputs, of_activations=True)
                self.others[TWO_ACTIVATIONS] += sum(not weights for weights in products)

    def _product(self, step: Step, program: Program, consumers: Consumers) -> None:
        operand = weight_operand(step)
        chosen = chosen_operand(step) if operand is None else None
        if chosen is not None:
            name = self.names.of(step.inputs[chosen].params)
            self.rows.append(
                _digital_row(
                    name,
                    step,
                    program,
                    "data decide which weight it takes, or the loop that makes its weight takes data",
                )
            )
            self.used.add(self.accelerator.macro_for(name))
        elif operand is not None:
            self._site(step, operand, program, consumers)
        elif self.accelerator.activation_products and (loaded := loaded_operand(step)) is not None:
            self._site(step, loaded, program, consumers)
        elif any(value.data for value in step.inputs[:2]):
            self.others[TWO_ACTIVATIONS if all(value.data for value in step.inputs[:2]) else WITH_CONSTANT] += 1

    def _site(self, step: Step, operand: int, program: Program, consumers: Consumers) -> None:
        params, loaded = step.inputs[operand].params, step.inputs[operand].data
        name = self.names.unique(ACTIVATIONS) if loaded else self.names.of(params)
        index = self.accelerator.macro_for(name)
        if index is None:
            self.rows.append(_digital_row(name, step, program, "no rule matches its name"))
            return
        self.used.add(index)
        try:
            site = site_of(name, step, operand)
        except UnmappableError as error:
            self.rows.append(_digital_row(name, step, program, str(error)))
            return
        macro = self.accelerator.macros[index]
        mapped = _place(site, index, macro, consumers)._replace(
            enclosures=program.enclosures,
            weight_slices=site.members if loaded else _weight_slices(site, self.names.size(params)),
        )
        self.sites.append(mapped)
        self.rows.append(_macro_row(mapped, macro))


def _weight_slices(site: Site, leaf_size: int) -> int:
    """Number of different weights of a site; where data decide the number of turns, as many as its leaf holds."""
    loops = [loop.turns for loop in site.weight.loops]
    known = [turns for turns in loops if turns is not None]
    words = math.prod(site.weight.shape)
    slices = math.prod(known) if len(known) == len(loops) else max(leaf_size // max(words, 1), 1)
    return slices * max(site.members, 1)


def _place(site: Site, index: int, macro: Macro, consumers: Consumers) -> MappedSite:
    if macro.keeps_product:
        return MappedSite(site, index, None)
    reason = f"{type(macro).__name__} has no comparator readout"
    try:
        if macro.decides:
            macro.check_neuron(site.product)
            several = "its weight has batch axes, a different weight for each member of a batch"
            chain = several if site.layout.members else find_chain(site, consumers)
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
    return MappedSite(site, index, None, not_decided=reason if macro.decides else "")


def _macro_row(mapped: MappedSite, macro: Macro) -> SiteRow:
    site = mapped.site
    read = mapped.not_decided and f"read as a number, not decided by the comparators: {mapped.not_decided.rstrip('.')}."
    return SiteRow(
        name=site.name,
        operation=site.step.primitive,
        rows=site.product.rows,
        columns=site.product.columns,
        tiles=macro.tiles(site.product),
        macro=type(macro).__name__,
        line_rows=macro.for_product(site.product).line_rows,
        readout="number" if mapped.chain is None else "comparator",
        reading=None if mapped.chain is not None or macro.reading == "exact" else macro.reading,
        weight_bits=macro.weight_bits,
        input_bits=macro.input_bits,
        coding=_coding(mapped, macro),
        input_range=_input_range(site, macro),
        inside=_inside(mapped.enclosures),
        note=" ".join(filter(None, (read, macro.mapping_note(site.product)))) or None,
    )


def _coding(mapped: MappedSite, macro: Macro) -> str | None:
    """Digits of inputs and weights; None on a macro that computes with whole words."""
    if not macro.digit_cells:
        return None
    try:
        return CODING.format(*mapped.digit_sets(macro))
    except ValueError as error:
        raise DeploymentError(f"Site `{mapped.site.name}` does not suit {type(macro).__name__}: {error}") from None


def _input_range(site: Site, macro: Macro) -> str:
    """Range of the inputs that the program fixes for this macro, in steps where only the run knows their size."""
    data, known = site.data, site.fixed_range(site.data)
    if known.low is None or known.high is None or not fixes_code(known, macro.input_bits):
        return FROM_DATA
    if data.quantised is None:
        return f"{known.low:g} to {known.high:g}"
    assert known.words is not None
    return f"{known.words[0]} to {known.words[1]} steps"


def _digital_row(name: str, step: Step, program: Program, reason: str) -> SiteRow:
    inside = _inside(program.enclosures)
    return SiteRow(name, step.primitive, inside=inside, reason=f"stays digital: {reason}")


def _inside(enclosures: tuple[Enclosure, ...]) -> str:
    return ", ".join(map(str, enclosures))


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
