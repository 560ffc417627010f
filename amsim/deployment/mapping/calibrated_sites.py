"""Checks of a calibration against the sites of a network: known names, and choices that suit all uses of a layer."""

from collections.abc import Sequence

from amsim.circuits.contract.macro import Macro
from amsim.deployment.mapping.mapper import DeploymentError, MappedProgram
from amsim.deployment.mapping.stored_weights import stored_weights
from amsim.deployment.site_ranges import Calibration, SiteRanges
from amsim.system.accelerator import Accelerator
from amsim.workloads.use_names import known_as, layer_of


def check_calibrated(
    network: MappedProgram, calibration: Calibration, accelerator: Accelerator, leaf_names: Sequence[str]
) -> None:
    """Raise DeploymentError unless a calibration is of sites whose operands a macro encodes, and suits cells and uses.

    Args:
        network: The program and its sites.
        calibration: Choices by name.
        accelerator: The hardware.
        leaf_names: Names of the parameter leaves.
    """
    coded = [one for one in network.sites if not accelerator.macros[one.macro].keeps_product]
    names = [one.site.name for one in coded]
    unknown = sorted(set(calibration.sites) - {known for name in names for known in known_as(name)})
    if unknown:
        raise DeploymentError(
            f"Argument `calibration` must be of the sites {', '.join(names)}, but has {', '.join(unknown)}."
        )
    for mapped in coded:
        name = mapped.site.name
        layer = layer_of(name)
        choice, macro = calibration.of(name), accelerator.macros[mapped.macro]
        digits = macro.foreign_digits(choice.inputs, choice.weights)
        if digits:
            raise DeploymentError(
                f"Argument `calibration` must be in digits that the cells of site `{name}` hold, but has {digits}. "
                "What would work: a calibration made on this hardware, codes of that `digit_set`, or the coding 'auto'."
            )
        if name in calibration.sites or layer == name or layer not in calibration.sites:
            continue
        ranges = calibration.sites[layer]
        reason = _other_circuits(macro, ranges) or _other_columns(network, leaf_names, name, ranges)
        if reason:
            raise DeploymentError(
                f"Argument `calibration` has a choice for `{layer}` that does not suit its use `{name}`, {reason}. "
                f"What would work: an entry for `{name}`."
            )


def _other_circuits(macro: Macro, ranges: SiteRanges) -> str:
    """What a choice has and a macro has not."""
    pairs = {"input": (ranges.inputs, macro.input_bits), "weight": (ranges.weights, macro.weight_bits)}
    for operand, (code, bits) in pairs.items():
        if code is not None and code.bits != bits:
            return f"whose macro has {operand}s of {bits} bits, not {code.bits}"
    return "whose macro has no converter" if ranges.readout is not None and macro.readout_range is None else ""


def _other_columns(network: MappedProgram, leaf_names: Sequence[str], name: str, ranges: SiteRanges) -> str:
    """What differs between a choice by column and the columns of a use."""
    by_column = [ranges.tuning, ranges.offset, None if ranges.weights is None else ranges.weights.scale]
    if not any(one is not None and one.size > 1 for one in by_column):
        return ""
    weights = dict(zip((one.site.name for one in network.sites), stored_weights(network, leaf_names), strict=True))
    layer = layer_of(name)
    alike = layer in weights and weights[layer].name == weights[name].name
    return "" if alike else "which has other columns of the weight"
