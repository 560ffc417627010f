"""Results as labelled data: one table of every output's unit and long name."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

UNITS_AND_NAMES = {
    "accuracy": ("1", "classification accuracy"),
    "accuracy_mean": ("1", "mean accuracy over dies"),
    "accuracy_low": ("1", "lower end of the 95 % interval of the mean accuracy"),
    "accuracy_high": ("1", "upper end of the 95 % interval of the mean accuracy"),
    "accuracy_worst": ("1", "accuracy of the worst die"),
    "yield": ("1", "part of the dies that reach the accuracy limit"),
    "yield_low": ("1", "lower end of the 95 % interval of the yield"),
    "yield_high": ("1", "upper end of the 95 % interval of the yield"),
    "part": ("1", "dies that training has met or not"),
    "data": ("1", "items that training has met or not"),
    "step": ("1", "step"),
    "epoch": ("1", "passes over the training items"),
    "loss": ("1", "training loss"),
    "training_accuracy": ("1", "accuracy on the batch of a step"),
    "validation_accuracy": ("1", "mean accuracy on items and dies that are not trained on"),
    "noise_scale": ("1", "factor of static errors and dynamic noise"),
    "learning_rate": ("1", "learning rate"),
    "score": ("1", "score"),
    "label": ("1", "1 for a positive item, 0 for a negative one"),
    "item": ("1", "item"),
    "auc": ("1", "area under the ROC curve"),
    "auc_mean": ("1", "mean area under the ROC curve over dies"),
    "auc_low": ("1", "lower end of the 95 % interval of the mean area over dies"),
    "auc_high": ("1", "upper end of the 95 % interval of the mean area over dies"),
    "auc_error": ("1", "standard error of the mean area from the finite number of items"),
    "plain_accuracy": ("1", "accuracy of the network without circuits"),
    "accuracy_loss": ("1", "loss of accuracy by a step or a source"),
    "accuracy_loss_low": ("1", "lower end of the 95 % interval of the mean loss of accuracy"),
    "accuracy_loss_high": ("1", "upper end of the 95 % interval of the mean loss of accuracy"),
    "input_low": ("unit of the input", "smallest input that is coded"),
    "input_high": ("unit of the input", "largest input that is coded"),
    "input_scale": ("unit of the input", "step of the inputs' code"),
    "zero_point": ("1", "word of the input 0"),
    "weight_limit": ("unit of the weight", "largest weight that is coded, mean over columns"),
    "weight_scale": ("unit of the weight", "step of the weights' code, mean over columns"),
    "readout_range": ("1", "range of the converters relative to the swing of the driven rows"),
    "input_snr": ("dB", "inputs against the error of their code"),
    "weight_snr": ("dB", "weights against the error of their code"),
    "energy": ("J", "energy an inference"),
    "gain": ("1", "accuracy gained over the repair before, mean over dies"),
    "gain_low": ("1", "lower end of the 95 % interval of the gain"),
    "gain_high": ("1", "upper end of the 95 % interval of the gain"),
    "inferences": ("1", "inferences that a repair runs on a die"),
    "decisions": ("1", "decisions of single comparators that a repair takes on a die"),
    "repair_energy": ("J", "energy of a repair on a die"),
    "repair": ("1", "repair, on top of those before it"),
    "latency": ("s", "time an inference"),
    "family": ("1", "circuit family"),
    "bits": ("bit", "word length of weights and inputs"),
    "array_energy": ("J", "energy of an operation in the array"),
    "operation_energy": ("J", "energy of an operation in the whole system"),
    "array_area": ("m2", "area of the array for a multiply-accumulate a cycle"),
    "flexibility": ("1", "flexibility"),
    "area": ("m2", "chip area"),
    "macs": ("1", "multiply-accumulates an inference"),
    "cycles": ("1", "clock cycles an inference"),
    "stalls": ("1", "clock cycles in which nothing is computed"),
    "utilisation": ("1", "multiply-accumulates against those that all cells could do"),
    "stored_bits": ("bit", "bits kept"),
    "working_set_bits": ("bit", "working set: inputs and outputs at the same time"),
    "bits_read": ("bit", "bits read an inference"),
    "bits_written": ("bit", "bits written an inference"),
    "bandwidth": ("bit/s", "bits a second that a memory can move"),
    "clock": ("Hz", "clock"),
    "peak_macs": ("1", "multiply-accumulates a cycle that all cells could do"),
    "supply": ("V", "supply"),
    "rate": ("1/s", "inferences a second, one after the other"),
    "keeps_rate": ("1", "whether the rate asked for is possible"),
    "capacity": ("bit", "memory capacity"),
    "parallel_macs": ("1", "multiply-accumulates in parallel"),
    "component_area": ("m2", "area"),
    "memory": ("1", "memory"),
    "clipped_inputs": ("1", "fraction of inputs outside their range"),
    "clipped_weights": ("1", "fraction of weights outside their range"),
    "clipped_adc": ("1", "fraction of line values outside the ADC range"),
    "clipped_thresholds": ("1", "fraction of thresholds outside the bias DAC range"),
    "clipped_accumulator": ("1", "fraction of sums outside the accumulator"),
    "setting": ("1", "setting by its path"),
    "loss_increase": ("1", "loss that a source alone adds"),
    "loss_increase_error": ("1", "standard error over dies of the loss that a source alone adds"),
    "loss_slope_alone": ("1", "change of the loss with the logarithm of the variance of a source alone"),
    "loss_slope": ("1", "change of the loss with the logarithm of a source's variance"),
    "loss_slope_by_energy": ("1", "change of the loss over the site's share of the energy"),
    "trial": ("1", "combination of choices"),
    "choice": ("1", "value of the setting, as text"),
    "setting_value": ("SI unit of the setting", "value of the setting"),
    "smooth_accuracy": ("1", "smooth stand-in for the accuracy"),
    "multiplier": ("1", "relative energy for each accuracy at the limit"),
    "limit": ("1", "accuracy asked for"),
    "feasible": ("1", "whether the accuracy asked for is reached"),
    "evaluations": ("1", "passes over all dies and data, a backward one counted as two"),
    "design": ("1", "design"),
    "die": ("1", "die"),
    "read": ("1", "read"),
    "site": ("1", "site"),
    "component": ("1", "component"),
    "column": ("1", "column"),
    "count": ("1", "ideal sum of products"),
    "count_read": ("1", "sum of products as read, mean over reads"),
    "count_sigma": ("1", "standard deviation of the sum over reads"),
    "error": ("1", "sum as read less ideal sum"),
    "out_of_range": ("1", "fraction of line values outside the readout's range"),
    "decided_up": ("1", "probability of the decision +1"),
    "source": ("1", "source of an error or of a reference"),
    "variance": ("1", "mean square error of a read, counts squared"),
    "share": ("1", "share of the mean square error"),
    "error_sigma": ("1", "root mean square error of a read, counts"),
    "compute_snr": ("dB", "signal-to-noise ratio of the sum of products"),
    "evaluation": ("1", "evaluation"),
    "line_voltage": ("V", "line voltage at the decision, closed form"),
    "line_voltage_spice": ("V", "line voltage at the decision, circuit simulator"),
    "supply_energy": ("J", "energy from the supply in an evaluation, closed form"),
    "supply_energy_spice": ("J", "energy from the supply in an evaluation, circuit simulator"),
    "rung": ("1", "rung of the ladder of trust"),
    "model": ("unit of the rung", "value by the model"),
    "reference": ("unit of the rung", "reference, of a range the nearest end"),
    "reference_low": ("unit of the rung", "low end of the reference"),
    "reference_high": ("unit of the rung", "high end of the reference"),
    "ratio": ("1", "model over reference"),
    "tolerance": ("1 or unit of the rung", "allowed distance from the reference, relative unless absolute"),
    "absolute": ("1", "whether the tolerance is in the unit of the rung"),
    "within": ("1", "whether the model is within the tolerance"),
    "unit": ("1", "unit of model and reference"),
    "level": ("1", "level of the ladder of trust"),
    "kind": ("1", "whether the model was calibrated on the reference"),
    "held_out": ("1", "whether the reference was set aside before calibration"),
    "note": ("1", "why a miss is missed"),
}
"""Unit and long name of every variable and coordinate that a study returns."""


def labelled(
    variables: Mapping[str, tuple[Sequence[str], Any]],
    coordinates: Mapping[str, Any],
    attributes: Mapping[str, Any],
    *,
    labels: Mapping[str, tuple[str, str]] | None = None,
) -> xr.Dataset:
    """Dataset with `units` and `long_name` on every variable and coordinate.

    Args:
        variables: Dimensions and values by name.
        coordinates: Values by name.
        attributes: Of the whole.
        labels: Unit and long name of what is not in `UNITS_AND_NAMES`, such as the settings of a study.

    Returns:
        The Dataset.

    Raises:
        KeyError: A name has no entry in either and is no `clipped_...` of a macro's own.
    """
    given = labels or {}
    dataset = xr.Dataset(
        {name: (tuple(dims), values) for name, (dims, values) in variables.items()},
        coords=dict(coordinates),
        attrs=dict(attributes),
    )
    for name in [*dataset.data_vars, *dataset.coords]:
        units, long_name = given[str(name)] if name in given else _units_and_name(str(name))
        dataset[name].attrs |= {"units": units, "long_name": long_name}
    return dataset


def _units_and_name(name: str) -> tuple[str, str]:
    own = name.startswith("clipped_") and name not in UNITS_AND_NAMES
    return ("1", f"fraction of {name.removeprefix('clipped_')} out of range") if own else UNITS_AND_NAMES[name]


def described(hardware: Any) -> str:
    """Every setting of a macro or accelerator as JSON, for the attributes of a result: what is needed to run it again.

    Args:
        hardware: Nested frozen dataclasses; each becomes its type and its fields, an array its numbers.

    Returns:
        JSON text; a traced value is given as null, since it has no number.
    """
    return json.dumps(_plain(hardware))


def key_words(key: PRNGKeyArray | None) -> list[int]:
    """A key as plain numbers, for the attributes of a result; none are no key."""
    return [] if key is None else [int(word) for word in np.ravel(jax.random.key_data(key))]


def versions() -> dict[str, str]:
    """Versions that a result was computed with, for its attributes."""
    return {"amsim_version": importlib.metadata.version("amsim"), "jax_version": jax.__version__}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__} | fields
    if isinstance(value, jax.core.Tracer):
        return None
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return np.asarray(value).tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)
