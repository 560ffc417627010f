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
# # A circuit designed by gradient
#
# How large a capacitor, how quiet a comparator, what supply? They trade against each other: a lower supply saves
# energy in every capacitor but leaves the comparator a smaller step. **Which combination reaches the
# accuracy at the least energy?** Accuracy and energy come from the same parameters and both have derivatives, so a
# descent finds the answer instead of a grid.

# %%
import jax
import matplotlib.pyplot as plt

import amsim
from amsim import circuits, networks, plot

IMAGES = 100  # more images and dies let a check be sure of limits nearer to the accuracy of the network
DIES = 2
LIMIT = 0.84
STEPS = 10

data = amsim.load_dataset("fashion-mnist-mini").train[:IMAGES]
fresh = amsim.load_dataset("fashion-mnist-mini").test[:600]
net, params = networks.load("binary-fashion")
array = circuits.SwitchedCapacitor()
variables = {
    "macro.unit_capacitance": (0.1e-15, 3e-15),
    "macro.comparator.noise": (0.2e-3, 3e-3),
    "macro.supply": (0.5, 0.8),
}

# %% [markdown]
# ## Where does the accuracy go?
#
# First: how much does each error source cost in each layer, alone on otherwise ideal circuits? A layer that sums few
# products uses little of the swing of a line made for a thousand: that layer needs the quiet comparator.

# %%
noisy = amsim.with_settings(array, {"macro.unit_capacitance": 0.3e-15, "macro.comparator.noise": 1e-3})
blame = amsim.sensitivity(
    net, params, noisy, data, key=jax.random.key(0), dies=DIES, sources=("capacitor mismatch", "comparator noise")
)
plot.plot_sensitivity(blame)
worst = blame["loss_increase"].stack(pair=("site", "source")).idxmax().item()
print(f"the loss grows most by {worst[1]} in {worst[0]}")

# %% [markdown]
# ## The least energy at an accuracy
#
# The search holds dies, reads and images fixed, follows the derivative of a smooth estimate of the accuracy, and
# corrects it by the measured accuracy. It ends with checks on dies and images that it never saw, from the most accurate
# circuit down to the first of which the limit is not sure; the result is the last that passes.

# %%
found = amsim.design_circuit(
    net, params, array, data, key=jax.random.key(1), variables=variables, accuracy=LIMIT, components=("mac",),
    steps=STEPS, dies=DIES, check=amsim.FinalCheck(fresh, dies=4),
)  # fmt: skip
history = found.history
fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
axes[0].plot(history["step"], 1e9 * history["energy"], "o-", color="#0072B2")
axes[0].set(xlabel="step", ylabel="energy of the array (nJ)")
axes[1].plot(history["step"], 100 * history["accuracy"], "o-", color="#009E73", label="measured")
axes[1].axhline(100 * history.attrs["limit"], color="black", linestyle="--", linewidth=0.8, label="limit and margin")
axes[1].set(xlabel="step", ylabel="accuracy on the search's dies (%)")
axes[1].legend(fontsize=8)
start = history["setting_value"].isel(step=0)
names = {
    "macro.unit_capacitance": "unit capacitance",
    "macro.comparator.noise": "comparator noise",
    "macro.supply": "supply",
}
for (path, name), marker, color in zip(names.items(), "os^", ("#0072B2", "#E69F00", "#009E73"), strict=True):
    axes[2].plot(
        history["step"],
        history["setting_value"].sel(setting=path) / start.sel(setting=path),
        marker=marker,
        color=color,
        label=name,
    )
axes[2].set(xlabel="step", ylabel="setting relative to the start", ylim=(0, None))
axes[2].legend(fontsize=8)
for ax in axes:
    ax.grid(color="#DDDDDD", linewidth=0.6)

# %%
check = found.check
before = float(history["energy"][0])
print({path: f"{value:.3g}" for path, value in found.settings.items()})
print(f"energy of the array {1e9 * before:.2f} -> {1e9 * found.energy:.2f} nJ in {found.evaluations} evaluations")
print(found.tested[["energy", "accuracy", "accuracy_mean", "accuracy_bound"]].to_dataframe())
print(f"on fresh dies and unseen images {100 * float(check.accuracy_mean):.1f} %", end=" ")
print(f"and surely {100 * float(check.accuracy_bound):.1f} %")
assert found.feasible
assert found.energy < 0.8 * before

# %% [markdown]
# ## The cost of one more point of accuracy
#
# One design per limit, each starting from the one before: the Pareto curve of this array on this task. Each lies above
# its limit by what a check on so few images and dies needs to be sure.

# %%
curve = amsim.pareto_curve(
    net, params, array, data, [0.76, 0.80, 0.84], key=jax.random.key(1), variables=variables, components=("mac",),
    steps=5, dies=DIES, check=amsim.FinalCheck(fresh, dies=4),
)  # fmt: skip
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
mean, low, high = (100 * curve[f"accuracy_{name}"].values for name in ("mean", "low", "high"))
energy = 1e9 * curve["energy"].values
ax.errorbar(
    energy,
    mean,
    yerr=[mean - low, high - mean],
    fmt="s-",
    color="#D55E00",
    capsize=3,
    label="on fresh dies and unseen images",
)
ax.plot(energy, 100 * curve["limit"], "_", color="black", markersize=14, label="limit")
ax.set(xlabel="energy of the array (nJ)", ylabel="accuracy (%)")
ax.legend(fontsize=8)
ax.grid(color="#DDDDDD", linewidth=0.6)

# %% [markdown]
# ## Answer

# %%
supply, noise = found.settings["macro.supply"], found.settings["macro.comparator.noise"]
capacitor = found.settings["macro.unit_capacitance"]
print(f"With {supply:.2f} V, capacitors of {1e15 * capacitor:.2f} fF and comparators of {1e3 * noise:.2f} mV the array")
print(
    f"needs {100 * found.energy / before:.0f} % of its energy, at {100 * float(check.accuracy_mean):.0f} % on images",
    end=" ",
)
print(f"and dies that the search never saw, and surely at {100 * LIMIT:.0f} %.")
print("Memories and control do not change: ask `amsim.compare()` what that is worth in the whole system.")
