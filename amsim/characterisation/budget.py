"""Noise budget of a column: share of each source in the error of a read, as labelled data."""

import math

import numpy as np
import xarray as xr

from amsim.characterisation.quantities import LABELS
from amsim.circuits.charge.column_error import signal_to_noise
from amsim.circuits.checks import part_of
from amsim.circuits.contract.macro import Macro
from amsim.deployment.chip import Chip
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance


def noise_budget(
    macro: Macro | Chip,
    *,
    site: str | None = None,
    rows: int | None = None,
    activity: float = 0.5,
    readout: str | None = None,
) -> xr.Dataset:
    """Share of each source in the mean square error of one read of a column.

    Args:
        macro: A macro whose family has closed forms of its error, such as `SwitchedCapacitor`, or a chip with such
            macros that has been called.
        site: Name of a site of the chip: the budget is that of its macro as the site uses it, over the rows of a whole
            tile, with the readout that really reads it - the comparator of a fused neuron, or the converter with the
            range and centre that a calibration chose. May be left out where the chip has one site.
        rows: Products summed; None is all rows of the macro, or those of the site.
        activity: Probability that a product is +1.
        readout: "adc" (read as a number) or "comparator"; None is that of the site, and of a macro alone the ADC where
            there is one. The attribute `readout` of the result says which it is.

    Returns:
        Dataset over `source`: `variance` in counts^2 and `share` of the sum; beside them `error_sigma` in counts and
        `compute_snr` in dB. Names are those that the macro's sources of error declare as their effects.

    Raises:
        ValueError: An argument out of range, a readout that the macro does not have or the site does not use, an
            unknown site, a chip that has not been called, a family without closed forms, or one that names what none of
            its sources declares.

    Equations, validity and sources of the switched-capacitor array are those of
    `amsim.circuits.charge.column_error.error_variances`.
    """
    if isinstance(macro, Chip):
        macro, rows, readout = _at_site(macro, site, rows, readout)
    elif site is not None:
        raise ValueError(f"Argument `site` must be None for a macro, which has no sites, but is {site!r}.")
    part_of("macro", macro, Macro)
    variances = macro.error_variances(rows=rows, activity=activity, readout=readout)
    declared = {effect for placed in macro.all_error_sources() for effect in placed.source.effects}
    unknown = [name for name in variances if name not in declared]
    if unknown:
        raise ValueError(
            f"{type(macro).__name__}.error_variances must name effects of its sources of error, which are "
            f"{', '.join(sorted(declared)) or 'none'}, but names {unknown[0]!r}."
        )
    products = macro.line_rows if rows is None else rows
    found = {name: float(value) for name, value in variances.items()}
    total = sum(found.values())
    combined, together = macro.combined_columns, macro.input_bits // macro.input_slices
    ratio = float(signal_to_noise(variances, products, activity, combined, together)) if total > 0 else math.inf
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
            "site": "" if site is None else site,
            "readout": readout or ("adc" if macro.reads_numbers else "comparator"),
        },
        labels=LABELS,
    )


def _at_site(chip: Chip, name: str | None, rows: int | None, readout: str | None) -> tuple[Macro, int, str]:
    """Macro of a site as it uses it, rows of a whole tile, and the readout that reads it."""
    mapped = {one.site.name: one for one in chip.mapped_sites()}
    name = next(iter(mapped)) if name is None and len(mapped) == 1 else name
    if name not in mapped:
        raise ValueError(f"Argument `site` must be one of {', '.join(mapped)}, but is {name!r}.")
    one = mapped[name]
    macro, product = chip.accelerator.macros[one.macro], one.site.product
    own = macro if chip.calibration is None else chip.calibration.of(name).macro(macro)
    used = "adc" if one.chain is None else "comparator"
    if readout not in (None, used):
        raise ValueError(f"Argument `readout` must be {used!r} or None, which reads site {name!r}, but is {readout!r}.")
    whole = product.tile_blocks(macro.for_product(product).line_rows) * product.row_block
    return own, whole if rows is None else rows, used
