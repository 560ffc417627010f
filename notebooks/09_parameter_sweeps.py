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
# # Parameter sweeps
#
# A circuit has knobs: how large a unit capacitor, how quiet a comparator, how long a line, how many bits in the
# converter, which word length, which supply. **Which knob of which circuit family buys accuracy, and at what energy?**
# One call of `amsim.sweep` measures all of them on the same dies; everything below comes from its result.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

import amsim
from amsim import networks, plot, statistics
from amsim.system import system_cost

DIES = 4  # more dies, narrower intervals
IMAGES = 200
KEY = jax.random.key(0)
CAPACITOR, NOISE, ROWS, ADC = "macro.unit_capacitance", "macro.comparator.noise", "macro.rows", "macro.adc.bits"

data = amsim.load_dataset("fashion-mnist-mini").test[:IMAGES]

# %% [markdown]
# ## One study
#
# Four designs, each with the reference network of its word length: two of switched capacitors (binary, read by
# comparators, and 2-bit, read by converters) and the two digital families. Knobs that only some designs have are
# conditional axes: the converter's bits where there is one, capacitors and comparators where the array is analog.
# Capacitance and noise are continuous and share one compilation; each number of rows or bits is a circuit of its own.

# %%
BINARY, CONVERTED = "switched-capacitor-1b", "switched-capacitor-2b"
names = [BINARY, CONVERTED, "digital-binary-1b", "multi-precision-4b"]
designs = [amsim.design(name) for name in names]
axes = [
    amsim.points(
        {
            "hardware": {one.name: one.accelerator() for one in designs},
            "network": [one.network for one in designs],
        },
        dim="design",
    ),
    {
        ROWS: amsim.only_where([640, 1024], {"hardware": BINARY}),
        CAPACITOR: amsim.only_where([0.1e-15, 0.3e-15, 1e-15, 3e-15], {"hardware": BINARY}),
        NOISE: amsim.only_where([0.1e-3, 0.4e-3, 1e-3, 2e-3, 4e-3], {"hardware": BINARY}),
        ADC: amsim.only_where([6, 8], {"hardware": CONVERTED}),
    },
]
measure = amsim.study(None, data=data, quantities=("accuracy", "energy"))
study = amsim.sweep(measure, axes, key=KEY, dies=DIES).drop_vars("network")
energy, accuracy = study["energy"].sum("component", skipna=False), study["accuracy"].mean(("die", "read"))
print(f"{int(accuracy.count())} circuits on {DIES} dies each")

# %% [markdown]
# Accuracy against energy, with intervals over dies; points that lose too much are left out. The line is the
# Pareto front.

# %%
plot.plot_pareto(study.where(accuracy >= 0.8))
plt.show()

# %% [markdown]
# ## Capacitor against comparator
#
# The binary analog array on its own. A small capacitor is noisy and matches badly, and a noisy comparator decides
# wrongly; either may be the limit. Colours and solid lines are accuracy, dashed lines energy: below the solid lines a
# quieter comparator only costs energy.

# %%
analog = study.isel({"design": 0, ADC: -1}, drop=True).isel({ROWS: [0, 1], CAPACITOR: slice(4), NOISE: slice(5)})
LEVELS = [0.5, 0.7, 0.8, 0.85, 0.89]
fig, panels = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
for rows, ax in zip(analog[ROWS].values, panels, strict=True):
    plot.plot_sweep_map(analog.sel({ROWS: rows}, drop=True), x=CAPACITOR, y=NOISE, levels=LEVELS, lines="energy", ax=ax)
    ax.text(0.02, 0.03, f"{rows:.0f} rows", transform=ax.transAxes, fontsize=10)

# %% [markdown]
# ## How noisy may the comparator be?
#
# Interpolated from the map, with an interval from resampled dies: the noise at which the accuracy falls below the
# target, for each capacitor and line length.

# %%
TARGET = 0.85
crossing = {}
for rows in analog[ROWS].values:
    for capacitor in analog[CAPACITOR].values[1:]:
        curve = analog["accuracy"].sel({ROWS: rows, CAPACITOR: capacitor}, drop=True)
        crossing[rows, capacitor] = found = statistics.iso_crossing(curve, TARGET, NOISE, logarithmic=True)
        print(f"{rows:5.0f} rows, {1e15 * capacitor:.1f} fF: {100 * TARGET:.0f} % up to", end=" ")
        print(
            "{:.2f} mV ({:.2f} .. {:.2f})".format(*(1e3 * float(found[name]) for name in ("crossing", "low", "high")))
        )

# %% [markdown]
# ## What limits a cheap corner?
#
# Small capacitors, a comparator of 1 mV: which source of error limits accuracy? Each source alone, and each one off
# with all others on, on the same dies and reads.

# %%
corner = amsim.with_settings(amsim.design(BINARY).accelerator(), {CAPACITOR: 0.3e-15, NOISE: 1e-3})
only = amsim.study(*networks.load("binary-fashion"), corner, data, quantities=("accuracy",))
sources = amsim.switched_sources(only, key=KEY, dies=DIES)
plot.plot_switched_sources(sources)
lost = (sources["accuracy_none"] - sources["accuracy"].sel(state="this alone")).mean(("die", "read"))
culprit = str(lost["source"].values[int(np.argmax(lost.values))])
whole = float(sources["accuracy_none"].mean())
print(f"{culprit} alone costs {100 * float(lost.max()):.1f} points of {100 * whole:.1f}")

# %% [markdown]
# ## A thousand circuits without a network
#
# The tolerable noise per decision is known now: the counts (a count is one product more or less) at the target line of
# the map for one femtofarad. Noise and energy of a circuit are closed forms, and `sweep` takes any function. So three
# knobs at once, including the supply, are sampled evenly instead of on a grid, and the cheapest circuit that is quiet
# enough is picked. (Capacitors from 0.3 fF: below, mismatch matters too, which is not in this noise.)

# %%
published = amsim.design(BINARY).accelerator()
layers = amsim.deploy(*networks.load("binary-fashion"), published).workload(data.inputs[:16]).layers


def noise_and_energy(hardware):
    energy = system_cost(hardware, layers).energy
    return {"noise": hardware.macros[1].noise_counts, "array": energy[:, 0].sum(), "total": energy.sum()}


ranges = {CAPACITOR: (0.3e-15, 3e-15), NOISE: (0.1e-3, 4e-3), "macro.supply": (0.5, 0.8)}
cloud = amsim.sweep(
    noise_and_energy,
    amsim.samples(ranges, 1024, logarithmic=[CAPACITOR, NOISE]),
    hardware=published,
    labels={
        "noise": ("1", "noise per decision (counts)"), "array": ("J", "energy of the array"), "total": ("J", "energy")
    },
)  # fmt: skip
edge = {CAPACITOR: 1e-15, NOISE: float(crossing[1024, 1e-15]["crossing"])}
allowed = float(amsim.with_settings(published, edge).macros[1].noise_counts)
quiet = cloud["noise"].values <= allowed
cheapest = cloud.isel(sample=int(np.argmin(np.where(quiet, cloud["array"], np.inf))))
now = noise_and_energy(published)
fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
shown = ax.scatter(1e9 * cloud["array"], cloud["noise"], c=cloud["macro.supply"], s=8, cmap="cividis")
fig.colorbar(shown, label="supply (V)")
ax.plot(1e9 * now["array"], now["noise"], "*", color="#D55E00", markersize=14, label="published")
ax.plot(1e9 * cheapest["array"], cheapest["noise"], "s", color="#D55E00", fillstyle="none", label="cheapest allowed")
ax.axhline(allowed, color="black", linestyle="--", linewidth=0.8, label=f"{allowed:.1f} counts: {100 * TARGET:.0f} %")
ax.set(xscale="log", yscale="log", xlabel="energy of the array (nJ)", ylabel="noise per decision (counts)")
ax.legend(fontsize=8)
ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
ax.xaxis.set_major_formatter("{x:g}")
ax.xaxis.set_minor_locator(NullLocator())
ax.yaxis.set_major_formatter("{x:g}")
ax.grid(color="#DDDDDD", linewidth=0.6)
ax.set_axisbelow(True)
array_saved, all_saved = (1 - float(cheapest[name]) / float(now[name]) for name in ("array", "total"))
print(f"{1e15 * float(cheapest[CAPACITOR]):.2f} fF, {1e3 * float(cheapest[NOISE]):.2f} mV at", end=" ")
print(f"{float(cheapest['macro.supply']):.2f} V: {100 * array_saved:.0f} % less energy in the array,", end=" ")
print(f"{100 * all_saved:.0f} % in all")
print("(The supply goes to the end of its range: its limits, memory cells and speed, are not in this noise.)")
assert float(cheapest["macro.supply"]) < 0.55

# %% [markdown]
# ## Answer
#
# Each knob turned once, compared die by die on the same dies, with its 95 % interval and its cost in the whole system.
# Digital dies do not differ; the only uncertainty of those figures is the choice of images.

# %%
at = {ROWS: 1024, CAPACITOR: 1e-15, NOISE: 1e-3}
converted = study.isel({"design": 1, ROWS: -1, CAPACITOR: -1, NOISE: -1}, drop=True)
digital = study.isel({ROWS: -1, CAPACITOR: -1, NOISE: -1, ADC: -1}, drop=True)
turns = {
    "unit capacitor 0.1 -> 1 fF": [analog.sel(at | {CAPACITOR: one}) for one in (0.1e-15, 1e-15)],
    "comparator noise 2 -> 0.4 mV": [analog.sel(at | {NOISE: one}) for one in (2e-3, 0.4e-3)],
    "rows 1024 -> 640, at 2 mV": [analog.sel(at | {NOISE: 2e-3, ROWS: one}) for one in (1024, 640)],
    "converter 6 -> 8 bit": [converted.sel({ADC: one}) for one in (6, 8)],
    "digital, 1 -> 4 bit": [digital.isel(design=one) for one in (2, 3)],
}
gains, prices = {}, {}
for knob, (before, after) in turns.items():
    gains[knob] = statistics.paired_difference(after["accuracy"], before["accuracy"]) * 100
    prices[knob] = 100 * (float(after["energy"].sum()) / float(before["energy"].sum()) - 1)
    ends = [float(gains[knob][name]) for name in ("difference", "low", "high")]
    print(f"{knob:30s}{ends[0]:+6.1f} points ({ends[1]:+.1f} .. {ends[2]:+.1f}), energy {prices[knob]:+7.1f} %")

# %%
WORDS = "digital, 1 -> 4 bit"
analog_knobs = [knob for knob in turns if knob != WORDS]
dearest = max(prices[knob] for knob in analog_knobs)
right = float(digital["accuracy"].isel(design=3).mean())
from_images = 100 * float(np.sqrt(right * (1 - right) / IMAGES))
print("Capacitors, comparators, line and converter of an analog array buy", end=" ")
print(
    ", ".join(f"{float(gains[knob]['difference']):.0f}" for knob in analog_knobs), "points, each for at most", end=" "
)
print(f"{dearest:.0f} % of the energy")
print("per inference: most of it is memory and control, which they do not affect. Capacitor and comparator saturate;")
print(f"the map shows where, and beyond only the cost grows. At the cheap corner {culprit} costs most.")
print(
    f"Word length is the expensive knob: four digital bits cost {1 + prices[WORDS] / 100:.0f} times",
    end=" ",
)
print(f"the energy of one, for {float(gains[WORDS]['difference']):+.1f} points,")
print(f"and the choice of {IMAGES} images alone makes each of the two accuracies uncertain by {from_images:.1f}.")
assert culprit in ("comparator noise", "thermal noise")
assert all(float(gains[knob]["difference"]) > 0 for knob in analog_knobs)
assert dearest < 10
assert prices[WORDS] > 100
