"""Noise budget of a column: where the error of a read comes from, as labelled data."""

import math

import numpy as np
import xarray as xr

from amsim.characterisation.quantities import LABELS
from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.column_error import error_variances, signal_to_noise
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance


def noise_budget(
    macro: CapacitorArray, *, rows: int | None = None, activity: float = 0.5, readout: str | None = None
) -> xr.Dataset:
    """Share of each source in the mean square error of one read of a switched-capacitor column.

    Args:
        macro: The array.
        rows: Products summed; None is all rows of the macro.
        activity: Probability that a product is +1.
        readout: "adc" or "comparator"; None is the ADC where there is one.

    Returns:
        Dataset over `source`: `variance` in counts^2 and `share` of the sum; beside them `error_sigma` in counts and
        `compute_snr` in dB.

    Raises:
        ValueError: An argument out of range, or a readout that the macro does not have.

    The equations, their validity and sources are those of `amsim.circuits.charge.column_error.error_variances`.
    """
    variances = error_variances(macro, rows=rows, activity=activity, readout=readout)
    products = macro.rows if rows is None else rows
    found = {name: float(value) for name, value in variances.items()}
    total = sum(found.values())
    ratio = float(signal_to_noise(variances, products, activity)) if total > 0 else math.inf
    values = np.array(list(found.values()))
    return labelled(
        {
            "variance": (("source",), values),
            "share": (("source",), values / total if total > 0 else np.zeros_like(values)),
            "error_sigma": ((), math.sqrt(max(total, 0.0))),
            "compute_snr": ((), ratio),
        },
        {"source": list(found)},
        {
            **provenance(macro=macro),
            "rows": products,
            "activity": activity,
            "readout": readout or ("adc" if macro.adc is not None else "comparator"),
        },
        labels=LABELS,
    )
