"""Histograms of the line values of a switched-capacitor array before readout, and the range of its readout."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.typing import ArrayLike
from jaxtyping import Array, Real

from amsim.circuits.adc import Adc
from amsim.circuits.charge.readout_range import finest_counted
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import text
from amsim.circuits.contract.bit_slicing import swing_of
from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import Product
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.datasets.check import network_inputs
from amsim.datasets.inputs import Inputs, map_arrays, network_arguments
from amsim.deployment.chip import Chip, traced_chip
from amsim.deployment.mapping.mapper import MappedSite
from amsim.deployment.observation import observed_lines
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.workloads.use_names import known_as

LABELS = {
    "occurrences": ("1", "occurrences of this value on nominal lines"),
    "tile": ("1", "tile of rows"),
    "high_cells": ("1", "cells that are high on a line"),
    "driven_rows": ("1", "rows in use"),
    "range_low": ("1", "lowest value that the converter does not clip, cells"),
    "range_high": ("1", "highest value that the converter does not clip, cells"),
    "lsb": ("1", "step of the converter, cells"),
    "threshold": ("1", "threshold of a neuron, cells"),
    "neuron": ("1", "neuron"),
    "clipped": ("1", "fraction of line values, or of thresholds, outside the range"),
    "cell_voltage": ("V", "step of a line by one cell"),
    "read_noise": ("1", "standard deviation of the noise of a read, cells"),
}


@checked_arguments
def line_values(
    macro: SwitchedCapacitor, inputs: Real[ArrayLike, "... rows"], weights: Real[ArrayLike, "rows columns"]
) -> xr.Dataset:
    """Line-value histogram of a product on nominal lines, and the range of the converter that reads them.

    Args:
        macro: A switched-capacitor array with a converter.
        inputs: Shape (..., rows).
        weights: Shape (rows, columns).

    Returns:
        `occurrences` over (tile, high_cells), all input and weight digits together; `driven_rows`, `range_low`,
        `range_high`, `lsb` and `read_noise` over tile, in cells; `clipped` and `cell_voltage` (V). The noise is that of
        the line and what a conversion's decisions make of their comparators' (`Converter.decision_variance`).

    Raises:
        ValueError: Another kind of macro, no converter, or operands as in `matmul`.
    """
    _check_lines("macro", macro)
    if macro.adc is None:
        raise ValueError("Argument `macro` must have an `adc`, with whose range its lines are compared, but has none.")
    operands = Operands.dense(inputs, weights)
    return _labelled(macro, operands.product, _line_report(macro, operands), {"site": ""})


@checked_arguments
def site_line_values(chip: Chip, inputs: Any, site: str) -> xr.Dataset:
    """Line-value histogram of one deployed site, from a noiseless run on sample inputs.

    Args:
        chip: A chip; its dies do not matter.
        inputs: One batch as the network takes it; a tuple has one array for each of its arguments.
        site: Name as in `chip.sites()`; that of a layer stands for all its uses together, `tower#1` for the first.

    Returns:
        As `line_values`. A site decided by comparators has no range but, where it is one that runs once per pass,
        `threshold` over neuron, in cells; its `clipped` is the fraction of thresholds that the bias DAC does not reach,
        its `read_noise` that of one decision.

    Raises:
        ValueError: No chip, inputs that are no finite numbers, an unknown site, one that is not on a switched-capacitor
            array, one with a weight of its own for each member of a batch, or a layer whose uses have different lines.
    """
    text(site=site)
    inputs = map_arrays(jnp.asarray, network_inputs("inputs", inputs))
    uses = _uses(chip, inputs, site)
    one = uses[0]
    macro = chip.accelerator.macros[one.macro]
    _check_lines("site", macro)
    if one.site.layout.members:
        raise ValueError(f"Argument `site` must have one weight, but {site!r} has one for each member of a batch.")
    macros = list(chip.accelerator.macros)
    assert isinstance(macro, SwitchedCapacitor)
    if macro.adc is None:
        # Line values do not depend on the readout.
        macros[one.macro] = dataclasses.replace(macro, adc=Adc())
    counting = dataclasses.replace(chip, accelerator=dataclasses.replace(chip.accelerator, macros=tuple(macros)))
    told = observed_lines(counting, inputs, tuple(use.site.name for use in uses))
    return _labelled(_read_by(chip, one), one.site.product, told, {"site": site})


def _uses(chip: Chip, inputs: Inputs, site: str) -> list[MappedSite]:
    """Sites that a name stands for, all with the same lines."""
    mapped = traced_chip(chip, network_arguments(inputs)).sites
    uses = [one for one in mapped if site in known_as(one.site.name)]
    if not uses:
        names = ", ".join(one.site.name for one in mapped)
        raise ValueError(f"Argument `site` must be one of {names}, but is {site!r}.")
    first = uses[0]
    for one in uses[1:]:
        alike = one.site.product.unpadded == first.site.product.unpadded and one.macro == first.macro
        alike = alike and (one.chain is None) == (first.chain is None)
        if not alike or not bool(eqx.tree_equal(_read_by(chip, one), _read_by(chip, first))):
            names = ", ".join(known_as(use.site.name)[0] for use in uses)
            raise ValueError(
                f"Argument `site` must name one use where those of a layer have different lines, one of {names}, but "
                f"is {site!r}."
            )
    return uses


def _read_by(chip: Chip, mapped: MappedSite) -> Macro:
    """Macro of a site with the range of the converters that read it."""
    macro = chip.accelerator.macros[mapped.macro]
    if chip.calibration is None or mapped.chain is not None:
        return macro
    return chip.calibration.of(mapped.site.name).macro(macro)


@eqx.filter_jit
def _line_report(macro: SwitchedCapacitor, operands: Operands) -> dict[str, Array]:
    return dict(macro.report(operands)) | {"lines": macro.line_counts(operands)}


def _labelled(macro: Any, product: Product, told: dict[str, Array], attributes: dict[str, Any]) -> xr.Dataset:
    counts, macro = np.asarray(told["lines"]), macro.for_product(product)
    steps = macro.cell_steps
    driven = np.asarray(jnp.sum(product.driven_rows(macro.line_rows), axis=1), float)
    rows, driven = driven, driven * swing_of(macro.combined_columns)
    fused = "clipped_thresholds" in told
    variables: dict[str, Any] = {
        "occurrences": (("tile", "high_cells"), counts),
        "driven_rows": (("tile",), driven),
        "clipped": ((), float(told["clipped_thresholds" if fused else "clipped_adc"])),
        "cell_voltage": ((), float(macro.cell_voltage)),
    }
    if fused:
        # One decision on each line.
        variables["read_noise"] = (("tile",), np.full(len(rows), float(macro.noise_counts) / 2))
    if fused and "shift" in told:
        # A line of n rows and h high cells is a sum of 2 h - n.
        variables["threshold"] = (("neuron",), (driven[0] - np.asarray(told["shift"], float)) / 2)
    if not fused:
        adc = macro.adc
        scale = adc.scale(jnp.asarray(steps * driven, float), finest_counted(told["lines"]))
        lsb, centre = (np.asarray(part, float) / steps for part in scale)
        variables["lsb"] = (("tile",), lsb)
        variables["read_noise"] = (("tile",), _conversion_noise(macro, rows, lsb))
        variables["range_low"] = (("tile",), centre + lsb * (adc.lowest_code - 0.5))
        variables["range_high"] = (("tile",), centre + lsb * (adc.highest_code + 0.5))
    coordinates: dict[str, Any] = {"tile": np.arange(len(counts)), "high_cells": np.arange(counts.shape[1]) / 2 / steps}
    if "threshold" in variables:
        coordinates["neuron"] = np.arange(len(variables["threshold"][1]))
    attributes |= provenance(macro=macro)
    return labelled(variables, coordinates, attributes, labels=LABELS)


def _conversion_noise(macro: SwitchedCapacitor, rows: np.ndarray, lsb: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of a conversion for so many rows in use and steps, cells, those of each tile."""
    assert macro.adc is not None
    sampled = {number: float(macro.sampled_noise(number)) / 2 for number in set(rows.tolist())}
    decided = float(macro.comparator_referral * macro.decision_noise_counts) / 2
    decisions = np.asarray(macro.adc.decision_variance(jnp.asarray(decided / lsb, float)), float) * lsb**2
    return np.sqrt(np.square([sampled[number] for number in rows.tolist()]) + decisions)


def _check_lines(name: str, macro: Any) -> None:
    if not isinstance(macro, SwitchedCapacitor):
        raise ValueError(
            f"Argument `{name}` must be a switched-capacitor array, or on one, but is {type(macro).__name__}, which "
            "has no line."
        )
