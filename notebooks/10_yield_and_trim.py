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
# # Yield and trim
#
# Every comparator of a switched-capacitor array has its own offset, different on every die. Offsets are measured once,
# after manufacture, and a stored code of a few bits cancels most of each. Bits cost area, tester time and a memory that
# keeps them. **How many trim bits does a product need?**

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import amsim
from amsim import circuits, networks, plot, repairs, statistics

DIES = 36  # more dies, narrower intervals: a section below says how many
PILOT_DIES = 16
IMAGES = 200
ALLOWED_LOSS = 0.04  # of the accuracy without circuits, on a good die
WANTED_YIELD = 0.95
BITS = (3, 4, 5, 6)
KEY = jax.random.key(1)  # the same dies throughout

data = amsim.load_dataset("fashion-mnist-mini")
test = data.test[:IMAGES]
net, params = networks.load("binary-fashion")
published = amsim.design("switched-capacitor-1b").accelerator()
# Single lines, on which an offset counts twice as much as on the chip's differential pairs.
single = {"macro.second_line": "none", "macro.cell_capacitance": 2.1e-15}
untrimmed = amsim.with_settings(published, single | {"macro.comparator.trim": None})
array = untrimmed.macros[1]
plain = float(amsim.evaluate(net, params, circuits.Exact(), test, dies=1, key=KEY).accuracy_mean)
limit = plain - ALLOWED_LOSS - 0.5 / IMAGES  # half an image, so that no rounding decides
print(f"without circuits {100 * plain:.1f} %; a die is good at {100 * limit:.1f} % or more")

# %% [markdown]
# ## Tolerable offset
#
# Untrimmed comparators, with their offset scaled from almost nothing to its full value. The offset is a continuous
# setting, so the whole curve is one compiled program, on the same dies at every point. On the right, the yield with its
# 95 % interval.

# %%
sigmas = 1e-3 * np.array([0.2, 0.4, 0.7, 1.0, 1.4, 2.0, 8.0])
study = amsim.study(net, params, untrimmed, test, quantities=("accuracy",))
pilot = amsim.sweep(study, {"macro.comparator.offset_sigma": sigmas}, key=KEY, dies=PILOT_DIES)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
plot.plot_sweep(pilot, logarithmic=True, ax=left)
left.axhline(limit, color="black", linestyle="--", linewidth=0.8)
left.annotate("limit", (sigmas[-1], limit), (0, 3), textcoords="offset points", fontsize=8, ha="right")
plot.plot_yield(pilot, limit=limit, along="macro.comparator.offset_sigma", ax=right)
plt.show()

# %% [markdown]
# Where does the yield cross its target? A yield is the mean over dies of "good or not", so `iso_crossing` interpolates
# it, with an interval from resampled dies. And `circuits.trim_bits` computes, in closed form, how many bits leave an
# offset that small.

# %%
good = (pilot["accuracy"] >= limit).astype(float).rename("yield")
affordable = statistics.iso_crossing(good, WANTED_YIELD, "macro.comparator.offset_sigma", logarithmic=True)
sigma = float(affordable["crossing"])
# The probability within two sigma of a Gaussian.
choice = circuits.trim_bits(circuits.Comparator(), limit=2 * sigma, probability=0.9545)
ends = [1e3 * float(affordable[end]) for end in ("low", "high")]
print(f"offsets of {1e3 * sigma:.2f} mV ({ends[0]:.2f} .. {ends[1]:.2f})")
print(f"leave {100 * WANTED_YIELD:.0f} % of the dies good. Bits that leave such offsets: {choice.bits}, in steps of")
print(f"{1e3 * choice.step:.2g} mV, which leave {1e3 * choice.residual_sigma:.2f} mV.")

# %% [markdown]
# ## Two designs on the same dies
#
# Or a better comparator instead of a trim? Offset is inversely proportional to the square root of transistor area, so
# twice the area turns 1.4 mV into 1.0 mV, both on the curve above. The interval of each mean reflects the spread of
# dies. But the dies are the same: compared die by die, the difference is known better.

# %%
better, present = (pilot["accuracy"].sel({"macro.comparator.offset_sigma": one}) for one in sigmas[[3, 4]])
paired = statistics.paired_difference(better, present)
means = [statistics.summary(one) for one in (present, better)]
gap = float(paired["difference"])
separate = float(np.hypot(*[float(one["high"] - one["mean"]) for one in means]))  # as if each had its own dies
print(f"twice the area: {100 * gap:+.1f} points; on separate dies +- {100 * separate:.1f}, die by die", end=" ")
print(f"{100 * float(paired['low']):+.1f} .. {100 * float(paired['high']):+.1f}")
assert float(paired["low"]) > 0
assert float(paired["high"] - paired["low"]) / 2 < separate

# %% [markdown]
# ## Trim, bit by bit
#
# Now the dies themselves: `amsim.repair` trims each die's comparators with their measured offsets, coarse codes first,
# and reports gain and cost of each step.

# %%
steps = [(f"{bits} bits", repairs.Trimming(circuits.Trim(bits=bits))) for bits in BITS]
report = amsim.repair(net, params, untrimmed, data.train[:50], test, key=KEY, dies=DIES, repairs=steps).report
yields = statistics.yield_at(report["accuracy"], limit)
for name in report["repair"].values:
    row, share = report.sel(repair=name), yields.sel(repair=name)
    print(f"{name}: accuracy {100 * float(row['accuracy_mean']):5.1f} %,", end=" ")
    print(f"yield {100 * float(share['yield']):5.1f} %", end=" ")
    print(f"({100 * float(share['yield_low']):.0f} .. {100 * float(share['yield_high']):.0f}),", end=" ")
    print(f"{float(row['stored_bits']):.0f} bits, {1e9 * float(row['repair_energy']):.2f} nJ once")

# %% [markdown]
# The limit is a choice. This is the yield for any other one:

# %%
plot.plot_yield(report.isel(repair=slice(2, None))).axvline(limit, color="black", linestyle="--", linewidth=0.8)
plt.show()

# %% [markdown]
# ## How many dies does an answer need?
#
# A yield is measured on few dies, so its interval is wide: even if all dies are good, a yield of 100 % is not proven.
# The same formulas, inverted, give the number of dies that a statement needs.

# %%
all_good = float(statistics.proportion_interval(np.array(1.0), DIES)[0])
print(f"{DIES} good dies of {DIES} prove only that the yield is {100 * all_good:.0f} % or better")
proof = next(
    dies for dies in range(1, 10_000) if statistics.proportion_interval(np.array(1.0), dies)[0] >= WANTED_YIELD
)
print(f"that it is {100 * WANTED_YIELD:.0f} % or better needs {proof} dies, all of them good")
for half in (0.05, 0.02, 0.01):
    dies = statistics.dies_for_yield(WANTED_YIELD, half)
    print(f"a yield of {100 * WANTED_YIELD:.0f} % to +- {100 * half:.0f} points needs {dies}")
spread = float(statistics.summary(report["accuracy"].isel(repair=-1))["spread"])
print(f"a mean accuracy to +- 0.5 points needs {statistics.dies_for_mean(spread, 0.005)}")

# %% [markdown]
# ## Inside a die
#
# One die as manufactured: its capacitors, the offsets of its comparators, and the offsets left after a 5-bit trim.

# %%
die = array.fabricate(jax.random.key(0))
trimmed = amsim.with_settings(array, {"macro.comparator.trim": circuits.Trim(bits=5)})
fig, panels = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
plot.plot_die_map(array, die, ax=panels[0])
plot.plot_die_map(array, die, part="comparator_offset", ax=panels[1])
plot.plot_die_map(trimmed, die, part="comparator_offset", ax=panels[2])
plt.show()

# %% [markdown]
# ## Answer

# %%
share, low, high = (100 * yields[name].values[1:] for name in ("yield", "yield_low", "yield_high"))
enough = int(np.argmax(share >= 100 * WANTED_YIELD))
row, extra = report.isel(repair=1 + enough), report.isel(repair=2 + enough)
inference = float(amsim.deploy(net, params, published).cost(test.inputs[:16])["energy"].sum())
energy = float(row["repair_energy"])
print(f"{BITS[enough - 1]} bits are too few: {share[enough - 1]:.0f} % of the dies are good, and the interval", end=" ")
print(f"ends at {high[enough - 1]:.0f} %, below the target of {100 * WANTED_YIELD:.0f} %.")
print(f"With {BITS[enough]} bits {share[enough]:.0f} % are, with a confidence of 95 % no fewer than", end=" ")
print(f"{low[enough]:.0f} %; the closed form says {choice.bits} bits too.")
print(
    f"They are {float(row['stored_bits']):.0f} stored bits per die and, once in its life, {1e9 * energy:.1f} nJ,",
    end=" ",
)
print(f"{100 * energy / inference:.1g} % of an inference.")
gained = [100 * float(extra[end]) for end in ("gain_low", "gain_high")]
print(
    f"One bit more changes the accuracy by {gained[0]:+.1f} .. {gained[1]:+.1f} points: there is little left to gain."
)
assert choice.bits == BITS[enough]
assert high[enough - 1] < 100 * WANTED_YIELD
assert gained[1] < 2
assert energy < inference
