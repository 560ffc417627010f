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
# # Three circuit families, one task
#
# An always-on chip has to classify small pictures. Should its multiply-accumulates be **switched-capacitor
# binary-analog** (Bankman, ISSCC'18), **digital binary** (BinarEye, CICC'18) or **digital multi-precision**
# (Envision, ISSCC'17)? The efficiency of the array alone does not answer that: what counts is the energy of a whole
# inference at the accuracy reached, memories and control included.
#
# This notebook deploys trained networks on models of all three and compares them in numbers.

# %%
import dataclasses

import jax
import matplotlib.pyplot as plt
import numpy as np

import amsim
from amsim import circuits, networks, plot

DIES = 4  # more dies, narrower intervals
IMAGES = 1000  # of the 2000 test images

# %% [markdown]
# ## The task and the networks
#
# Real pictures (a subset of Fashion-MNIST that comes with the package) and one topology at four word lengths, trained
# by `amsim train` on the full set. The binary network takes its pixels as a thermometer code, as published chips do.

# %%
data = amsim.load_dataset("fashion-mnist-mini")
test = data.test[:IMAGES]
fig, axes = plt.subplots(1, 10, figsize=(12, 1.6))
for label, ax in enumerate(axes):
    ax.imshow(test.inputs[np.argmax(test.labels == label)], cmap="gray_r")
    ax.set_title(data.classes[label], fontsize=8)
    ax.set_axis_off()

# %% [markdown]
# ## A macro on its own
#
# A macro can be used without any network. Below, every line of a switched-capacitor array reads known sums. Its
# capacitors differ (mismatch), its comparator has noise and an offset that is trimmed in steps, and its 8-bit ADC
# quantises.

# %%
macro = circuits.SwitchedCapacitor(rows=256, columns=32, unit_capacitance=1e-15, supply=0.6)
characteristic = amsim.characterise(macro, key=jax.random.key(0), dies=4, reads=16)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
plot.plot_transfer_curve(characteristic, ax=left)
plot.plot_error_histogram(characteristic, ax=right)
print(f"noise per read {float(macro.noise_counts):.2f} counts; one wrong product moves the sum by 2")

# %% [markdown]
# Without noise, mismatch and offset, and with an ADC that resolves one count, the same array is popcount, bit for bit:

# %%
keys = jax.random.split(jax.random.key(1), 3)
inputs = jax.random.rademacher(keys[0], (100, 256)).astype(float)
weights = jax.random.rademacher(keys[1], (256, 32)).astype(float)
ideal = macro.ideal()
sums = ideal.matmul(inputs, weights, die=ideal.fabricate(keys[2]), key=keys[2])
assert np.array_equal(sums, np.asarray(inputs) @ np.asarray(weights))

# %% [markdown]
# ## A network on a chip
#
# `amsim.deploy` takes the network as a plain function, finds its products and puts them on the macros. On Bankman's
# chip every convolution becomes a fused neuron: sum, threshold and sign are one comparator decision. The last layer
# needs numbers, so a rule sends it to a digital unit.

# %%
net, params = networks.load("binary-fashion")
binary = amsim.design("switched-capacitor-1b").accelerator()
chip = amsim.deploy(net, params, binary, key=jax.random.key(0))
logits = chip(test.inputs, key=jax.random.key(1))
print(f"accuracy of this die: {np.mean(np.argmax(logits, axis=-1) == test.labels):.3f}")
chip.sites()

# %% [markdown]
# The same pass over the network counts energy, by site and component. The weights are fetched once per inference and
# dominate: **the system matters, not the array's TOPS/W**.

# %%
cost = chip.cost(test.inputs[:64])
plot.plot_energy_breakdown(cost)
cost["energy"].sum("site").to_series()

# %% [markdown]
# ## The comparison

# %%
comparison = amsim.compare(dies=DIES, data=dataclasses.replace(data, test=test))
plot.plot_comparison(comparison)
print(amsim.verdict(comparison))

# %%
energy = comparison["energy"].sum("component")
for name in comparison["design"].values:
    row = comparison.sel(design=name)
    print(f"{name:24s}{100 * float(row['accuracy_mean']):6.1f} %{1e6 * float(energy.sel(design=name)):9.3f} uJ")

# %% [markdown]
# ## How much error does the analog array tolerate?
#
# The comparator's noise costs accuracy only when it reaches several counts. The same dies are used at every point:
# changing a setting rescales the errors of the same samples.

# %%
study = amsim.study(net, params, binary, test, quantities=("accuracy",))
noises = [0.1e-3, 0.4e-3, 1.6e-3, 6.4e-3]
noisy = amsim.sweep(study, {"macro.comparator.noise": noises}, key=jax.random.key(0), dies=2)
plot.plot_sweep(noisy, logarithmic=True)
accuracies = noisy["accuracy"].mean(("die", "read")).values
assert accuracies[0] > accuracies[-1] + 0.05

# %% [markdown]
# ## Answer

# %%
binary_energy = energy.sel(design="switched-capacitor-1b")
digital_energy = energy.sel(design="digital-binary-1b")
array_ratio = comparison["energy"].sel(component="mac", design="digital-binary-1b") / comparison["energy"].sel(
    component="mac", design="switched-capacitor-1b"
)
system_ratio = float(digital_energy / binary_energy)
print(f"analog against digital binary: array {float(array_ratio):.1f}x, whole system {system_ratio:.1f}x")
print(amsim.verdict(comparison))
assert system_ratio < float(array_ratio)
