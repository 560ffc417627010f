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
# # Minimum-energy networks
#
# The same task can be done by many networks. Fewer bits make every operation and every word of memory cheaper, but the
# network has to be wider or deeper for the same accuracy. **Which network, at which precision, on which circuit, takes
# the least energy at the accuracy that is wanted?** The answer needs trained networks and a cost model together. Both
# ship: `docs/results/minimum_energy.md` says how they were made, and what holds of what is claimed about them.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import amsim
from amsim import chips, exploration, plot

DATA = "spoken-digits"
TARGETS = (0.80, 0.90, 0.94)

found = amsim.explore(list(TARGETS), data=DATA)
print(exploration.answer(found))
ax = plot.plot_exploration(found)

# %% [markdown]
# ## Energy at equal accuracy
#
# For every word length, the least energy of all networks and circuits whose mean accuracy reaches the target. Missing
# points are word lengths that none of these networks reaches it with.

# %%
energy, accuracy = found["energy"].sum("component").values, found["accuracy_mean"].values
bits = found["network_bits"].values
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for target, marker in zip(TARGETS, "os^", strict=True):
    lengths = [one for one in np.unique(bits) if np.any((bits == one) & (accuracy >= target))]
    least = [energy[(bits == one) & (accuracy >= target)].min() for one in lengths]
    ax.plot(lengths, 1e9 * np.asarray(least), marker + "-", label=f"{100 * target:g} %")
    best = int(np.argmin(least))
    dearest = max(least) / min(least)
    print(
        f"at {100 * target:g} %: {lengths[best]} bit, {1e9 * min(least):.3g} nJ; the dearest {dearest:.3g} times that"
    )
ax.set(xscale="log", yscale="log", xlabel="bits of weights and activations", ylabel="least energy per inference (nJ)")
ax.set_xticks(np.unique(bits), [str(one) for one in np.unique(bits)], minor=False)
ax.minorticks_off()
ax.legend(title="accuracy")

# %% [markdown]
# ## Limits move the answer
#
# Costs are known without training, so that limits on latency and area are answered at once. A little
# less area than the winner takes rules it out.

# %%
free = amsim.explore(TARGETS[-1], data=DATA)
winner = min((int(one) for one in free["best_dot"].values.ravel() if one >= 0), key=lambda one: energy[one])
area = float(free["area"][winner])
try:
    small = amsim.explore(TARGETS[-1], data=DATA, limits=amsim.Limits(area=0.98 * area))
    print(exploration.answer(small))
except ValueError as error:
    print(error)

# %% [markdown]
# ## The winner, live
#
# Weights of the networks on the front ship too. Deployed on its hardware, the network that wins has the accuracy of its
# record, and the energy of the data's own activity.

# %%
name, family = str(free["network"][winner].values), str(free["circuit_family"][winner].values)
net, params = exploration.shipped_network(DATA, name)
design = amsim.design(f"{family}-{next(one for one in (1, 2, 4, 8) if one >= net.bits)}b")
own = design.accelerator(first=net.layer_names[0], last=net.layer_names[-1])
hardware = chips.with_word_lengths(own, net.word_lengths)
test = amsim.load_dataset(DATA).test
result = amsim.evaluate(net, params, hardware, test, dies=2, key=jax.random.key(0))
record = float(free["accuracy_mean"][winner])
print(f"{name} on {family}: {100 * float(result.accuracy_mean):.2f} % here, {100 * record:.2f} % in the record")
assert abs(float(result.accuracy_mean) - record) < 0.02
cost = amsim.deploy(net, params, hardware).cost(test.inputs[:32])
nominal = float(cost["energy"].sum())
print(f"{1e9 * nominal:.3g} nJ at its nominal supply and memories, {1e9 * energy[winner]:.3g} nJ at the best ones")
