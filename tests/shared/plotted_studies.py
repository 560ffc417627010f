"""Results of studies made up for plots, with closed forms, and what a drawing shows of them."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.container import ErrorbarContainer

CAPACITANCE, NOISE = np.geomspace(1e-16, 1e-14, 5), np.geomspace(1e-4, 1e-2, 4)


def two_axes(dies=3):
    """Accuracy `log10(capacitance / noise^2) / 10` and energy `noise^-1`, exactly even in logarithms."""
    accuracy = (np.log10(CAPACITANCE)[:, None] - 2 * np.log10(NOISE)[None, :]) / 10
    spread = np.linspace(-0.1, 0.1, dies)
    return xr.Dataset(
        {
            "accuracy": (
                ("macro.unit_capacitance", "macro.comparator.noise", "die", "read"),
                (accuracy[..., None] + spread)[..., None] + np.array([-0.3, 0.3]),
                {"units": "1", "long_name": "accuracy"},
            ),
            "energy": (
                ("macro.unit_capacitance", "macro.comparator.noise", "component"),
                np.broadcast_to((1 / NOISE)[:, None] * np.array([1e-12, 2e-12]), (5, 4, 2)),
                {"units": "J", "long_name": "energy"},
            ),
        },
        coords={
            "macro.unit_capacitance": CAPACITANCE,
            "macro.comparator.noise": ("macro.comparator.noise", NOISE, {"units": "V", "long_name": "noise"}),
            "component": ["mac", "dram"],
        },
    )


MAP: dict[str, Any] = {"x": "macro.comparator.noise", "y": "macro.unit_capacitance"}


def families(dies=4):
    """Three families x three settings with noise, one point not computed, another twice the same."""
    generator = np.random.default_rng(3)
    energy = generator.uniform(1, 20, (3, 3)) * 1e-9
    accuracy = generator.uniform(0.5, 0.9, (3, 3))[..., None] + generator.normal(0, 0.02, (3, 3, dies))
    accuracy[0, 1, 0] = np.nan
    energy[2, 2], accuracy[2, 2] = energy[1, 0], accuracy[1, 0]
    dims = ("hardware", "macro.adc.bits")
    return xr.Dataset(
        {
            "accuracy": ((*dims, "die"), accuracy, {"units": "1", "long_name": "accuracy"}),
            "energy": (dims, energy, {"units": "J", "long_name": "energy"}),
        },
        coords={
            "hardware": ["analog", "digital", "mixed"],
            "macro.adc.bits": ("macro.adc.bits", [4, 6, 8], {"units": "bit", "long_name": "adc bits"}),
        },
    )


def errorbars(ax) -> list[Any]:
    return [one for one in ax.containers if isinstance(one, ErrorbarContainer)]
