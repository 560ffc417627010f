# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Noise against accuracy
#
# How much noise may an array have before a network notices, and does it matter where the noise comes from? The answer
# decides the size of a capacitor, the energy of a comparator and the supply of a memory - so it is worth having as a
# curve with a band, for each of the circuit families.

# %%
import dataclasses

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np

import amsim
from amsim import circuits, networks, plot

DIES = 2  # more dies, narrower bands
IMAGES = 250  # of the 2000 test images
KEY = jax.random.key(6)  # common to all points: the same dies and reads everywhere, so that curves are smooth
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"

data = amsim.load_dataset("fashion-mnist-mini").test[:IMAGES]
net, params = networks.load("binary-fashion")


def accuracy(macro, network=(net, params)):
    """Mean accuracy with the ends of its 95 % interval, in percent."""
    result = amsim.evaluate(*network, macro, data, dies=DIES, key=KEY)
    return [100 * float(result[f"accuracy_{name}"]) for name in ("mean", "low", "high")]


def curve(macros, network=(net, params)):
    """The three of `accuracy` for a list of macros, one array each."""
    return np.array([accuracy(macro, network) for macro in macros]).T


def draw(ax, x, found, label, color, marker):
    mean, low, high = found
    ax.plot(x, mean, color=color, marker=marker, label=label)
    ax.fill_between(x, np.clip(low, 0, 100), np.clip(high, 0, 100), color=color, alpha=0.2, linewidth=0)


ideal = accuracy(circuits.Exact())[0]
print(f"plain network: {ideal:.1f} % of {IMAGES} images")

# %% [markdown]
# ## One source: the comparator
#
# A fused neuron - product, threshold, sign - is one decision of a comparator on one line. Its input-referred noise, in
# volts, becomes noise in **counts** (a count is one product more or less): `counts = noise * 2 C_tot / (VDD C_u)`.
# The energy of a decision falls with the square of the noise, so a designer wants as much noise as the network takes.

# %%
array = circuits.SwitchedCapacitor(mismatch_coefficient=0.0, temperature=0.0)
array = eqx.tree_at(lambda m: m.comparator.offset_sigma, array, array.comparator.offset_sigma * 0)
millivolts = np.array([0.4, 1.0, 2.0, 4.0, 8.0, 16.0])
noisy = [eqx.tree_at(lambda m: m.comparator.noise, array, array.comparator.noise * 0 + 1e-3 * v) for v in millivolts]
by_comparator = curve(noisy)
counts_of_comparator = np.array([float(macro.noise_counts) for macro in noisy])
energy = [1e15 * float(macro.comparator.energy()) for macro in noisy]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
draw(left, millivolts, by_comparator, "switched-capacitor, comparator noise only", BLUE, "o")
left.axhline(ideal, color="black", linestyle="--", linewidth=0.8, label="plain network")
left.set(xscale="log", xlabel="comparator noise (mV)", ylabel="accuracy (%)")
left.legend(fontsize=8)
draw(right, energy, by_comparator, "the same, by what a decision costs", BLUE, "o")
right.set(xlabel="energy of a decision (fJ)", ylabel="accuracy (%)")
right.legend(fontsize=8)
for ax in (left, right):
    ax.grid(color="#DDDDDD", linewidth=0.6)

# %% [markdown]
# ## Another source: the unit capacitor
#
# Small capacitors cost twice: `kT/C` noise, new at every read, and mismatch, fixed for each die. Switching one off at a
# time tells which of them decides how small a capacitor may be.

# %%
quiet = eqx.tree_at(lambda m: m.comparator.noise, array, array.comparator.noise * 0)
femtofarads = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
default = circuits.SwitchedCapacitor()


def capacitors(temperature, mismatch):
    return [
        dataclasses.replace(quiet, unit_capacitance=1e-15 * c, temperature=temperature, mismatch_coefficient=mismatch)
        for c in femtofarads
    ]


thermal = capacitors(float(default.temperature), 0.0)
by_heat = curve(thermal)
by_mismatch = curve(capacitors(0.0, float(default.mismatch_coefficient)))
by_both = curve(capacitors(float(default.temperature), float(default.mismatch_coefficient)))
counts_of_heat = np.array([float(macro.noise_counts) for macro in thermal])

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
draw(ax, femtofarads, by_heat, "kT/C noise only", RED, "s")
draw(ax, femtofarads, by_mismatch, "mismatch only", GREEN, "^")
draw(ax, femtofarads, by_both, "both", BLUE, "o")
ax.axhline(ideal, color="black", linestyle="--", linewidth=0.8, label="plain network")
ax.set(xscale="log", xlabel="unit capacitance (fF)", ylabel="accuracy (%)")
ax.legend(fontsize=8)
ax.grid(color="#DDDDDD", linewidth=0.6)

# %% [markdown]
# ## A count is a count
#
# Drawn against the noise on the line in counts, comparator noise and kT/C noise give one and the same curve: the
# network does not know where a disturbance of a decision comes from. So one curve of accuracy against counts, measured
# once, sizes every part that adds to the noise - and `amsim.noise_budget` says which part that is.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
draw(left, counts_of_comparator, by_comparator, "comparator noise", BLUE, "o")
draw(left, counts_of_heat, by_heat, "kT/C noise", RED, "s")
left.set(xscale="log", xlabel="noise of a decision (counts)", ylabel="accuracy (%)")
left.legend(fontsize=8)
left.grid(color="#DDDDDD", linewidth=0.6)
plot.plot_noise_budget(amsim.noise_budget(default, readout="comparator"), ax=right)
overlap = (counts_of_heat > counts_of_comparator[0]) & (counts_of_heat < counts_of_comparator[-1])
expected = np.interp(np.log(counts_of_heat[overlap]), np.log(counts_of_comparator), by_comparator[0])
print("kT/C against comparator noise at equal counts:", np.round(by_heat[0][overlap] - expected, 1), "points")
assert np.all(np.abs(by_heat[0][overlap] - expected) < 6)

# %% [markdown]
# ## The other families
#
# The digital binary array is exact until its supply is so low that weight cells lose their bits. The multi-bit
# switched-capacitor array reads each bit slice with an ADC, whose step is noise of its own kind.

# %%
volts = np.array([0.66, 0.6, 0.55, 0.5, 0.46, 0.42])
cells = circuits.SramCell()
by_supply = curve([circuits.DigitalBinary(supply=v, weight_cells=cells) for v in volts])
error_rates = [float(cells.bit_error_rate(v)) for v in volts]

four_bit = networks.load("4-bit-fashion")
bits = np.array([4, 6, 8])
converters = [
    circuits.SwitchedCapacitor(
        weight_bits=4,
        input_bits=4,
        supply=0.8,
        comparator=circuits.Comparator(noise=0.2e-3),
        adc=circuits.Adc(bits=int(b)),
    )
    for b in bits
]
by_bits = curve(converters, four_bit)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
draw(left, volts, by_supply, "digital binary, weight cells lose bits", GREEN, "^")
left.axhline(ideal, color="black", linestyle="--", linewidth=0.8, label="plain network")
left.set(xlabel="supply of the array (V)", ylabel="accuracy (%)")
left.legend(fontsize=8)
draw(right, bits, by_bits, "4-bit network on switched capacitors", BLUE, "o")
plain_four_bit = accuracy(circuits.Exact(), four_bit)[0]
right.axhline(plain_four_bit, color="black", linestyle="--", linewidth=0.8, label="plain 4-bit network")
right.set(xlabel="ADC resolution (bit)", ylabel="accuracy (%)", xticks=bits)
right.legend(fontsize=8)
for ax in (left, right):
    ax.grid(color="#DDDDDD", linewidth=0.6)

# %% [markdown]
# ## Answer

# %%
lost = ideal - by_comparator[0]
affordable, counts = millivolts[lost < 2].max(), counts_of_comparator[lost < 2].max()
print(f"Comparator noise up to {affordable:g} mV ({counts:.1f} counts) costs less than 2 points;")
print(f"at 1 fF the capacitors add {counts_of_heat[-1]:.2f} counts, so they are larger than noise asks for;")
digital, failing = ideal - by_supply[0], 100 * error_rates[-1]
print(
    f"the digital array loses {digital[0]:.1f} points at {volts[0]:.2f} V and {digital[-1]:.0f} at {volts[-1]:.2f} V,"
)
print(f"where {failing:.0f} % of its weight cells fail.")
assert lost[0] < 3
assert lost[-1] > 10
assert abs(by_supply[0][0] - ideal) < 1
