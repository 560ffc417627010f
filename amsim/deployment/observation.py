"""What the sites of a chip see while the plain network runs on sample data, and what they give on the chip itself."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.selection.codes import IntegerCode
from amsim.circuits.selection.ranges import select_weight_code, value_counts
from amsim.deployment.chip import Chip, deployment_of, traced_chip
from amsim.deployment.mapping.mapper import MappedSite
from amsim.deployment.running.control_flow import Largest
from amsim.deployment.running.run import inputs_and_matrix, read_program, site_operands, tally_program, value_reader
from amsim.deployment.site_ranges import Calibration


class WeightMethod(NamedTuple):
    """How the codes of weights are chosen: arguments of `amsim.circuits.selection.ranges.select_weight_code`."""

    method: str
    coverage: float
    per: str


@eqx.filter_jit
def observed_values(chip: Chip, inputs: Array, weights: WeightMethod) -> dict[str, dict[str, Any]]:
    """Of each site: `counts`, `lowest` (negated) and `highest` of its inputs, and the `weight_scale` that suits it.

    A site with several weights in turn has the widest scale of those that suit them.
    """

    def tell(mapped: MappedSite, values: dict[int, Any]) -> dict[str, Any]:
        site, macro = mapped.site, chip.accelerator.macros[mapped.macro]
        if macro.keeps_product:
            return {}
        data = jnp.asarray(values[site.data.number], jnp.result_type(float))
        matrix = inputs_and_matrix(site, values)[1]
        code = select_weight_code(
            matrix, macro.weight_bits, **weights._asdict(), known=site.weight.range, rounding=macro.operand_rounding
        )
        used = jnp.any(matrix != 0, axis=0 if weights.per == "channel" else None, keepdims=True)
        return {
            "counts": value_counts(data),
            "lowest": Largest(-jnp.min(data)),
            "highest": Largest(jnp.max(data)),
            "weight_scale": Largest(jnp.where(used, code.scale, 0.0)),
        }

    return _told(chip, inputs, tell)


@eqx.filter_jit
def observed_codes(chip: Chip, inputs: Array) -> dict[str, dict[str, Any]]:
    """Of each site with codes: mean squares and clipped parts of both operands, and counts of what its lines take."""

    def tell(mapped: MappedSite, values: dict[int, Any]) -> dict[str, Any]:
        assert chip.calibration is not None
        site, ranges = mapped.site, chip.calibration.of(mapped.site.name)
        macro = chip.accelerator.macros[mapped.macro]
        operands = site_operands(site, ranges, values)
        told: dict[str, Any] = {}
        if ranges.inputs is not None:
            data = jnp.asarray(values[site.data.number], operands.inputs.dtype)
            told |= _coded("inputs", ranges.inputs, data)
        if ranges.weights is not None:
            told |= _coded("weights", ranges.weights, operands.matrix)
        if reads_lines(mapped, chip):
            told["lines"] = macro.line_counts(operands)
        return told

    return _told(chip, inputs, tell)


@eqx.filter_jit
def observed_lines(chip: Chip, inputs: Array, name: str) -> dict[str, Array]:
    """Of one site with capacitor lines: `lines`, counts of what they take, and what its macro reports, over its runs.

    Of a fused site that runs once also `shift`, the counts that put each neuron's threshold at 0.
    """

    def tell(mapped: MappedSite, values: dict[int, Any]) -> dict[str, Any]:
        if mapped.site.name != name:
            return {}
        site, ranges = mapped.site, (chip.calibration or Calibration()).of(name)
        macro = ranges.macro(chip.accelerator.macros[mapped.macro])
        operands = site_operands(site, ranges, values)
        neuron = None if mapped.chain is None else mapped.chain.neuron(site, value_reader(values))
        told = dict(macro.report(operands, neuron=neuron))
        told["lines"] = macro.line_counts(operands)
        if neuron is not None and mapped.turns == 1:
            told["shift"] = neuron.in_counts(macro.coded(operands)).shift(site.product.rows).ravel()
        return told

    traced = traced_chip(chip, (inputs,))
    tallies = tally_program(traced.program, traced.mapping, traced.arguments((inputs,)), tell)
    told, runs = next(tally for one, tally in zip(traced.mapping.sites, tallies, strict=True) if one.site.name == name)
    counts = told.pop("lines")
    return {"lines": counts} | {key: value / jnp.maximum(runs, 1.0) for key, value in told.items()}


@eqx.filter_jit
def column_means(chip: Chip, inputs: Array, key: PRNGKeyArray | None) -> dict[str, Array]:
    """What each column of each site gives on this chip on average, shape (columns,): see `read_program`."""
    traced = traced_chip(chip, (inputs,))
    # No derivative is taken of these.
    deployment = deployment_of(chip)._replace(decision_rule=None)
    return read_program(traced.program, traced.mapping, deployment, traced.arguments((inputs,)), key)


def reads_lines(mapped: MappedSite, chip: Chip) -> bool:
    """Whether a site is read by converters that have a range."""
    macro = chip.accelerator.macros[mapped.macro]
    return mapped.chain is None and not macro.keeps_product and macro.readout_range is not None


def _coded(name: str, code: IntegerCode, values: Float[Array, "..."]) -> dict[str, Array]:
    unit = jnp.max(code.scale)
    error = (code.encode(values) * code.scale - values) / unit
    return {
        f"signal_{name}": jnp.mean((values / unit) ** 2),
        f"noise_{name}": jnp.mean(error**2),
        f"clipped_{name}": code.clipped_fraction(values),
    }


def _told(chip: Chip, inputs: Array, tell: Any) -> dict[str, dict[str, Any]]:
    traced = traced_chip(chip, (inputs,))
    for mapped in traced.mapping.sites:
        if mapped.site.layout.members and not chip.accelerator.macros[mapped.macro].keeps_product:
            raise ValueError(
                f"Site `{mapped.site.name}` cannot be calibrated: it has a different weight for each member of a "
                "batch. What would work: a rule that sends it to `circuits.Exact()`, or none that takes it."
            )
    tallies = tally_program(traced.program, traced.mapping, traced.arguments((inputs,)), tell)
    sites = traced.mapping.sites
    return {one.site.name: told | {"runs": runs} for one, (told, runs) in zip(sites, tallies, strict=True)}
