# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sliders
#
# Move the unit capacitance, the noise of the comparators and the supply of a switched-capacitor array, and see at once
# what becomes of the accuracy of a network and of its energy per inference. One call of `amsim.sweep` measures the map
# first (half a minute); the sliders only read it.
#
# The sliders need a running notebook: `pip install 'amsim[jupyter]'`, then `jupyter lab`. A page shows one position.

# %%
import ipywidgets
import jax
import matplotlib.pyplot as plt

import amsim
from amsim import networks, plot

DIES = 2  # more dies, narrower intervals
IMAGES = 200
CAPACITOR, NOISE, SUPPLY = "macro.unit_capacitance", "macro.comparator.noise", "macro.supply"

# %% [markdown]
# ## The map
#
# The binary reference network with its layers as the comparison places them, on the same dies at every point. All three
# knobs are continuous, so the whole map is one compilation.

# %%
design = amsim.design("switched-capacitor-1b")
study = amsim.study(
    *networks.load(design.network),
    design.accelerator(),
    amsim.load_dataset("fashion-mnist-mini").test[:IMAGES],
    quantities=("accuracy", "energy"),
)
knobs = {
    CAPACITOR: [0.1e-15, 0.3e-15, 1e-15, 3e-15],
    NOISE: [0.2e-3, 0.5e-3, 1e-3, 2e-3, 4e-3],
    SUPPLY: [0.6, 0.7, 0.8],
}
found = amsim.sweep(study, knobs, key=jax.random.key(0), dies=DIES)
accuracy, energy = found["accuracy"].mean(("die", "read")), found["energy"].sum("component")
print(f"{accuracy.size} circuits, accuracy {float(accuracy.min()):.1%} to {float(accuracy.max()):.1%}")


# %% [markdown]
# ## The knobs
#
# Left: the map at the chosen supply, with the chosen point. Right: where the energy of one inference goes.


# %%
def show(capacitor, noise, supply):
    """Accuracy and energy at one point of the map."""
    at = {CAPACITOR: capacitor, NOISE: noise, SUPPLY: supply}
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    plot.plot_sweep_map(found.sel({SUPPLY: supply}, drop=True), x=CAPACITOR, y=NOISE, ax=left)
    left.plot(capacitor, noise, "o", color="#D55E00", markersize=12, markeredgecolor="white", clip_on=False, zorder=5)
    parts = found["energy"].sel(at)
    right.barh(parts["component"].values, 1e9 * parts.values, color="#0072B2")
    right.set(xlabel="energy per inference (nJ)", xlim=(0, 1.05e9 * float(found["energy"].max())))
    fig.suptitle(f"{float(accuracy.sel(at)):.1%} correct at {1e9 * float(energy.sel(at)):.0f} nJ per inference")
    plt.show()


show(1e-15, 1e-3, 0.7)


# %% [markdown]
# The same with sliders:


# %%
def slider(name, unit, scale):
    """Slider over the values of one axis of the map."""
    values = [(f"{scale * value:g} {unit}", value) for value in found[name].values]
    return ipywidgets.SelectionSlider(options=values, value=values[1][1], continuous_update=False)


ipywidgets.interact(
    show, capacitor=slider(CAPACITOR, "fF", 1e15), noise=slider(NOISE, "mV", 1e3), supply=slider(SUPPLY, "V", 1)
)

# %% [markdown]
# Another map, another question: put other knobs and values into `knobs`, or load a result that was saved with
# `found.to_netcdf("map.nc")` by `xarray.load_dataset("map.nc")`.
