"""Post-training deployment: codes and readout ranges chosen from sample data, and what each step costs in accuracy."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.accelerator import Accelerator
from amsim.batch_statistics import batches, reestimated, sample_inputs
from amsim.circuits.adc.range_selection import check_method
from amsim.circuits.checks import integer_between, one_of
from amsim.circuits.code_selection import select_input_code
from amsim.circuits.operands import IntegerCode, highest_code
from amsim.datasets import Split
from amsim.deployment.calibration import Calibration, SiteRanges
from amsim.deployment.chip import Chip, check_key, deploy, traced_chip
from amsim.deployment.control_flow import merged
from amsim.deployment.mapping import DeploymentError, MappedSite
from amsim.deployment.observation import WeightMethod, observed_codes, observed_values, reads_lines
from amsim.loss_steps import loss_steps
from amsim.results import described, labelled

OPERANDS = ("inputs", "weights", "readout")
"""What a method may be chosen for."""


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A calibrated chip, and how it came about.

    Attributes:
        chip: The chip, ready to use.
        choice: What was chosen for each site: Dataset over `site`.
        steps: Accuracy and loss of accuracy of each step: Dataset over `step`; None without labels.
    """

    chip: Chip
    choice: xr.Dataset
    steps: xr.Dataset | None

    @property
    def calibration(self) -> Calibration:
        """The choice as `amsim.deploy` and `amsim.evaluate` take it."""
        assert self.chip.calibration is not None
        return self.chip.calibration


def calibrate(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Any,
    *,
    key: PRNGKeyArray | None = None,
    method: str | Mapping[str, str] = "minimum-error",
    coverage: float = 0.999,
    symmetric: bool = True,
    weights: str = "channel",
    statistics: Callable[[PyTree, Any], PyTree] | None = None,
    test: Split | None = None,
    steps: bool = True,
    dies: int = 8,
    batch: int = 250,
) -> Calibrated:
    """Deploy a trained network on hardware with word ranges and converter ranges that suit sample data.

    The plain network runs over the data and each site's values are counted; codes of inputs and weights are chosen
    from them, and then, with those codes, the ranges of converters from the values that nominal lines take. With
    `statistics` the network's batch statistics are measured again on the chip.

    The steps lead from the plain network to the chip: `quantise` codes the operands and computes exactly, `tile` splits
    sums over the macro's rows with an exact readout, `ADC` is the macro's own readout on the nominal die, `mismatch`
    adds dies and `noise` their reads; with `statistics` a last step measures them anew on each die. The losses add up
    to the whole.

    Args:
        fn: Network `fn(params, inputs)`; for steps its outputs are logits.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Typical inputs, shape (items, ...), or a labelled split such as `dataset.train[:500]`.
        key: Draws the chip's die as in `amsim.deploy`, and the population of the steps as in `amsim.evaluate`. None is
            the nominal chip, and no steps of dies.
        method: "min-max", "percentile" or "minimum-error" (`amsim.circuits.code_selection.select_input_code`), for all
            or as a mapping from "inputs", "weights" and "readout"; one that is left out there is "minimum-error".
        coverage: For "percentile", above 0 and at most 1.
        symmetric: Codes of inputs without a zero-point. False lets their range lie anywhere about 0.
        weights: "channel" gives each column a scale of its own, "tensor" one to all.
        statistics: As in `amsim.reestimated`; None keeps the network's own.
        test: Labelled data for the steps; default: `data`, where that is labelled.
        steps: Whether to measure the steps.
        dies: Dies of the steps `mismatch` and `noise`.
        batch: Inputs computed at once; bounds the memory.

    Returns:
        The chip, its choice and its steps.

    Raises:
        ValueError: No data, values not finite, an unknown method, a coverage out of range, a method for a readout that
            no macro has, or a count below 1.
        amsim.DeploymentError: The network does not fit the hardware.

    Valid for data that are typical of those computed later: what falls outside is clipped, and `chip.cost` counts it.
    """
    methods = _methods(method, coverage)
    one_of("weights", weights, ("channel", "tensor"))
    for name, value in (("dies", dies), ("batch", batch)):
        integer_between(name, value, 1)
    check_key("key", key)
    inputs = sample_inputs(data)
    accelerator = Accelerator.of(hardware)
    nominal = deploy(fn, params, accelerator)
    sites = _coded_sites(nominal, inputs[:batch])
    needs_readout = isinstance(method, Mapping) and "readout" in method
    if needs_readout and not any(reads_lines(one, nominal) for one in sites):
        raise ValueError('Argument `method` must not have "readout": no site has a converter whose range to choose.')
    calibration = _codes(nominal, sites, inputs, batch, methods, coverage, symmetric, weights)
    coded = dataclasses.replace(nominal, calibration=calibration)
    observed = _added(coded, observed_codes, inputs, batch)
    calibration = _with_readouts(coded, sites, observed, methods["readout"], coverage)
    chip = deploy(fn, params, accelerator, key=key, calibration=calibration)
    if statistics is not None:
        chip = reestimated(chip, statistics, inputs, batch=batch)
    settings = {
        "method": [f"{name}: {methods[name]}" for name in OPERANDS],
        "coverage": coverage,
        "symmetric": int(symmetric),
        "weights": weights,
        "items": len(inputs),
        "accelerator": described(accelerator),
        "amsim_version": importlib.metadata.version("amsim"),
        "jax_version": jax.__version__,
    }
    choice = _choice(sites, calibration, observed).assign_attrs(settings)
    labels = test if test is not None else data
    found = None
    if steps and hasattr(labels, "labels"):
        again = None if statistics is None else (statistics, inputs)
        found = loss_steps(fn, params, accelerator, calibration, labels, key, dies, batch, again)
        found = found.assign_attrs(settings | {"items": len(labels)})
    return Calibrated(chip, choice, found)


def _methods(method: str | Mapping[str, str], coverage: float) -> dict[str, str]:
    given = dict.fromkeys(OPERANDS, method) if isinstance(method, str) else dict(method)
    for name in given:
        one_of("method", name, OPERANDS)
    methods = dict.fromkeys(OPERANDS, "minimum-error") | given
    for one in methods.values():
        check_method("method", one, coverage)
    return methods


def _coded_sites(chip: Chip, inputs: np.ndarray) -> list[MappedSite]:
    macros = chip.accelerator.macros
    sites = traced_chip(chip, (jnp.asarray(inputs),)).mapping.sites
    coded = [one for one in sites if not macros[one.macro].keeps_product]
    if not coded:
        raise DeploymentError(
            "Argument `hardware` must have a macro with codes: all sites keep their product as it is."
        )
    return coded


def _added(chip: Chip, observe: Callable[..., Any], inputs: np.ndarray, batch: int, *options: Any) -> dict[str, Any]:
    """What sites tell over all batches: counts added, the largest kept, means weighted by items."""
    total: Any = None
    for part in batches(inputs, batch):
        told = {name: _weighted(site, len(part) / len(inputs)) for name, site in observe(chip, part, *options).items()}
        total = told if total is None else merged(total, told)
    return total


def _weighted(site: dict[str, Any], share: float) -> dict[str, Any]:
    """Counts of many batches as whole numbers of 64 bits, sums over runs as the part of a batch in all."""
    weighted: dict[str, Any] = {}
    for name, value in site.items():
        if isinstance(value, Array):
            value = np.asarray(value, np.int64 if jnp.issubdtype(value.dtype, jnp.integer) else np.float64)
        weighted[name] = value if name in ("counts", "lines") or not isinstance(value, np.ndarray) else value * share
    return weighted


def _codes(
    chip: Chip,
    sites: list[MappedSite],
    inputs: np.ndarray,
    batch: int,
    methods: dict[str, str],
    coverage: float,
    symmetric: bool,
    weights: str,
) -> Calibration:
    observed = _added(chip, observed_values, inputs, batch, WeightMethod(methods["weights"], coverage, weights))
    chosen = {}
    for mapped in sites:
        site, macro, told = mapped.site, chip.accelerator.macros[mapped.macro], observed[mapped.site.name]
        if told["runs"] == 0:
            continue  # a branch that the data never take
        low, high = -told["lowest"].value, told["highest"].value
        if not np.isfinite([low, high]).all():
            raise ValueError(f"Argument `data` must give finite values, but the inputs of site `{site.name}` are not.")
        scale = told["weight_scale"].value
        rounding = macro.operand_rounding
        input_code = select_input_code(
            jnp.asarray(told["counts"], jnp.result_type(float)),
            low,
            high,
            macro.input_bits,
            method=methods["inputs"],
            coverage=coverage,
            symmetric=symmetric,
            known=site.data.range,
            rounding=rounding,
        )
        unused = 1.0 / highest_code(macro.weight_bits, True)
        weight_code = IntegerCode(jnp.where(scale > 0, scale, unused), macro.weight_bits, True, rounding)
        chosen[site.name] = SiteRanges(input_code, weight_code)
    return Calibration(chosen)


def _with_readouts(
    chip: Chip, sites: list[MappedSite], observed: dict[str, Any], method: str, coverage: float
) -> Calibration:
    assert chip.calibration is not None
    chosen = dict(chip.calibration.sites)
    for mapped in sites:
        name = mapped.site.name
        if name in chosen and "lines" in observed[name]:
            counts = jnp.asarray(observed[name]["lines"], jnp.result_type(float))
            macro = chip.accelerator.macros[mapped.macro]
            readout = macro.selected_readout_range(mapped.site.product, counts, method=method, coverage=coverage)
            chosen[name] = SiteRanges(chosen[name].inputs, chosen[name].weights, readout)
    return Calibration(chosen)


def _choice(sites: list[MappedSite], calibration: Calibration, observed: dict[str, Any]) -> xr.Dataset:
    names = [mapped.site.name for mapped in sites if mapped.site.name in calibration.sites]
    rows = [_row(calibration.of(name), observed[name]) for name in names]
    columns = {name: (("site",), np.array([row[name] for row in rows], float)) for name in rows[0]} if rows else {}
    return labelled(columns, {"site": names}, {})


def _row(ranges: SiteRanges, told: dict[str, Any]) -> dict[str, float]:
    inputs, weights = ranges.inputs, ranges.weights
    assert inputs is not None
    assert weights is not None
    scale, weight_scale = float(inputs.scale), float(jnp.mean(weights.scale))
    runs = float(told["runs"])
    return {
        "input_low": float(inputs.lowest_code) * scale,
        "input_high": float(inputs.highest_code) * scale,
        "input_scale": scale,
        "zero_point": 0.0 if inputs.zero is None else float(inputs.zero),
        "weight_limit": weights.highest * weight_scale,
        "weight_scale": weight_scale,
        "readout_range": np.nan if ranges.readout is None else float(ranges.readout),
        "clipped_inputs": float(told["clipped_inputs"]) / runs,
        "clipped_weights": float(told["clipped_weights"]) / runs,
        "input_snr": _decibels(told["signal_inputs"], told["noise_inputs"]),
        "weight_snr": _decibels(told["signal_weights"], told["noise_weights"]),
    }


def _decibels(signal: Any, noise: Any) -> float:
    """Ratio of powers, dB; infinite without an error, NaN without a signal."""
    if float(signal) == 0:
        return np.nan
    return np.inf if float(noise) == 0 else 10 * float(np.log10(signal / noise))
