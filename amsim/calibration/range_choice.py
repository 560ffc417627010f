"""Choice of the codes and readout ranges of all sites of a chip from sample data."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr

from amsim.calibration.quantities import LABELS
from amsim.circuits.adc.range_selection import check_method
from amsim.circuits.checks import number_between, one_of, part_of, truth_values
from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.readout import Coding
from amsim.circuits.selection.codes import IntegerCode, highest_code
from amsim.circuits.selection.ranges import LARGEST_COUNTED, SMALLEST_COUNTED, select_input_code
from amsim.circuits.selection.value_range import ValueRange
from amsim.datasets.inputs import Inputs, count_items, first_arguments
from amsim.deployment.chip import Chip, traced_chip
from amsim.deployment.input_shapes import shapes_of
from amsim.deployment.mapping.mapper import DeploymentError, MappedSite
from amsim.deployment.observation import (
    WeightMethod,
    observed_codes,
    observed_values,
    profile_name,
    reads_lines,
    site_codings,
)
from amsim.deployment.running.site_observation import SiteObservation
from amsim.deployment.site_ranges import Calibration, SiteRanges
from amsim.deployment.tracing.steps import Value
from amsim.evaluation.batches import batches
from amsim.progress import Progress, nothing
from amsim.results.labelled import labelled
from amsim.workloads.use_names import layer_of

OPERANDS = ("inputs", "weights", "readout")
"""Values that a method may be chosen for."""

DEFAULT_COVERAGE = 0.999
"""Fraction of the values inside a range of the method "percentile"."""

ERROR_ENERGY = "error-energy"
"""Method for readouts: coding, range and centre of least error times energy (`circuits.charge.readout_choice`)."""


class RangeMethods(NamedTuple):
    """Methods by which ranges are chosen; see `amsim.calibrate`.

    Attributes:
        inputs: Method for codes of inputs.
        weights: Method for codes of weights.
        readout: Method for ranges of converters.
        coverage: Fraction of the values inside the range, for "percentile".
        symmetric: Whether codes of inputs have no zero-point.
        per: "channel" or "tensor", for weights.
        needs_readout: Whether it is an error that no site has a converter.
    """

    inputs: str
    weights: str
    readout: str
    coverage: float
    symmetric: bool
    per: str
    needs_readout: bool

    def settings(self) -> dict[str, Any]:
        """Settings as attributes of a result."""
        methods = [f"{name}: {getattr(self, name)}" for name in OPERANDS]
        return {"method": methods, "coverage": self.coverage, "symmetric": int(self.symmetric), "weights": self.per}


def range_methods(method: str | Mapping[str, str], coverage: float, symmetric: bool, weights: str) -> RangeMethods:
    """Methods from the arguments of `amsim.calibrate`.

    Raises:
        ValueError: An unknown method or operand, or a coverage out of range.
    """
    if not isinstance(method, str):
        part_of("method", method, Mapping)
    number_between("coverage", coverage, 0.0, 1.0)
    truth_values(symmetric=symmetric)
    given = dict.fromkeys(OPERANDS, method) if isinstance(method, str) else dict(method)
    for name in given:
        one_of("method", name, OPERANDS)
    methods = dict.fromkeys(OPERANDS, "minimum-error") | given
    for name, one in methods.items():
        if (name, one) != ("readout", ERROR_ENERGY):
            check_method("method", one, coverage)
    if coverage != DEFAULT_COVERAGE and "percentile" not in methods.values():
        raise ValueError(
            f"Argument `coverage` must be {DEFAULT_COVERAGE} unless a method is 'percentile', since no other uses it, "
            f"but is {coverage:g}."
        )
    one_of("weights", weights, ("channel", "tensor"))
    needs_readout = "readout" in given and not isinstance(method, str)
    return RangeMethods(**methods, coverage=coverage, symmetric=symmetric, per=weights, needs_readout=needs_readout)


CHOICE_PARTS = 2
"""Parts that `choose_ranges` tells as progress: codes and ranges."""


def choose_ranges(
    chip: Chip, inputs: Inputs, methods: RangeMethods, batch: int, report: Progress = nothing
) -> tuple[Calibration, xr.Dataset]:
    """Choice of codes and ranges for each site, and its description as a Dataset over `site`.

    The plain network runs twice: for the codes, and with them for the values that nominal lines take.

    Args:
        chip: A chip without calibration; its dies do not matter.
        inputs: Sample inputs, each array of shape (items, ...).
        methods: Methods of the choice.
        batch: Inputs computed at once.
        report: Called with (phase, parts done, parts).

    Raises:
        ValueError: Values inside the network are not finite, or a readout range is asked for where no site has a
            converter.
        amsim.DeploymentError: No site has codes.
    """
    sites = _coded_sites(chip, first_arguments(inputs, batch))
    if methods.needs_readout and not any(reads_lines(one, chip) for one in sites):
        raise ValueError('Argument `method` must not have "readout": no site has a converter whose range to choose.')
    report("codes", 0, CHOICE_PARTS)
    coded = dataclasses.replace(chip, calibration=_codes(chip, sites, inputs, methods, batch))
    report("ranges", 1, CHOICE_PARTS)
    observed = _observe(coded, observed_codes, inputs, batch, methods.readout == ERROR_ENERGY)
    calibration = _with_readouts(coded, sites, observed, methods)
    return calibration, _choice(sites, calibration, observed)


def _coded_sites(chip: Chip, inputs: tuple[Any, ...]) -> list[MappedSite]:
    macros = chip.accelerator.macros
    sites = traced_chip(chip, shapes_of(inputs)).sites
    coded = [one for one in sites if not macros[one.macro].keeps_product]
    if not coded:
        raise DeploymentError(
            "Argument `hardware` must have a macro with codes: all sites keep their product as it is."
        )
    return coded


def _observe(
    chip: Chip, observe: Callable[..., dict[str, SiteObservation]], inputs: Inputs, batch: int, *options: Any
) -> dict[str, SiteObservation]:
    """Observation of each site over all batches, each counting by its items."""
    total: dict[str, SiteObservation] = {}
    items = count_items(inputs)
    for part in batches(inputs, batch):
        for name, found in observe(chip, part, *options).items():
            found = found.of_part(count_items(part) / items)
            total[name] = total[name].merge(found) if name in total else found
    return total


def _codes(chip: Chip, sites: list[MappedSite], inputs: Inputs, methods: RangeMethods, batch: int) -> Calibration:
    options = WeightMethod(methods.weights, methods.coverage, methods.per)
    observed = _observe(chip, observed_values, inputs, batch, options)
    chosen: dict[str, SiteRanges] = {}
    largest: dict[str, float] = {}
    for mapped in sites:
        site, macro, found = mapped.site, chip.accelerator.macros[mapped.macro], observed[mapped.site.name]
        if found.runs == 0:
            # A branch that the data never take; the choice for the first use of a layer need not suit this one.
            chosen |= {site.name: SiteRanges()} if layer_of(site.name) != site.name else {}
            continue
        low, high = jnp.asarray(found.lowest["inputs"]), jnp.asarray(found.highest["inputs"])
        if not np.isfinite([low, high]).all():
            raise ValueError(f"Argument `data` must give finite values, but the inputs of site `{site.name}` are not.")
        largest[site.name] = float(max(-low, high))
        scale = jnp.asarray(found.highest["weight_scale"])
        rounding = macro.operand_rounding
        input_code = select_input_code(
            jnp.asarray(found.counts["inputs"], jnp.result_type(float)),
            low,
            high,
            macro.input_bits,
            method=methods.inputs,
            coverage=methods.coverage,
            symmetric=methods.symmetric,
            known=_known_inputs(site.data, found),
            rounding=rounding,
        )
        # The mapping has refused digits that the program does not know to suit; these are of the code that data chose.
        digits = macro.input_digits(ValueRange() if input_code.signed else ValueRange(0.0))
        input_code = dataclasses.replace(input_code, digit_set=digits)
        unused = 1.0 / highest_code(macro.weight_bits, True)
        weight_code = IntegerCode(
            jnp.where(scale > 0, scale, unused),
            macro.weight_bits,
            True,
            rounding,
            digit_set=macro.weight_digits(site.fixed_range(site.weight)),
        )
        chosen[site.name] = SiteRanges(input_code, weight_code)
    for name, size in largest.items():
        if size and not SMALLEST_COUNTED < size < LARGEST_COUNTED:
            raise ValueError(
                f"Argument `data` must give inputs of a size from {SMALLEST_COUNTED:.1g} to {LARGEST_COUNTED:.1g}, but "
                f"those of site `{name}` reach {size:.3g}; scale them."
            )
    return Calibration(chosen)


def _known_inputs(inputs: Value, found: SiteObservation) -> ValueRange:
    """What is known of the inputs of a site, with the factor of their grid that the run found."""
    factor = float(found.highest["input_grid"])
    if inputs.quantised is None or factor <= 0:
        return inputs.range
    return inputs.quantised.words._replace(scale=jnp.asarray(factor))


def _with_readouts(
    chip: Chip, sites: list[MappedSite], observed: dict[str, SiteObservation], methods: RangeMethods
) -> Calibration:
    assert chip.calibration is not None
    chosen = dict(chip.calibration.sites)
    for mapped in sites:
        name = mapped.site.name
        if name in chosen and chosen[name].inputs is not None and reads_lines(mapped, chip):
            macro = chip.accelerator.macros[mapped.macro]
            if methods.readout == ERROR_ENERGY:
                chosen[name] = _least_error(mapped, macro, chosen[name], observed[name])
                continue
            counts = jnp.asarray(observed[name].counts["lines"], jnp.result_type(float))
            options: dict[str, Any] = {"method": methods.readout, "coverage": methods.coverage}
            readout = macro.selected_readout_range(mapped.site.product, counts, **options)
            chosen[name] = SiteRanges(chosen[name].inputs, chosen[name].weights, readout)
    return Calibration(chosen)


def _least_error(mapped: MappedSite, macro: Macro, ranges: SiteRanges, observed: SiteObservation) -> SiteRanges:
    inputs, weights = ranges.inputs, ranges.weights
    assert inputs is not None
    assert weights is not None
    means = observed.averages()
    profiles: dict[Coding, dict[str, Any]] = {}
    codings = site_codings(mapped, macro, ranges)
    for coding in codings:
        start = profile_name((codings[0][0], coding[1]), "")
        profiles[coding] = {name.removeprefix(start): np.asarray(one) for name, one in means.items() if start in name}
    found = macro.chosen_readout(mapped.site.product, inputs, weights, profiles)
    return SiteRanges(
        dataclasses.replace(inputs, digit_set=found.coding[0]),
        dataclasses.replace(weights, digit_set=found.coding[1]),
        found.full_scale,
        centre=found.centre,
        reason=found.reason,
    )


def _choice(sites: list[MappedSite], calibration: Calibration, observed: dict[str, SiteObservation]) -> xr.Dataset:
    found = [mapped.site.name for mapped in sites if mapped.site.name in calibration.sites]
    names = [name for name in found if calibration.sites[name].inputs is not None]
    rows = [_row(calibration.of(name), observed[name]) for name in names]
    columns = {name: (("site",), np.array([row[name] for row in rows], float)) for name in rows[0]} if rows else {}
    return labelled(columns, {"site": names}, {}, labels=LABELS)


def _row(ranges: SiteRanges, observed: SiteObservation) -> dict[str, float]:
    inputs, weights = ranges.inputs, ranges.weights
    assert inputs is not None
    assert weights is not None
    scale, weight_scale = float(inputs.scale), float(jnp.mean(weights.scale))
    means, runs = observed.means, float(observed.runs)
    return {
        "input_low": float(inputs.lowest_code) * scale,
        "input_high": float(inputs.highest_code) * scale,
        "input_scale": scale,
        "zero_point": 0.0 if inputs.zero is None else float(inputs.zero),
        "weight_limit": weights.highest * weight_scale,
        "weight_scale": weight_scale,
        "readout_range": np.nan if ranges.readout is None else float(ranges.readout),
        "clipped_inputs": float(means["clipped_inputs"]) / runs,
        "clipped_weights": float(means["clipped_weights"]) / runs,
        "input_snr": _decibels(means["signal_inputs"], means["noise_inputs"]),
        "weight_snr": _decibels(means["signal_weights"], means["noise_weights"]),
    }


def _decibels(signal: Any, noise: Any) -> float:
    """Ratio of powers, dB; infinite without an error, NaN without a signal."""
    if float(signal) == 0:
        return np.nan
    return np.inf if float(noise) == 0 else 10 * float(np.log10(signal / noise))
