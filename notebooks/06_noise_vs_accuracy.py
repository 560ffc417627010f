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
# # Noise against accuracy
#
# How much noise may an array have before a network notices, and does it matter where the noise comes from? The answer
# decides the size of a capacitor, the energy of a comparator and the supply of a memory - so here it is as a
# curve with a band, for each circuit family.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import amsim
from amsim import circuits, networks, plot

DIES = 4  # more dies, more reliable bands
IMAGES = 200  # of the 2000 test images
KEY = jax.random.key(6)  # common to all points: the same dies and reads everywhere, so that curves are smooth
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"
NOISE, CAPACITOR, SUPPLY, ADC = "macro.comparator.noise", "macro.unit_capacitance", "macro.supply", "macro.adc.bits"

data = amsim.load_dataset("fashion-mnist-mini").test[:IMAGES]
net, params = networks.load("binary-fashion")


def sweep(hardware, axes, network=(net, params)):
    """Accuracy over the axes and dies."""
    return amsim.sweep(amsim.study(*network, hardware, data, quantities=("accuracy",)), axes, key=KEY, dies=DIES)


def without_circuits(network=(net, params)):
    answers = np.argmax(jax.jit(network[0])(network[1], data.inputs), axis=-1)
    return float(np.mean(answers == data.labels))


def with_limit(ax, accuracy):
    """Draw the accuracy of the network without circuits."""
    ax.axhline(accuracy, color="black", linestyle="--", linewidth=0.8)
    ax.annotate("without circuits", (0.01, accuracy), (0, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", fontsize=8)  # fmt: skip
    ax.set_ylim(0, 1.02)


def draw(ax, x, values, label, color, marker):
    """Draw the mean over dies, with a band from the worst to the best die."""
    by_die = values.mean("read").transpose("die", ...)
    ax.plot(x, by_die.mean("die"), color=color, marker=marker, label=label)
    ax.fill_between(x, by_die.min("die"), by_die.max("die"), color=color, alpha=0.2, linewidth=0)
    ax.grid(color="#DDDDDD", linewidth=0.6)


ideal = without_circuits()
print(f"network without circuits: {100 * ideal:.1f} % of {IMAGES} images")

# %% [markdown]
# ## One source: the comparator
#
# A fused neuron - product, threshold, sign - is one decision of a comparator on one line. Its input-referred noise, in
# volts, becomes noise in **counts** (a count is one product more or less): `counts = noise * 2 C_tot / (VDD C_u)`.
# The energy per decision falls with the square of the noise, so a designer allows all the noise that is tolerable.
#
# This curve and those of the next section differ in continuous settings only. As a list of points they are one sweep
# with a single compilation.

# %%
default = circuits.SwitchedCapacitor()
array = amsim.with_settings(default, {"macro.comparator.offset_sigma": 0.0})
volts = 1e-3 * np.array([0.4, 1.0, 2.0, 4.0, 8.0, 16.0])
farads = 1e-15 * np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
heat, mismatch = float(default.temperature), float(default.mismatch_coefficient)
on = {  # of each curve: comparator noise, unit capacitance, temperature, mismatch
    "comparator noise only": (volts, 1e-15, 0.0, 0.0),
    "kT/C noise only": (0.0, farads, heat, 0.0),
    "mismatch only": (0.0, farads, 0.0, mismatch),
    "kT/C noise and mismatch": (0.0, farads, heat, mismatch),
}
table = np.concatenate([np.stack(np.broadcast_arrays(*curve)) for curve in on.values()], axis=1)
paths = (NOISE, CAPACITOR, "macro.temperature", "macro.mismatch_coefficient")
swept = sweep(array, amsim.points(dict(zip(paths, table, strict=True))))
curves = {name: swept.isel(point=slice(6 * place, 6 * place + 6)) for place, name in enumerate(on)}

by_comparator = curves["comparator noise only"].swap_dims(point=NOISE)
noisy = [amsim.with_settings(array, {NOISE: one, "macro.temperature": 0.0}) for one in volts]
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
plot.plot_sweep(by_comparator, logarithmic=True, ax=left)
with_limit(left, ideal)
energy = [1e15 * float(macro.comparator.energy()) for macro in noisy]
draw(right, energy, by_comparator["accuracy"], "the same, by what a decision costs", BLUE, "o")
right.set(xlabel="energy per decision (fJ)", ylabel="classification accuracy")
with_limit(right, ideal)
plt.show()

# %% [markdown]
# ## Another source: the unit capacitor
#
# Small capacitors cost twice: `kT/C` noise, new at every read, and mismatch, fixed for each die. Switching off one at a
# time shows which of them limits how small a capacitor may be.

# %%
fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for (name, curve), color, marker in zip(list(curves.items())[1:], (RED, GREEN, BLUE), "s^o", strict=True):
    draw(ax, 1e15 * farads, curve["accuracy"], name, color, marker)
ax.set(xscale="log", xlabel="unit capacitance (fF)", ylabel="classification accuracy")
ax.xaxis.set_major_formatter("{x:g}")
ax.legend(fontsize=8)
with_limit(ax, ideal)
plt.show()

# %% [markdown]
# ## Counts are all that matters
#
# Drawn against the noise on the line in counts, comparator noise and kT/C noise give the same curve: the
# network does not see where a disturbance of a decision comes from. So one curve of accuracy against counts, measured
# once, sizes every part that adds to the noise - and `amsim.noise_budget` shows which part dominates.

# %%
thermal = [amsim.with_settings(array, {NOISE: 0.0, CAPACITOR: one}) for one in farads]
counts_of_comparator, counts_of_heat = (
    np.array([float(macro.noise_counts) for macro in macros]) for macros in (noisy, thermal)
)
by_heat = curves["kT/C noise only"]["accuracy"]
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
draw(left, counts_of_comparator, by_comparator["accuracy"], "comparator noise", BLUE, "o")
draw(left, counts_of_heat, by_heat, "kT/C noise", RED, "s")
left.set(xscale="log", xlabel="noise per decision (counts)", ylabel="classification accuracy")
left.xaxis.set_major_formatter("{x:g}")
left.legend(fontsize=8)
plot.plot_noise_budget(amsim.noise_budget(default, readout="comparator"), ax=right)
plt.show()
mean_by_comparator = by_comparator["accuracy"].mean(("die", "read")).values
overlap = (counts_of_heat > counts_of_comparator[0]) & (counts_of_heat < counts_of_comparator[-1])
expected = np.interp(np.log(counts_of_heat[overlap]), np.log(counts_of_comparator), mean_by_comparator)
difference = 100 * (by_heat.mean(("die", "read")).values[overlap] - expected)
print("kT/C against comparator noise at equal counts:", np.round(difference, 1), "points")
assert np.all(np.abs(difference) < 6)

# %% [markdown]
# ## The other families
#
# The digital binary array is exact until its supply is so low that weight cells fail. The multi-bit
# switched-capacitor array reads each bit slice with an ADC, whose quantisation is another kind of noise.

# %%
cells = circuits.SramCell()
supplies = [0.42, 0.46, 0.5, 0.55, 0.6, 0.66]
by_supply = sweep(circuits.DigitalBinary(weight_cells=cells), {SUPPLY: supplies})
two_bit = networks.load("2-bit-fashion")
by_bits = sweep(amsim.design("switched-capacitor-2b").accelerator(), {ADC: [4, 8]}, two_bit)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
plot.plot_sweep(by_supply, ax=left)
left.set_title("digital binary, failing weight cells", fontsize=9, y=0.05)
with_limit(left, ideal)
plot.plot_sweep(by_bits, ax=right)
right.set_title("2-bit network on switched capacitors", fontsize=9, y=0.05)
with_limit(right, without_circuits(two_bit))
plt.show()

# %% [markdown]
# ## Answer

# %%
lost = 100 * (ideal - mean_by_comparator)
affordable, counts = 1e3 * volts[lost < 2].max(), counts_of_comparator[lost < 2].max()
print(f"Comparator noise up to {affordable:g} mV ({counts:.1f} counts) costs less than 2 points;")
print(f"at 1 fF the capacitors add {counts_of_heat[-1]:.2f} counts, so they are larger than noise requires;")
digital = 100 * (ideal - by_supply["accuracy"].mean(("die", "read")).values)
failing = 100 * float(cells.bit_error_rate(supplies[0]))
print(f"the digital array loses {digital[-1]:.1f} points at {supplies[-1]} V and {digital[0]:.0f} at {supplies[0]} V,")
print(f"where {failing:.0f} % of its weight cells fail;")
converted = 100 * by_bits["accuracy"].mean(("die", "read")).values
print(f"with converters of 4 bit the 2-bit network has {converted[0]:.0f} %, with 8 bit {converted[1]:.0f} %.")
assert lost[0] < 3
assert lost[-1] > 10
assert abs(digital[-1]) < 1
assert converted[1] > converted[0] + 10
