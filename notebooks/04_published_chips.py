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
# # Published chips: can the model be trusted?
#
# `amsim.validate()` compares the model with closed forms, a circuit simulator, converter tests, exact products and the
# published figures of ten chips. *Calibrated* means that a constant was chosen to meet the figure; *predicted* that
# none was. *Held out* chips were set aside before anything was calibrated.

# %%
import matplotlib.pyplot as plt
import numpy as np

import amsim
from amsim import chips, plot, workloads

# The rungs of accuracy on dies take three minutes more; the command `amsim validate` has them.
fast = [rung for rung in amsim.validation.all_rungs() if rung.level != "published accuracy"]
report = amsim.validate(fast)
print(f"{int(report['within'].sum())} of {report.sizes['rung']} rungs within their tolerance")
report.to_dataframe()[["level", "unit"]].groupby("level", sort=False).size().to_frame("rungs")

# %% [markdown]
# ## Model over published
#
# One marker per published figure: filled where calibrated, open where predicted, a square where the chip was
# held out. The bands are the aims: 10 % calibrated, 30 % inside a family and node, a factor of two beyond.

# %%
plot.plot_validation(report)
plt.show()

# %%
missed = report.isel(rung=np.flatnonzero(~report["within"].values))
for name in missed["rung"].values:
    row = missed.sel(rung=name)
    print(f"{name}: {float(row['ratio']):.2f} of the published figure. {row['note'].values!s}")

# %% [markdown]
# ## Energy breakdown per frame
#
# The mixed-signal and the digital binary chip on the network that both were measured on. The arrays differ by a factor
# of thirteen, the systems by four: both also need memory, control and leakage.

# %%
network = workloads.binary_image_network(256)
frames = {"bankman2018": chips.bankman2018().cost(network), "binareye2018": chips.binareye2018().cost(network)}
figure, axes = plt.subplots(2, 1, figsize=(8, 9), layout="constrained", sharex=True)
for axis, (name, cost) in zip(axes, frames.items(), strict=True):
    plot.plot_energy_breakdown(cost, ax=axis)
    axis.set_ylabel(f"{name}: {1e6 * float(cost['energy'].sum()):.2f} uJ")
plt.show()

# %%
arrays = [float(cost["energy"].sel(component="mac").sum()) for cost in frames.values()]
systems = [float(cost["energy"].sum()) for cost in frames.values()]
print(f"digital over analog: arrays {arrays[1] / arrays[0]:.1f}, systems {systems[1] / systems[0]:.1f}")

# %% [markdown]
# ## The three circuits by word length
#
# The talk's table - analog 500 TOPS/W, digital 200, multi-precision 0.5 to 10 - recomputed from one model. Where the
# slide figures mislead:

# %%
table = amsim.circuit_table()
print(table.attrs["traps"])
plot.plot_circuit_table(table)
plt.show()

# %%
shown = table[["array_energy", "operation_energy", "array_area", "area"]].to_dataframe()
efficiency = (1e-12 / shown[["array_energy", "operation_energy"]]).rename(
    columns={"array_energy": "array TOPS/W", "operation_energy": "system TOPS/W"}
)
areas = (1e6 * shown[["array_area", "area"]]).rename(
    columns={"array_area": "array mm2 per MAC per cycle", "area": "system mm2"}
)
efficiency.join(areas)

# %%
for family in table["family"].values:
    print(f"{family}: {table['flexibility'].sel(family=family).values!s}")
one_bit = table.sel(bits=1)
gain = float(
    one_bit["array_energy"].sel(family="digital-binary") / one_bit["array_energy"].sel(family="switched-capacitor")
)
left = float(
    one_bit["operation_energy"].sel(family="digital-binary")
    / one_bit["operation_energy"].sel(family="switched-capacitor")
)
print(
    f"At one bit the analog array is {gain:.1f} times better than the digital one, the whole system {left:.1f} times."
)

# %% [markdown]
# Accuracy belongs to the table as well: `amsim.circuit_table(dies=16)` measures it on the reference networks (a few
# minutes), and `amsim compare` prints it beside the energy of one inference.
