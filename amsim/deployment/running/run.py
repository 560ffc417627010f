"""Runs a mapped program: macro products and fused neurons at their sites, plain JAX everywhere else."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from amsim.circuits.contract.macro import Die, Macro
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import over_columns
from amsim.circuits.selection.codes import Coding
from amsim.circuits.selection.value_range import ValueRange
from amsim.deployment.mapping.decisions import Decision
from amsim.deployment.mapping.mapper import MappedProgram, MappedSite
from amsim.deployment.mapping.sites import Site
from amsim.deployment.running.control_flow import Tallies, Turns, run_bodies
from amsim.deployment.running.decision_rules import decided_value, has_slope, kept_sign_value, sign_value
from amsim.deployment.running.site_observation import SiteObservation
from amsim.deployment.site_ranges import Calibration, SiteRanges
from amsim.deployment.tracing.plain_step import plain_results
from amsim.deployment.tracing.steps import Program, Step, Value
from amsim.noise.item_keys import member_keys


class Deployment(NamedTuple):
    """Hardware that the sites of a program run on.

    Attributes:
        macros: The macros.
        dies: A die for each macro, or None for the nominal one.
        calibration: Choices for the sites.
        decision_rule: Derivative of the decisions of fused neurons; None is the network's own.
    """

    macros: Sequence[Macro]
    dies: Sequence[Die]
    calibration: Calibration
    decision_rule: str | None

    def prepared(self) -> "Deployment":
        """The same with dies in the form that many reads use."""
        pairs = zip(self.macros, self.dies, strict=True)
        return self._replace(dies=[macro.prepare(die) for macro, die in pairs])


Observe = Callable[[MappedSite, dict[int, Any], Array], SiteObservation]
"""Function from a site, the values of one run by number and the products that the run does to its observation."""


def run_program(
    network: MappedProgram, deployment: Deployment, arguments: Sequence[Any], key: PRNGKeyArray | None
) -> list[Any]:
    """Outputs of a program on macros.

    Args:
        network: The program and its sites.
        deployment: The macros and their dies.
        arguments: Parameter leaves and inputs.
        key: Draws the dynamic noise; None is no dynamic noise. Each turn of a loop is a read of its own.
    """
    return _run_on_macros(network, deployment, arguments, key)[0]


def read_program(
    network: MappedProgram, deployment: Deployment, arguments: Sequence[Any], key: PRNGKeyArray | None
) -> dict[str, Array]:
    """Average result of each column: the decision, -1 or +1, of a fused neuron, else the number read.

    Arguments as those of `run_program`. By site, each of shape (columns,); plain products are left out.
    """
    tallies = _run_on_macros(network, deployment, arguments, key, counting=True)[1]
    names = {_result(mapped).number: mapped.site.name for mapped in network.sites}
    return {names[number]: tally.averages()["read"] for number, tally in tallies.items()}


def _run_on_macros(
    network: MappedProgram,
    deployment: Deployment,
    arguments: Sequence[Any],
    key: PRNGKeyArray | None,
    counting: bool = False,
) -> tuple[list[Any], Tallies]:
    """Outputs, and while counting the mean `read` of each column of each site."""
    keys = None if key is None else jax.random.split(key, len(network.sites) or 1)
    # Once for all sites, and outside loops.
    deployment = deployment.prepared()
    results = {_result(mapped).number: (index, mapped) for index, mapped in enumerate(network.sites)}
    replaced = {number for mapped in network.sites for number in _replaced_numbers(mapped)}
    by_rule = {} if deployment.decision_rule is None else _steps_by_rule(network)

    def run(
        program: Program, arguments: Sequence[Any], turns: Turns, outside: Mapping[int, Any]
    ) -> tuple[list[Any], Tallies]:
        values = _start(program, arguments, outside)
        tallies: Tallies = {}
        for step in program.steps:
            number = step.outputs[0].number if step.outputs else -1
            if number in results:
                index, mapped = results[number]
                site_key = None if keys is None else functools.reduce(jax.random.fold_in, turns, keys[index])
                values[number], read = _on_macro(mapped, deployment, values, site_key)
                if counting and read is not None:
                    means = {"read": _column_mean(mapped, read)}
                    tallies[number] = SiteObservation(means, runs=jnp.ones((), jnp.result_type(float)))
            elif number in by_rule:
                result, one = by_rule[number]
                values[number] = result(one, values)
            elif step.bodies:
                tallies |= run_bodies(
                    step, values, functools.partial(run, outside=values), turns, results if counting else ()
                )
            elif number not in replaced:
                _plain(step, values)
        return [values[value.number] for value in program.outputs], tallies

    return run(network.program, arguments, (), {})


def report_program(network: MappedProgram, deployment: Deployment, arguments: Sequence[Any]) -> list[SiteObservation]:
    """Activity and clipping of each site over its runs, as means; from a plain run of the network."""

    def report(mapped: MappedSite, values: dict[int, Any], runs: Array) -> SiteObservation:
        return SiteObservation(_report(mapped, deployment, values), runs=runs)

    return observe_program(network, arguments, report)


def observe_program(network: MappedProgram, arguments: Sequence[Any], observe: Observe) -> list[SiteObservation]:
    """Observation of each site over its runs in a plain run of the network.

    Args:
        network: The program and its sites.
        arguments: Parameter leaves and inputs.
        observe: Observes one run of a site.
    """
    sites = {mapped.site.step.outputs[0].number: mapped for mapped in network.sites}

    def run(
        program: Program, arguments: Sequence[Any], turns: Turns, outside: Mapping[int, Any]
    ) -> tuple[list[Any], Tallies]:
        values = _start(program, arguments, outside)
        tallies: Tallies = {}
        for step in program.steps:
            number = step.outputs[0].number if step.outputs else -1
            if step.bodies:
                tallies |= run_bodies(step, values, functools.partial(run, outside=values), turns, sites)
            else:
                _plain(step, values)
            if number in sites:
                runs = jnp.asarray(sites[number].site.members, jnp.result_type(float))
                tallies[number] = observe(sites[number], values, runs)
        return [values[value.number] for value in program.outputs], tallies

    tallies = run(network.program, arguments, (), {})[1]
    return [tallies[number] for number in sites]


def _report(mapped: MappedSite, deployment: Deployment, values: dict[int, Any]) -> dict[str, Any]:
    site, ranges = mapped.site, deployment.calibration.of(mapped.site.name)
    operands = site_operands(site, ranges, values)

    def report(inputs: Array, matrix: Array) -> dict[str, Array]:
        found = ranges.macro(deployment.macros[mapped.macro]).report(
            dataclasses.replace(operands, inputs=inputs, matrix=matrix),
            neuron=None if mapped.chain is None else mapped.chain.neuron(site, value_reader(values)),
        )
        return {name: jnp.asarray(value, jnp.result_type(float)) for name, value in found.items()}

    for _ in site.layout.members:
        report = jax.vmap(report)
    return jax.tree.map(jnp.sum, report(operands.inputs, operands.matrix))


def _start(program: Program, arguments: Sequence[Any], outside: Mapping[int, Any]) -> dict[int, Any]:
    # What stands outside a loop holds the steps of grids inside it.
    values = dict(outside) | program.constants
    values |= {value.number: argument for value, argument in zip(program.inputs, arguments, strict=True)}
    return values


def _result(mapped: MappedSite) -> Value:
    return mapped.site.step.outputs[0] if mapped.chain is None else mapped.chain.result


def _replaced_numbers(mapped: MappedSite) -> list[int]:
    if mapped.chain is None:
        return []
    return [mapped.site.step.outputs[0].number, *(step.outputs[0].number for step in mapped.chain.steps)]


def value_reader(values: dict[int, Any]) -> Any:
    """Function from a value of the program to its array in this run."""
    return lambda value: values[value.number]


def _steps_by_rule(network: MappedProgram) -> dict[int, tuple[Callable[..., Array], Decision]]:
    """Steps after fused neurons that take the rule's derivative, by the number of their result."""
    chains = [mapped.chain for mapped in network.sites if mapped.chain is not None and mapped.chain.threshold is None]
    steps = [(kept_sign_value, one) for chain in chains for one in chain.kept]
    steps += [(sign_value, one) for chain in chains for one in chain.decisions]
    return {one.step.outputs[0].number: (result, one) for result, one in steps if has_slope(one)}


def _on_macro(
    mapped: MappedSite, deployment: Deployment, values: dict[int, Any], key: PRNGKeyArray | None
) -> tuple[Array, Array | None]:
    """The value that the network goes on with, and what the macro read, columns last: sums, or margins of decisions."""
    site, ranges = mapped.site, deployment.calibration.of(mapped.site.name)
    macro, die, rule = deployment.macros[mapped.macro], deployment.dies[mapped.macro], deployment.decision_rule
    if macro.keeps_product:
        _plain(site.step, values)
        return values[site.step.outputs[0].number], None
    operands = site_operands(site, ranges, values)
    macro = ranges.macro(macro)
    if mapped.chain is None:
        sums = _multiplied(macro, site.layout.members, bool(site.weight.data), operands, die, key)
        if ranges.offset is not None:
            sums = sums + over_columns(ranges.offset, sums.ndim).astype(sums.dtype)
        return site.layout.result(sums).astype(site.step.dtype), sums
    neuron = dataclasses.replace(mapped.chain.neuron(site, value_reader(values)), tuning=ranges.tuning)
    if rule is None or mapped.chain.threshold is not None:
        read = margins = _margin(macro, operands, neuron, die, key)
    else:
        read = macro.margin(operands, neuron, die=die, key=key)
        margins = decided_value(rule, read, macro, operands, neuron, die)
    margins = site.layout.result(margins)
    value = mapped.chain.result_from_margins(margins, value_reader(values)).astype(
        (site.step, *mapped.chain.steps)[-1].dtype
    )
    return value, read


def _column_mean(mapped: MappedSite, read: Array) -> Array:
    given = read if mapped.chain is None else jnp.where(read >= 0, 1.0, -1.0)
    return jnp.mean(given, axis=tuple(range(given.ndim - 1)), dtype=jnp.result_type(float))


# Sites of equal shape are traced once; the compiler sees through these calls.
@eqx.filter_jit
def _multiplied(
    macro: Macro, members: tuple[int, ...], of_items: bool, operands: Operands, die: Die, key: PRNGKeyArray | None
) -> Array:
    def multiply(inputs: Array, matrix: Array, key: PRNGKeyArray | None) -> Array:
        return macro.multiply(dataclasses.replace(operands, inputs=inputs, matrix=matrix), die=die, key=key)

    # Each member of the batch axes is a read of its own, one after the other on the same die.
    for _ in members:
        multiply = jax.vmap(multiply, (0, 0, None if key is None else 0))
    keys = member_keys(key, members, of_items=of_items) if key is not None and members else key
    return multiply(operands.inputs, operands.matrix, keys)


@eqx.filter_jit
def _margin(macro: Macro, operands: Operands, neuron: Neuron, die: Die, key: PRNGKeyArray | None) -> Array:
    return macro.margin(operands, neuron, die=die, key=key)


def site_operands(site: Site, ranges: SiteRanges, values: dict[int, Any]) -> Operands:
    """Operands of a site, coded as was chosen for it, or else by what is known of their ranges."""
    inputs, matrix = inputs_and_matrix(site, values)
    input_range: Coding = known_range(site, site.data, values).of_code if ranges.inputs is None else ranges.inputs
    weight_range: Coding = known_range(site, site.weight, values).of_code if ranges.weights is None else ranges.weights
    return Operands(site.product, inputs, matrix, input_range, weight_range)


def known_range(site: Site, value: Value, values: dict[int, Any]) -> ValueRange:
    """What is known of an operand of a site, in the form that the macro takes.

    Args:
        site: The site.
        value: Which of its operands.
        values: Values of this run by number.
    """
    fixed = site.fixed_range(value)
    if value.quantised is None or fixed is value.range:
        return fixed
    factors = jnp.asarray(values[value.quantised.factor.number], jnp.result_type(float))
    if factors.size == 1:
        return fixed._replace(scale=factors.reshape(()))
    return fixed._replace(scale=site.layout.matrix(jnp.broadcast_to(factors, value.shape)))


def inputs_and_matrix(site: Site, values: dict[int, Any]) -> tuple[Array, Array]:
    """Operands of a site as its macro takes them, from the values by number."""
    dtype = jnp.result_type(float)  # a shorter word does not hold every count
    inputs = site.layout.inputs(jnp.asarray(values[site.data.number], dtype))
    return inputs, site.layout.matrix(jnp.asarray(values[site.weight.number], dtype))


def _plain(step: Step, values: dict[int, Any]) -> None:
    results = plain_results(step, values)
    values |= {value.number: found for value, found in zip(step.outputs, results, strict=True)}
