"""Accuracy of the one-bit switched-capacitor design as found, against the noise of its comparators, two of them marked.

    python docs/draw_comparator_noise.py 1000 2  # images, dies; writes docs/comparator_noise.png, prints the table

The default comparator's 0.4 mV is recalled from a dynamic-bias comparator in 65 nm; 1.46 mV is what C3SRAM measured on
its columns (0.97 sums, referred to its line).
"""

import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import amsim
from amsim import networks
from amsim.chips.designs import design
from amsim.comparison.procedure import choice_key, find_design

NOISE = "macro.comparator.noise"
MARKED = {"default, recalled": 0.4e-3, "C3SRAM, measured": 1.46e-3}
VOLTS = np.array([0.1e-3, 0.2e-3, 0.4e-3, 0.7e-3, 1e-3, 1.46e-3, 2e-3, 3e-3])
PICTURE = Path(__file__).parent / "comparator_noise.png"


def measure(images: int, dies: int) -> xr.Dataset:
    """Accuracy over noise and dies on the first test images, of the design that `amsim compare` finds."""
    data, one = amsim.load_dataset("fashion-mnist-mini"), design("switched-capacitor-1b")
    net, params = networks.load(one.network)
    found = find_design(one, net, params, data.train, choice_key(0)).candidate
    print(f"{one.name} as found: {found.setting}", flush=True)
    study = amsim.study(net, params, found.accelerator, data.test[:images])
    return amsim.sweep(study, {NOISE: VOLTS}, dies=dies, key=jax.random.key(0))


def draw(study: xr.Dataset) -> plt.Figure:
    """Mean over dies with its spread, and a line at each of the two noises."""
    figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
    amsim.plot.plot_sweep(study, x=NOISE, logarithmic=True, ax=ax)
    for label, volts in MARKED.items():
        # To the left of its line, where the curve is high.
        ax.axvline(volts, color="0.4", linestyle=":", linewidth=1)
        text = f"{label} \n{1e3 * volts:g} mV "
        ax.annotate(text, (volts, 0.02), xycoords=("data", "axes fraction"), fontsize=8, color="0.3", ha="right")
    return figure


if __name__ == "__main__":
    images, dies = (int(word) for word in (*sys.argv[1:], "1000", "8")[:2])
    found = measure(images, dies)
    mean, spread = (getattr(found["accuracy"], name)(["die", "read"]) for name in ("mean", "std"))
    for volts in VOLTS:
        one = {NOISE: volts}
        print(f"{1e3 * volts:5.2f} mV  {100 * float(mean.sel(one)):.2f} % +- {100 * float(spread.sel(one)):.2f}")
    draw(found).savefig(PICTURE, dpi=110)
