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
# # The system matters
#
# A multiply-accumulate array is only a part of a chip. Should area go to more arrays or to more memory? Should memory
# be local or global, the machine a processor or a systolic array, the supply as low as possible, the operands one bit
# or eight? One model of a whole inference answers all questions below in numbers.
#
# No network is trained or run here: the cost needs only published layer shapes (`amsim.workloads`).

# %%
import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

from amsim import Accelerator, PowerManagement, chips, plot, results, workloads
from amsim.circuits import DigitalBinary, Dram, DramChannel, MultiPrecision, RegisterFile, Sram, SramOrganisation
from amsim.system import (
    COMPONENTS,
    KILOBYTE,
    Spread,
    SystolicArray,
    minimum_energy_supply,
    scaled_to_supply,
    system_cost,
)


def memory(kilobytes):
    """Words of 16 bits in 32 banks, as in Envision."""
    return Sram(capacity=KILOBYTE * kilobytes, organisation=SramOrganisation(word_width=16, banks=32))


def with_memories(accelerator, weight_kilobytes, activation_kilobytes):
    """The accelerator with other memories and a DRAM of 12.8 Gbit/s."""
    return dataclasses.replace(
        accelerator,
        weight_memory=memory(weight_kilobytes),
        activation_memory=memory(activation_kilobytes),
        dram=Dram(channel=DramChannel(bandwidth=12.8e9)),
    )


AXES = {"capacity": ("bit", "memory capacity"), "parallel_macs": ("1", "multiply-accumulates in parallel")}


def swept(name, values, energies):
    """Labelled energy by component against a swept quantity."""
    variables = {"energy": ((name, "component"), np.asarray(energies, float))}
    return results.labelled_dataset(
        variables, {name: np.asarray(values, float), "component": list(COMPONENTS)}, {}, labels=AXES
    )


def compared(costs):
    """Labelled energy by component of several designs."""
    energy = [cost["energy"].sum("site").values for cost in costs.values()]
    variables = {"energy": (("design", "component"), np.asarray(energy))}
    return results.labelled_dataset(variables, {"design": list(costs), "component": list(COMPONENTS)}, {})


def joules(cost):
    return float(cost["energy"].sum())


def micro(energy):
    return f"{1e6 * energy:.3g} uJ"


# %% [markdown]
# ## Where does the energy go?
#
# The mixed-signal binary processor of Bankman et al. with its published network: eight binary convolutions and a
# classifier.

# %%
binary_network = workloads.binary_image_network()
mixed_signal = chips.bankman2018()
cost = mixed_signal.cost(binary_network)
fig, axes = plt.subplots(1, 2, figsize=(13, 5), layout="constrained")
plot.plot_energy_breakdown(cost, ax=axes[0])
plot.plot_utilisation(cost, ax=axes[1])
share = cost["energy"].sum("site") / cost["energy"].sum()
last = cost.sel(site="conv8")
print(
    f"The array takes {100 * float(share.sel(component='mac')):.0f} % of {micro(joules(cost))} per inference; the rest "
    f"is memory, control and leakage. The last convolution uses {100 * float(last['utilisation']):.0f} % of the cells: "
    "loading its weights takes longer than computing with them."
)

# %% [markdown]
# The same as a roofline: the highest speed of a site, given its multiply-accumulates per bit fetched.

# %%
fig, axes = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained")
plot.plot_roofline(cost, memory="activation_memory", ax=axes[0])
plot.plot_roofline(cost, memory="weight_memory", ax=axes[1])
reached = cost["utilisation"].max()
print(
    f"The best site reaches {100 * float(reached):.0f} % of the peak. All convolutions stand right of the activation "
    "memory's corner; late ones make fewer products per weight, so that loading weights limits them."
)

# %% [markdown]
# ## Energy against memory size
#
# A 4-bit network (the Asilomar'17 family, 162 M multiply-accumulates, 870 000 weights) on 256 programmable units. A
# small weight memory sends weights to DRAM; a large one makes every access more expensive and leaks. All sizes are one
# `vmap`.

# %%
network = workloads.quantised_image_network((2, 3, 3), (64, 128, 128))
needed = network.weight_words * 4 / KILOBYTE
processor = with_memories(chips.envision2017(4), 512, 128)


def energy_with(kilobytes):
    hardware = dataclasses.replace(processor, weight_memory=memory(kilobytes))
    return system_cost(hardware, network.layers).energy.sum(axis=0)


largest = max(layer.weight_words for layer in network.layers) * 4 / KILOBYTE
sizes = jnp.geomspace(largest, 4096, 120)  # a smaller memory could not hold the weights that a layer reuses
by_size = swept("capacity", sizes * KILOBYTE, jax.jit(jax.vmap(energy_with))(sizes))
plot.plot_energy_sweep(by_size, "capacity")
totals = by_size["energy"].sum("component").values
best_size = float(sizes[int(np.argmin(totals))])
print(
    f"The weights need {needed:.0f} kB; the energy is lowest at {best_size:.0f} kB. A quarter of that costs "
    f"{np.interp(best_size / 4, sizes, totals) / totals.min():.2f} times as much, four times as much memory "
    f"{np.interp(4 * best_size, sizes, totals) / totals.min():.2f} times."
)
assert 0.9 < best_size / needed < 1.2

# %% [markdown]
# ## More multiply-accumulates or more memory?
#
# First with a given memory: one to four arrays of 256 units side by side. Then at equal area: every array added takes
# its area from the weight memory.

# %%
AREA = 6.8e-6  # m^2, units with their registers and program memory, and weight memory
bit_area = float(memory(1).bit_area)
array_area = float(processor.macros[0].area + processor.organisation.area)
products_a_cycle = processor.macros[0].mode.subwords * 256


def with_arrays(count, kilobytes):
    return dataclasses.replace(processor, spreads=(Spread(count),), weight_memory=memory(kilobytes))


counts = [1, 2, 3, 4]
left_over = [(AREA - count * array_area) / bit_area / KILOBYTE for count in counts]
fixed = [with_arrays(count, 512.0).cost(network) for count in counts]
equal = [with_arrays(count, kilobytes).cost(network) for count, kilobytes in zip(counts, left_over, strict=True)]
parallel = [count * products_a_cycle for count in counts]
areas = [float(one["area"]) for one in equal]
assert max(areas) - min(areas) < 1e-3 * max(areas)
fig, axes = plt.subplots(1, 2, figsize=(13, 4.5), layout="constrained", sharey=True)
for ax, costs in zip(axes, (fixed, equal), strict=True):
    plot.plot_energy_sweep(
        swept("parallel_macs", parallel, [one["energy"].sum("site").values for one in costs]), "parallel_macs", ax=ax
    )
axes[0].text(0.03, 0.94, "512 kB of weight memory", transform=axes[0].transAxes, fontsize=9)
axes[1].text(0.03, 0.94, f"{1e6 * AREA:.0f} mm$^2$ in all", transform=axes[1].transAxes, fontsize=9)
for count, kilobytes, one in zip(counts, left_over, equal, strict=True):
    print(f"{count} arrays and {kilobytes:5.0f} kB: {micro(joules(one))}, {1e3 * float(one['latency'].sum()):.2f} ms")
best = int(np.argmin([joules(one) for one in equal]))
most = equal[-1]
print(
    f"At equal area {counts[best]} arrays with {left_over[best]:.0f} kB need the least energy; one array less needs "
    f"{joules(equal[best - 1]) / joules(equal[best]):.2f} times as much. {counts[-1]} arrays, with too small a memory, "
    f"need {joules(most) / joules(equal[best]):.2f} times as much and are "
    f"{float(equal[best]['latency'].sum() / most['latency'].sum()):.2f} times as fast. Memory first, until the "
    "weights fit; then arrays. More arrays save time, in which memories leak and the control that they share switches; "
    "with one control per array they would save less."
)
assert 0 < best < len(counts) - 1

# %% [markdown]
# ## Local or global memory?
#
# The same 512 kB in all, split between a local weight memory beside the units and a global one behind it, from a local
# part that just holds the largest layer. Units read a weight again for each group of pixels, always from the local
# memory; it comes from the global memory once. Units in a square share a weight among 16 rows; units in one row do not.

# %%
TOTAL = 512.0
local_sizes = jnp.geomspace(largest, 0.98 * TOTAL, 100)
in_a_row = dataclasses.replace(processor, macros=(MultiPrecision(rows=1, columns=256, weight_bits=4, input_bits=4),))
fig, axes = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained")
gains = {}
for ax, (name, base) in zip(axes, {"16 x 16 units": processor, "1 x 256 units": in_a_row}.items(), strict=True):

    def energy_split(local, base=base):
        split = dataclasses.replace(base, weight_memory=memory(local), global_memory=memory(TOTAL - local))
        return system_cost(split, network.layers).energy.sum(axis=0)

    by_split = swept("capacity", local_sizes * KILOBYTE, jax.jit(jax.vmap(energy_split))(local_sizes))
    plot.plot_energy_sweep(by_split, "capacity", ax=ax)
    ax.set_xlabel("local part of 512 kB (bit)")
    ax.text(0.03, 0.94, name, transform=ax.transAxes, fontsize=9)
    split_totals = by_split["energy"].sum("component").values
    local = float(local_sizes[int(np.argmin(split_totals))])
    all_local = joules(dataclasses.replace(base, weight_memory=memory(TOTAL)).cost(network))
    gains[name] = (local, 100 * (1 - split_totals.min() / all_local))
for name, (local, saved) in gains.items():
    print(
        f"{name}: {local:.0f} kB local, the smallest that holds a layer, saves {saved:.1f} % against one memory for all"
    )
assert all(abs(local - largest) < 0.01 * largest for local, _ in gains.values())
print("A small local memory pays where a word is read often; where units share words, it hardly matters.")
assert gains["1 x 256 units"][1] > gains["16 x 16 units"][1]

# %% [markdown]
# ## Programmable processor or systolic array?
#
# The same network and the same units at the same supply, ordered in two ways: instructions with a register file at each
# unit, or operands that move from unit to unit (with the control of the mixed-signal array). Memory for all weights.


# %%
def systolic(bits):
    programmable = chips.envision2017(bits)
    supply = programmable.macros[0].operating_supply
    registers = RegisterFile(words=1, word_width=bits + 24, supply=supply)
    return dataclasses.replace(programmable, organisation=SystolicArray(registers=registers))


def on_chip(accelerator):
    return with_memories(accelerator, 2048, 512)


organised = {}
for bits in (4, 8, 16):
    organised[f"processor, {bits} bit"] = on_chip(chips.envision2017(bits)).cost(network)
    organised[f"systolic array, {bits} bit"] = on_chip(systolic(bits)).cost(network)
plot.plot_energy_breakdown(compared(organised), share=True)
for bits in (4, 8, 16):
    one, other = organised[f"processor, {bits} bit"], organised[f"systolic array, {bits} bit"]
    feeding = [
        float(cost["energy"].sel(component=["registers", "control"]).sum() / cost["energy"].sum())
        for cost in (one, other)
    ]
    print(
        f"{bits:2d} bit: processor {micro(joules(one))} ({100 * feeding[0]:.0f} % registers and control), array "
        f"{micro(joules(other))} ({100 * feeding[1]:.0f} %): {joules(one) / joules(other):.2f} times the energy"
    )
print("The fewer the bits, the more of the energy goes into control instead of computing.")

# %% [markdown]
# ## Over output channels, pixels or input channels?
#
# Four digital binary arrays on the published binary network, with each site split over them in three ways.

# %%
spread = {}
for over in ("output channels", "pixels", "input channels"):
    arrays = Accelerator(DigitalBinary(), spreads=Spread(4, over), dram=None)
    spread[over] = arrays.cost(binary_network)
spread["one array"] = Accelerator(DigitalBinary(), dram=None).cost(binary_network)
plot.plot_energy_breakdown(compared(spread))
for over, one in spread.items():
    bits = one["bits_read"].sum("site")
    print(
        f"{over:16s}{micro(joules(one)):>9s} {1e3 * float(one['latency'].sum()):6.2f} ms, reads "
        f"{1e-6 * float(bits.sel(memory='weight_memory')):.1f} Mbit of weights and "
        f"{1e-6 * float(bits.sel(memory='activation_memory')):.1f} Mbit of activations"
    )
ways = ["output channels", "pixels", "input channels"]
cheapest = min(ways, key=lambda over: joules(spread[over]))
fastest = min(ways, key=lambda over: float(spread[over]["latency"].sum()))
print(
    f"Least energy: over {cheapest}. Least time: over {fastest}. A sum over 1024 inputs is one line already: over "
    "input channels nothing is left to split, and three arrays leak beside the first."
)

# %% [markdown]
# ## The minimum-energy supply
#
# One rail for all, and a clock that follows the gate delay. A lower supply costs less switching energy but more time,
# during which leakage continues. The temperature decides where the minimum lies.

# %%
fig, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
minima = []
for ax, kelvin in zip(axes, (300.0, 345.0, 375.0), strict=True):
    hot = dataclasses.replace(mixed_signal, power=PowerManagement(temperature=kelvin))
    by_supply = minimum_energy_supply(scaled_to_supply(hot), binary_network)
    minima.append(by_supply.attrs)
    plot.plot_energy_sweep(by_supply, "supply", ax=ax)
    ax.text(0.05, 0.93, f"{kelvin - 273.15:.0f} C", transform=ax.transAxes, fontsize=10)
    print(
        f"{kelvin:.0f} K: {micro(by_supply.attrs['minimum_energy'])} at {by_supply.attrs['minimum_supply']:.3f} V "
        f"({by_supply.attrs['minimum_kind']}), {1 / by_supply.attrs['minimum_latency']:.0f} inferences/s"
    )
    errors = dataclasses.replace(mixed_signal.weight_memory, supply=by_supply.attrs["minimum_supply"]).bit_error_rate()
    print(f"       of its memory cells {float(errors):.1e} would fail")
print(
    f"From {minima[0]['minimum_supply']:.2f} V at 300 K ({minima[0]['minimum_kind']}) to "
    f"{minima[-1]['minimum_supply']:.2f} V at 375 K: the minimum is not a constant of the circuit. At 300 K the "
    "range of the delay law ends before leakage dominates; memory cells would fail even earlier."
)
assert minima[0]["minimum_supply"] <= minima[1]["minimum_supply"] < minima[2]["minimum_supply"]

# %% [markdown]
# An always-on chip mostly waits. At a given rate, the energy per inference includes the leakage of the whole period,
# and a supply that is too low for the rate is excluded:

# %%
rates = [10.0, 100.0, 400.0]
for rate in rates:
    awake = dataclasses.replace(mixed_signal, power=PowerManagement(rate=rate, gated_leakage=0.1, retention=0.3))
    at_rate = minimum_energy_supply(scaled_to_supply(awake), binary_network).attrs
    print(
        f"{rate:5.0f} per second: {micro(at_rate['minimum_energy']):>8s} at {at_rate['minimum_supply']:.3f} V "
        f"({at_rate['minimum_kind']})"
    )

# %% [markdown]
# ## One bit or eight?
#
# Fewer bits make every product and every access cheaper, but the network has to be wider for the same accuracy. The
# family of Moons et al. (Asilomar'17) at four word lengths and widths, on the same programmable units with 1 MB of
# weight memory; one-bit operands in addition on four digital binary arrays. The image has the word length of the
# network.

# %%
WIDTHS = (64, 128, 256)
precise = {bits: with_memories(chips.envision2017(bits), 1024, 512) for bits in (1, 2, 4, 8)}
binary_arrays = with_memories(Accelerator(DigitalBinary(), spreads=Spread(4)), 1024, 512)
energies = {
    bits: [joules(chip.cost(workloads.quantised_image_network((3, 3, 3), (width,) * 3))) for width in WIDTHS]
    for bits, chip in precise.items()
}
energies["1, binary arrays"] = [
    joules(binary_arrays.cost(workloads.quantised_image_network((3, 3, 3), (width,) * 3))) for width in WIDTHS
]
fig, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
LOOKS = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#000000", "v")]
for (bits, values), (colour, marker) in zip(energies.items(), LOOKS, strict=True):
    ax.loglog(WIDTHS, values, marker=marker, color=colour, label=f"{bits} bit" if bits != "1, binary arrays" else bits)
ax.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
ax.minorticks_off()
ax.set_xlabel("filters per layer, three blocks of three layers")
ax.set_ylabel("energy per inference (J)")
ax.yaxis.set_major_formatter(EngFormatter(unit="J"))
ax.legend(fontsize=8)
ax.grid(alpha=0.3)
dearer = [energies[8][-1] / energies[bits][-1] for bits in (1, 2, 4)]
print(
    f"At 256 filters 8 bit cost {dearer[2]:.1f}, {dearer[1]:.1f} and {dearer[0]:.1f} times the energy of 4, 2 and "
    "1 bit."
)

# %% [markdown]
# At about equal accuracy, the authors' published logs have a 4-bit network of 162 M and a binary one of 1781 M
# multiply-accumulates (88.3 and 89.2 % on CIFAR-10, validation):

# %%
four_bit = precise[4].cost(network)
wide = workloads.quantised_image_network((3, 3, 3), (256, 256, 256))
candidates = {
    "4 bit, 2x64-3x128-3x128, processor": four_bit,
    "1 bit, 3x256 three times, processor": precise[1].cost(wide),
    "1 bit, 3x256 three times, binary arrays": binary_arrays.cost(wide),
    "8 bit, 2x64-3x128-3x128, processor": precise[8].cost(network),
}
plot.plot_energy_breakdown(compared(candidates))
for name, one in candidates.items():
    print(f"{name:42s}{micro(joules(one)):>9s} {1e3 * float(one['latency'].sum()):7.2f} ms")
ranking = sorted(candidates, key=lambda name: joules(candidates[name]))
print(
    f"Cheapest: {ranking[0]}. Binary on the processor needs "
    f"{joules(candidates['1 bit, 3x256 three times, processor']) / joules(four_bit):.1f} times the energy of 4 bit, on "
    f"its own arrays {joules(candidates['1 bit, 3x256 three times, binary arrays']) / joules(four_bit):.1f} times: "
    "eleven times the products pay only where the circuit is made for them."
)

# %% [markdown]
# ## Answer

# %%
print(f"Memory or arrays: {left_over[best]:.0f} kB beside {counts[best]} arrays at {1e6 * AREA:.0f} mm^2.")
for name, (local, saved) in gains.items():
    print(f"Local or global, {name}: {local:.0f} of {TOTAL:.0f} kB local saves {saved:.1f} %.")
ratio = joules(organised["processor, 4 bit"]) / joules(organised["systolic array, 4 bit"])
print(f"Processor or array: programmability costs {ratio:.2f} times the energy at 4 bit.")
print(f"Spread over {cheapest}.")
print(f"Supply: {minima[0]['minimum_supply']:.2f} V at 300 K, {minima[-1]['minimum_supply']:.2f} V at 375 K.")
print(f"Precision at about 88 %: {ranking[0]}.")
assert float(share.sel(component="mac")) < 0.5
