"""Observations of the sites of a chip: in a plain run of its network on sample data, and in a run on the chip."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.readout import Coding, coding_name
from amsim.circuits.selection.codes import IntegerCode
from amsim.circuits.selection.ranges import select_weight_code, value_counts
from amsim.datasets.inputs import Inputs, network_arguments
from amsim.deployment.chip import Chip, deployment_of, traced_chip
from amsim.deployment.compilation import compiled
from amsim.deployment.mapping.mapper import MappedSite
from amsim.deployment.running.run import (
    Observe,
    inputs_and_matrix,
    known_range,
    observe_program,
    read_program,
    site_operands,
    value_reader,
)
from amsim.deployment.running.site_observation import SiteObservation
from amsim.deployment.site_ranges import Calibration, SiteRanges


class WeightMethod(NamedTuple):
    """Choice of the codes of weights: arguments of `amsim.circuits.selection.ranges.select_weight_code`."""

    method: str
    coverage: float
    per: str


@compiled(lambda chip, *_: chip.function)
def observed_values(chip: Chip, inputs: Inputs, weights: WeightMethod) -> dict[str, SiteObservation]:
    """Values of each site with codes: `inputs` counted, with their extremes, and the highest `weight_scale` that suits.

    `input_grid` is the factor of the grid of inputs that the run alone knows, 0 where there is none. A site with
    several weights in turn has the widest scale of those that suit them.
    """

    def observe(mapped: MappedSite, values: dict[int, Any], runs: Array) -> SiteObservation:
        site, macro = mapped.site, chip.accelerator.macros[mapped.macro]
        if macro.keeps_product:
            return SiteObservation(runs=runs)
        data = jnp.asarray(values[site.data.number], jnp.result_type(float))
        matrix = inputs_and_matrix(site, values)[1]
        known = known_range(site, site.weight, values)
        code = select_weight_code(
            matrix,
            macro.weight_bits,
            **weights._asdict(),
            known=known,
            rounding=macro.operand_rounding,
            digit_set=macro.weight_digits(known),
        )
        quantiser = site.data.quantised
        fixed = quantiser is not None and not quantiser.factor.data
        grid = known_range(site, site.data, values).scale if fixed else None
        used = jnp.any(matrix != 0, axis=0 if weights.per == "channel" else None, keepdims=True)
        return SiteObservation(
            counts={"inputs": value_counts(data)},
            lowest={"inputs": jnp.min(data)},
            highest={
                "inputs": jnp.max(data),
                "weight_scale": jnp.where(used, code.scale, 0.0),
                "input_grid": jnp.zeros(()) if grid is None else grid,
            },
            runs=runs,
        )

    return _observe_sites(chip, inputs, observe)


@compiled(lambda chip, *_: chip.function)
def observed_codes(chip: Chip, inputs: Inputs, profiles: bool = False) -> dict[str, SiteObservation]:
    """Mean squares and clipped fractions of both operands of each site with codes, and counts of its `lines`.

    With `profiles` the means of `Macro.readout_profiles` take their place, by `profile_name`.
    """

    def observe(mapped: MappedSite, values: dict[int, Any], runs: Array) -> SiteObservation:
        assert chip.calibration is not None
        site, ranges = mapped.site, chip.calibration.of(mapped.site.name)
        macro = chip.accelerator.macros[mapped.macro]
        operands = site_operands(site, ranges, values)
        means: dict[str, Array] = {}
        counts: dict[str, Array] = {}
        if ranges.inputs is not None:
            data = jnp.asarray(values[site.data.number], operands.inputs.dtype)
            means |= _coding_errors("inputs", ranges.inputs, data)
        if ranges.weights is not None:
            means |= _coding_errors("weights", ranges.weights, operands.matrix)
        if reads_lines(mapped, chip):
            codings = profiled_codings(site_codings(mapped, macro, ranges)) if profiles else ()
            for coding in codings:
                found = macro.readout_profiles(_in_digits(operands, coding))
                means |= {profile_name(coding, name): value for name, value in found.items()}
            counts |= {} if profiles else {"lines": macro.line_counts(operands)}
        return SiteObservation(means, counts, runs=runs)

    return _observe_sites(chip, inputs, observe)


@compiled(lambda chip, *_: chip.function)
def observed_lines(chip: Chip, inputs: Inputs, names: tuple[str, ...]) -> dict[str, Array]:
    """Counts of the values of the `lines` of these sites together, and averages of what their macro reports.

    Of one fused site that runs once also `shift`, the counts that put each neuron's threshold at 0.
    """

    def observe(mapped: MappedSite, values: dict[int, Any], runs: Array) -> SiteObservation:
        if mapped.site.name not in names:
            return SiteObservation(runs=runs)
        site, ranges = mapped.site, (chip.calibration or Calibration()).of(mapped.site.name)
        macro = ranges.macro(chip.accelerator.macros[mapped.macro])
        operands = site_operands(site, ranges, values)
        neuron = None if mapped.chain is None else mapped.chain.neuron(site, value_reader(values))
        means = dict(macro.report(operands, neuron=neuron))
        if neuron is not None and mapped.turns == 1 and len(names) == 1:
            means["shift"] = neuron.in_counts(macro.coded(operands)).shift(site.product.rows).ravel()
        return SiteObservation(means, {"lines": macro.line_counts(operands)}, runs=runs)

    arguments = network_arguments(inputs)
    traced = traced_chip(chip, arguments)
    observed = observe_program(traced.network, traced.arguments(arguments), observe)
    of_sites = (one for mapped, one in zip(traced.sites, observed, strict=True) if mapped.site.name in names)
    found = functools.reduce(SiteObservation.merge, of_sites)
    return {"lines": found.counts["lines"]} | found.averages()


@compiled(lambda chip, *_: chip.function)
def column_means(chip: Chip, inputs: Inputs, key: PRNGKeyArray | None) -> dict[str, Array]:
    """Average result of each column of each site on this chip, shape (columns,): see `read_program`."""
    arguments = network_arguments(inputs)
    traced = traced_chip(chip, arguments)
    # No derivative is taken of these.
    deployment = deployment_of(chip)._replace(decision_rule=None)
    return read_program(traced.network, deployment, traced.arguments(arguments), key)


def reads_lines(mapped: MappedSite, chip: Chip) -> bool:
    """Whether a site is read by converters that have a range."""
    macro = chip.accelerator.macros[mapped.macro]
    return mapped.chain is None and not macro.keeps_product and macro.readout_range is not None


def site_codings(mapped: MappedSite, macro: Macro, ranges: SiteRanges) -> tuple[Coding, ...]:
    """Digits of inputs and weights that a choice may take at a site with codes."""
    assert ranges.inputs is not None
    return macro.codings(ranges.inputs, mapped.site.fixed_range(mapped.site.weight))


def profiled_codings(codings: tuple[Coding, ...]) -> tuple[Coding, ...]:
    """Codings whose lines are observed: those of the first digits of inputs, from which lines of others follow."""
    return tuple(one for one in codings if one[0] == codings[0][0])


def profile_name(coding: Coding, name: str) -> str:
    """Name of a statistic of the lines of a site in one coding."""
    return f"{coding_name(coding)}: {name}"


def _in_digits(operands: Operands, coding: Coding) -> Operands:
    inputs, weights = operands.input_range, operands.weight_range
    assert isinstance(inputs, IntegerCode)
    assert isinstance(weights, IntegerCode)
    return dataclasses.replace(
        operands,
        input_range=dataclasses.replace(inputs, digit_set=coding[0]),
        weight_range=dataclasses.replace(weights, digit_set=coding[1]),
    )


def _coding_errors(name: str, code: IntegerCode, values: Float[Array, "..."]) -> dict[str, Array]:
    unit = jnp.max(code.scale)
    error = (code.encode(values) * code.scale - values) / unit
    return {
        f"signal_{name}": jnp.mean((values / unit) ** 2),
        f"noise_{name}": jnp.mean(error**2),
        f"clipped_{name}": code.clipped_fraction(values),
    }


def _observe_sites(chip: Chip, inputs: Inputs, observe: Observe) -> dict[str, SiteObservation]:
    arguments = network_arguments(inputs)
    traced = traced_chip(chip, arguments)
    for mapped in traced.sites:
        if mapped.site.layout.members and not chip.accelerator.macros[mapped.macro].keeps_product:
            raise ValueError(
                f"Site `{mapped.site.name}` cannot be calibrated: it has a different weight for each member of a "
                "batch. What would work: a rule that sends it to `circuits.Exact()`, or none that takes it."
            )
    observed = observe_program(traced.network, traced.arguments(arguments), observe)
    return {mapped.site.name: one for mapped, one in zip(traced.sites, observed, strict=True)}
