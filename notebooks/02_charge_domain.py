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
# # What a column of capacitors does to accuracy
#
# A switched-capacitor column adds a thousand products as charge on one line. Which of its imperfections costs a network
# accuracy: slow drivers, leakage, heat, a noisy supply, a broken cell? Every one of them is a physical parameter
# here, and the network sees it through the same equations that describe a single line.

# %%
import dataclasses
import math
import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import amsim
from amsim import characterisation, circuits, networks, plot, spice

DIES = 2  # more dies, smoother curves
IMAGES = 250
BLUE, ORANGE = "#0072B2", "#E69F00"

# %% [markdown]
# ## One line, its drivers and its charge
#
# Twelve capacitors, each behind a driver of its own resistance, and the line's parasitic. After the bottom plates have
# moved the line settles; the network of resistors and capacitors is solved exactly. The line is fast - its parasitic is
# small - and then creeps, because unequal branches still exchange charge.

# %%
random = np.random.default_rng(0)
line = circuits.ChargeLine(
    1e-15 * (1 + 0.05 * random.normal(size=12)), parasitic=4e-15, supply=0.6, reset_level=0.3, bottom_reset_level=0.0
)
high = jnp.asarray(random.integers(0, 2, 12), float)
resistances = jnp.asarray(10e3 * random.uniform(0.5, 2.0, 12))
times = jnp.geomspace(1e-13, 1e-10, 200)
voltages = jax.vmap(lambda time: line.settling(high, time, resistances))(times)
fast, slow = line.time_constants(resistances)

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.semilogx(times, 1e3 * voltages, color=BLUE)
ax.axhline(1e3 * float(line.settled_voltage(high)), color="black", linewidth=0.8, linestyle="--")
for time, name in ((fast, "fastest"), (slow, "slowest")):
    ax.axvline(float(time), color=ORANGE, linewidth=1)
    ax.annotate(f"{name} time constant\n{1e12 * float(time):.1f} ps", (float(time), 320), fontsize=8)
ax.set_xlabel("time after the step (s)")
ax.set_ylabel("line voltage (mV)")
drawn, heat = float(line.supply_energy(high)), float(line.dissipation(high))
print(f"energy from the supply {1e15 * drawn:.2f} fJ, of which {1e15 * heat:.2f} fJ is heat in the drivers")
assert heat < drawn

# %% [markdown]
# ## The same array in a circuit simulator
#
# `amsim.spice` writes a die with its weights and inputs as a netlist. Where ngspice is installed, it runs here, beside
# amsim's own formulas.

# %%
small = circuits.SwitchedCapacitor(
    rows=16, columns=2, bias_dac=circuits.BiasDac(bits=3), mismatch_coefficient=0.05 * math.sqrt(1e-15)
)
inputs, weights = random.choice([-1.0, 1.0], (3, 16)), random.choice([-1.0, 1.0], (16, 2))
if shutil.which("ngspice"):
    beside = spice.run(small, small.fabricate(jax.random.key(0)), weights, inputs)
    difference = np.abs(beside["line_voltage"] - beside["line_voltage_spice"]).max()
    print(f"largest difference of a line voltage: {1e6 * float(difference):.3g} uV")
    assert difference < 1e-5
else:
    print("ngspice is not installed: skipped")

# %% [markdown]
# ## Accuracy against its physical cause
#
# The reference binary network on a chip like the published one: every neuron is one comparator decision. One cause at
# a time, on the same dies at every point. Where two curves are drawn, the second compares the line with a fixed voltage
# (tracking 0) instead of a replica line or differential half (tracking 1), which follows what all lines have in common.

# %%
data = amsim.load_dataset("fashion-mnist-mini").test[:IMAGES]
net, params = networks.load("binary-fashion")
classifier = circuits.DigitalBinary(columns=16, supply=0.6)


def sweep(array, axes):
    """Accuracy of the network with its hidden layers on an array, over the axes and dies."""
    hardware = {"dense": classifier, ".*": array}
    measure = amsim.study(net, params, hardware, data, quantities=("accuracy",))
    return amsim.sweep(measure, axes, key=jax.random.key(0), dies=DIES)


array = circuits.SwitchedCapacitor(adc=None)
reference = float(sweep(array, {"macro.supply_noise": [0.0]})["accuracy"].mean())
print(f"without further effects: {100 * reference:.1f} %")

# %% [markdown]
# Each effect is an optional part of the array, and one of its settings is an axis; so is the tracking.

# %%
slow_supply = dataclasses.replace(array, drivers=circuits.Drivers(supply_resistance=1e3))
fast_clock = dataclasses.replace(array, drivers=circuits.Drivers(), clock=2e9)
leaking = dataclasses.replace(array, leakage=circuits.Leakage(hold_time=3e-3))
uneven = dataclasses.replace(array, layout=circuits.Layout())
broken = dataclasses.replace(array, faults=circuits.Faults())
TRACKING = {"macro.reference_tracking": [1.0, 0.0]}
CAUSES = {  # name: array, path, values, further axes
    "clock, slow supply": (slow_supply, "macro.clock", np.geomspace(1e8, 1e10, 5), {}),
    "driver resistance, clock of 2 GHz": (fast_clock, "macro.drivers.resistance", np.geomspace(1e5, 3e7, 5), TRACKING),
    "hold time": (leaking, "macro.leakage.hold_time", np.geomspace(1e-5, 1e-1, 5), TRACKING),
    "temperature, hold of 3 ms": (leaking, "macro.temperature", np.linspace(240, 400, 5), TRACKING),
    "supply noise": (array, "macro.supply_noise", np.geomspace(1e-3, 0.3, 5), TRACKING),
    "comparator noise": (array, "macro.comparator.noise", np.geomspace(1e-4, 2e-2, 5), {}),
    "unit capacitance": (array, "macro.unit_capacitance", np.geomspace(2e-17, 2e-15, 5), {}),
    "linear gradient": (uneven, "macro.layout.linear_gradient", np.geomspace(3e-3, 0.1, 5), {}),
    "stuck cells": (broken, "macro.faults.stuck_high", np.geomspace(1e-3, 0.2, 5), {}),
}
fig, axes = plt.subplots(3, 3, figsize=(13, 9), sharey=True, layout="constrained")
curves = {}
for ax, (name, (changed, path, values, further)) in zip(axes.flat, CAUSES.items(), strict=True):
    found = sweep(changed, {path: values} | further)
    curves[name] = found["accuracy"].sel(dict.fromkeys(further, 1.0)).mean(("die", "read"))
    plot.plot_sweep(found, x=path, ax=ax)
    ax.axhline(reference, color="black", linewidth=0.8, linestyle=":")
    ax.text(0.03, 0.04, name, transform=ax.transAxes, fontsize=8)
    ax.set_ylim(0, 1)
for ax in axes[:, 1:].flat:
    ax.set_ylabel("")
assert curves["clock, slow supply"].min() < reference - 0.1
assert curves["hold time"].min() < reference - 0.1

# %% [markdown]
# A common gradient in a plain layout is cured by a common-centroid one, at no cost in energy:

# %%
gradient = dataclasses.replace(array, layout=circuits.Layout(linear_gradient=0.06))
found = sweep(gradient, {"macro.layout.arrangement": ["plain", "common-centroid"]})
for arrangement, accuracy in found["accuracy"].mean(("die", "read")).to_series().items():
    print(f"{arrangement:16s}{100 * accuracy:6.1f} %")

# %% [markdown]
# ## The noise budget
#
# Closed forms beside the simulation: the contribution of each source to the error per read, in counts (one product
# moves the sum by two counts). Monte Carlo over dies and reads agrees with their sum.

# %%
array = circuits.SwitchedCapacitor(
    rows=1024, supply_noise=5e-3, drivers=circuits.Drivers(), leakage=circuits.Leakage(), reset=circuits.ResetSwitch()
)
budget = amsim.noise_budget(array, readout="comparator")
plot.plot_noise_budget(budget)
print(f"compute SNR {float(budget.compute_snr):.1f} dB")

# %% [markdown]
# How the error depends on the unit capacitance. It is differentiable, so a design can follow its gradient:


# %%
def error(capacitance):
    changed = dataclasses.replace(array, unit_capacitance=capacitance)
    return jnp.sqrt(sum(circuits.error_variances(changed, readout="comparator").values()))


capacitances = jnp.geomspace(0.1e-15, 10e-15, 30)
errors = jax.vmap(error)(capacitances)
slope = float(jax.grad(lambda log: error(jnp.exp(log)))(jnp.log(1e-15)))
fig, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.semilogx(capacitances, errors, color=BLUE)
ax.set_xlabel("unit capacitance (F)")
ax.set_ylabel("root mean square error (counts)")
ax.grid(alpha=0.3, which="both")
print(f"error changes by {slope:.2f} counts per factor e of capacitance at 1 fF")
assert slope < 0

# %% [markdown]
# ## Lines as long as the layer, and a second line
#
# A layer of 64 rows on a line of 1024 has a sixteenth of the signal. Switches that part the line into banks gate the
# rest; a second line whose cells all go the other way doubles the step of a cell against the noise of the comparator;
# a replica that stands still only follows what all lines have in common.

# %%
plain = circuits.SwitchedCapacitor(bias_dac=circuits.BiasDac(bits=4))
banks = dataclasses.replace(plain, banks=circuits.Banks(number=16))
LINES = {
    "one line of 1024 rows": plain,
    "16 banks": banks,
    "16 banks, differential pair": dataclasses.replace(banks, second_line="differential"),
    "16 banks, replica line": dataclasses.replace(banks, second_line="replica"),
}
used = [16, 64, 256, 512, 1024]
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ratios = {}
for name, one in LINES.items():
    ratios[name] = [float(amsim.noise_budget(one, rows=rows, readout="comparator").compute_snr) for rows in used]
    ax.semilogx(used, ratios[name], marker="o", markersize=4, base=2, label=name)
ax.set_xlabel("rows of the layer")
ax.set_ylabel("compute SNR of a decision (dB)")
ax.legend(fontsize=8)
ax.grid(alpha=0.3)
assert ratios["16 banks"][1] > ratios["one line of 1024 rows"][1] + 10
assert ratios["16 banks, differential pair"][-1] > ratios["16 banks"][-1]

# %% [markdown]
# ## Several bits in one conversion
#
# A conversion costs more than an evaluation. Charge can do the weighting of bits that digital adders do behind one
# conversion per bit: weight bits, side by side, are joined through capacitors of 1, 2, 4, ... units, shared one after
# another with one capacitor, or joined by a C-2C ladder; input bits, one after another, are added up on a capacitor, or
# come on the levels of a DAC in each row. Left: the capacitor of a column while the four bits of an input arrive, the
# least significant first; each sharing halves the way to the line. Right: parasitics of a ladder's nodes bend the
# weights of its bits, and links sized for them mend it.

# %%
serial, step = circuits.SerialAccumulation(digits=4), 100.0  # mV of a line whose cells are high
line_capacitance = jnp.asarray(1e-12)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
for word, colour in ((0b1011, BLUE), (0b0100, ORANGE)):
    bits = [(word >> place) & 1 for place in range(4)]
    held = [0.0]
    for bit in bits:
        held.append(0.5 * (held[-1] + step * bit))
    shared = serial.accumulated(step * jnp.asarray(bits, float), serial.kept(1.0))
    assert abs(float(shared) - step * word / 16) < 1e-3
    left.step(range(6), [*held, held[-1]], where="post", color=colour, label=f"input {word:04b}")
    left.axhline(step * word / 16, color=colour, linestyle=":", linewidth=1)
left.set_xlabel("input bits shared so far")
left.set_ylabel("accumulation capacitor (mV)")
left.set_xticks(range(5))
left.legend(fontsize=8)
parasitics = np.linspace(0, 4e-15, 9)
for compensation, style in ((0.0, "-"), (1.0, "--")):
    ladders = [
        circuits.CapacitorLadder(bits=4, node_parasitic=farads, compensation=compensation) for farads in parasitics
    ]
    places = np.array([ladder.place_values(line_capacitance) for ladder in ladders])
    for place, colour in enumerate(("0.7", "0.5", ORANGE, BLUE)):
        label = f"bit {place}" + (", links sized" if compensation else "")
        if compensation == 0 or place == 3:
            right.plot(1e15 * parasitics, places[:, place], style, color=colour, label=label)
right.set_xlabel("parasitic of each node (fF)")
right.set_ylabel("weight of the bit (LSB)")
right.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 0.74))
assert np.allclose(places, [1, 2, 4, 8], rtol=1e-4)

# %% [markdown]
# What they cost and what they are worth: products of 4-bit weights and 4-bit inputs on 256 rows, energy of the array
# with its converters per multiply-accumulate against the error of the outputs, on two dies. All read the same range of
# line values with an 8-bit converter. A conversion of several bits saves energy and costs error, since it has to
# resolve more levels of smaller steps.

# %%
number = circuits.SwitchedCapacitor(
    rows=256, columns=32, weight_bits=4, input_bits=4, supply=0.8, adc=circuits.Adc(bits=8, range=0.5)
)
COMBINED = {
    "each bit converted": {},
    "weighted capacitors": {"combining": circuits.WeightedCapacitors(bits=4)},
    "time-shared charge": {"combining": circuits.TimeSharedCharge(bits=4)},
    "C-2C ladder, links sized": {"combining": circuits.CapacitorLadder(bits=4, compensation=1.0)},
    "row DACs, 2 bit": {"row_dac": circuits.RowDac(bits=2)},
    "serial accumulation, 4 bit": {"serial_accumulation": circuits.SerialAccumulation(digits=4)},
}
inputs, weights = random.integers(0, 16, (200, 256)) / 15.0, random.integers(-7, 8, (256, 8)) / 7.0
exact = inputs @ weights
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for name, parts in COMBINED.items():
    one = dataclasses.replace(number, **parts)
    cost = one.cost(circuits.Work(circuits.DenseProduct(256, 8), 1, 256, 1.0), {})
    errors = []
    for die in range(2):
        found = one.matmul(inputs, weights, die=one.fabricate(jax.random.key(die)), key=jax.random.key(die))
        errors.append(np.asarray(found) - exact)
    percent = 100 * float(np.sqrt(np.mean(np.square(errors)))) / exact.std()
    joules = float(cost.energy) / exact.shape[1] / 256
    ax.plot(1e15 * joules, percent, "o", color=BLUE)
    ax.annotate(name, (1e15 * joules, percent), xytext=(5, 3), textcoords="offset points", fontsize=8)
    print(f"{name:28s}{1e15 * joules:7.1f} fJ per MAC, error {percent:.1f} % of the outputs' deviation")
ax.set_xlabel("energy of array and converters (fJ per MAC)")
ax.set_ylabel("rms error (% of the outputs' deviation)")
ax.set_xlim(0, 140)
ax.set_ylim(0, 30)
ax.grid(alpha=0.3)

# %% [markdown]
# ## How many trim bits do I need?
#
# A comparator's offset is measured once with a finite number of noisy decisions and cancelled by a code on a finite
# grid. One call finds the smallest grid.

# %%
comparator = circuits.Comparator()
one_count = 1 / float(array.counts_per_volt)
for counts in (8, 4, 2):
    choice = circuits.trim_bits(comparator, limit=counts * one_count, probability=0.99)
    print(
        f"within {counts} counts ({1e3 * counts * one_count:.2f} mV): {choice.bits} bits, residual "
        f"{1e3 * choice.residual_sigma:.3f} mV rms, {1e12 * choice.energy:.1f} pJ once per comparator"
    )

# %% [markdown]
# ## A converter with real capacitors
#
# Successive approximation with a mismatched capacitor array: the transitions of the search itself. Larger unit
# capacitors match better and cost energy and area.

# %%
for unit in (0.1e-15, 1e-15):
    sar = circuits.SarAdc(bits=8, unit_capacitance=unit)
    transitions = np.asarray(sar.transitions(sar.fabricate(jax.random.key(1), 32)))
    plot.plot_linearity(transitions).set_xlabel(f"output code, unit capacitor of {1e15 * unit:.1f} fF")

# %% [markdown]
# ## A table from the bench
#
# A transfer curve that was measured, or simulated by another tool, is a macro like any other: mean and spread of each
# column at each count, from a CSV file or a Dataset. And a fit to the table recovers the physics behind it, with
# uncertainties. Here the bench is amsim itself, so that the truth is known.

# %%
on_the_bench = circuits.SwitchedCapacitor(
    rows=1024, columns=16, comparator=circuits.Comparator(noise=1.0e-3, offset_sigma=1e-3, trim=None)
)
table = amsim.characterise(on_the_bench, key=jax.random.key(3), dies=2, reads=64)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "bench.csv"
    characterisation.write_table(table, file)
    measured = characterisation.measured_macro(
        file, evaluation_energy=1e-12, evaluation_time=200e-9, array_area=0.0, supply=0.6
    )
result = amsim.evaluate(net, params, {"dense": classifier, ".*": measured}, data, dies=2, key=jax.random.key(0))
print(f"accuracy on the measured columns: {100 * float(result.accuracy_mean):.1f} %")

start = dataclasses.replace(
    on_the_bench,
    mismatch_coefficient=2 * on_the_bench.mismatch_coefficient,
    comparator=circuits.Comparator(noise=0.3e-3, trim=None),
)
found = characterisation.fit(table, start, ("comparator.noise", "mismatch_coefficient", "comparator.offset_sigma"))
truth = [float(on_the_bench.comparator.noise), float(on_the_bench.mismatch_coefficient), 1e-3]
for name, value, error, true in zip(
    found.parameters.parameter.values,
    found.parameters.value.values,
    found.parameters.standard_error.values,
    truth,
    strict=True,
):
    print(f"{name:24s}{value:.3g} +- {error:.1g}   (true {true:.3g})")
    assert abs(value - true) < 5 * error

# %% [markdown]
# ## Answer

# %%
lowest = {name: 100 * float(curve.min()) for name, curve in curves.items()}
print("Lowest accuracy for each cause within the ranges above, with a replica line where there is a choice:")
for name in sorted(lowest, key=lowest.get):
    print(f"  {name:36s}{lowest[name]:6.1f} %")
largest = str(budget["source"].values[int(np.argmax(budget["variance"].values))]).replace("_", " ")
print(f"At the published operating point the largest source is: {largest}; kT/C noise is the least of the worries.")
