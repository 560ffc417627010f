"""Numbers of `docs/results/recognisers.md`, section by section: trained cascades on real speech and real faces."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import amsim
from amsim import plot, recognition
from amsim.datasets.spoken_digits import SPEAKERS
from amsim.recognition.faces import FAMILIES
from amsim.recognition.quality import mean_over_dies
from amsim.recognition.voices import WORDS
from amsim.recognition.windows import load_face_windows

DIES = 8
CROPS = 1000
HOURLY = (0, 1, 10, 100, 1000)
"""Events per hour of the tables."""

RATES = 9
"""Event rates of a picture, from one in a day or so to every item."""


def power_over_rates(result: xr.Dataset) -> dict[str, Any]:
    """Average power by stage and in total, by event rate; costs of the stages."""
    costs = ("inference_energy", "service_time", "sleep_power", "reload_energy", "stored_bits")
    return {
        "event_rate": result["event_rate"].values.tolist(),
        "stages": [str(one) for one in result["stage"].values],
        "stage_power": result["power"].sum("part").transpose("event_rate", "stage").values.tolist(),
        "average_power": result["average_power"].values.tolist(),
        **{name: result[name].values.tolist() for name in costs},
    }


def rates_of(cascade: amsim.Cascade) -> np.ndarray:
    """Event rates up to the rate of the items."""
    return np.geomspace(1e-5, 1.0, 4 * RATES + 1) * cascade.watch_rate


def counted(passed: np.ndarray, labels: np.ndarray) -> dict[str, int]:
    """Events, those that pass, other items, and those of them that pass."""
    return {
        "events": int(labels.sum()), "passed": int(passed[labels == 1].sum()),
        "others": int((1 - labels).sum()), "alarms": int(passed[labels == 0].sum()),
    }  # fmt: skip


def voices(new_speaker: int | None, picture: Any = None) -> dict[str, Any]:
    """The voice cascade trained on all speakers, or on all but one, who then is the owner."""
    networks = recognition.train_voice_networks(new_speaker=new_speaker)
    owners = range(1, SPEAKERS + 1) if new_speaker is None else (new_speaker,)
    counts = []
    for owner in owners:
        recogniser = recognition.voice_recogniser(networks, owner)
        quality = recognition.stage_quality(recogniser)
        passes = quality["score"].values > quality["threshold"].values[:, None]
        labels, own = np.asarray(recogniser.test.labels), quality["own_label"].values
        row: dict[str, Any] = {
            name: counted(one, each) for name, one, each in zip(recogniser.cascade.names, passes, own, strict=True)
        }
        # What the owner says is what a new speaker's networks never heard.
        his = networks.test.speakers == owner
        for name, one, each in zip(recogniser.cascade.names[:2], passes[:2], own[:2], strict=True):
            row[f"{name} of the owner"] = counted(one[his], each[his])
        row["cascade"] = counted(passes.all(axis=0), labels)
        row["computed"] = [len(labels), *np.logical_and.accumulate(passes).sum(axis=1)[:-1].tolist()]
        row["auc"] = quality["auc"].values.tolist()
        counts.append(row)
    logits = np.asarray(jax.jit(WORDS)(networks.words, jnp.asarray(networks.test.inputs)))
    right = logits.argmax(axis=1) == networks.test.digits
    found = {"owners": counts, "words_right": int(right.sum()), "recordings": len(right)}
    if new_speaker is None:
        result = amsim.evaluate_cascade(recogniser.cascade, recogniser.test, event_rate=rates_of(recogniser.cascade))
        found |= {"power": power_over_rates(result), "speakers": recognition.speaker_report(networks)._asdict()}
        if picture is not None:
            picture(plot.plot_cascade(result, limit=20e-6).figure)
    else:
        his = networks.test.speakers == new_speaker
        found |= {"owner_words_right": int(right[his].sum()), "owner_recordings": int(his.sum())}
    return found


def faces(picture: Any = None) -> dict[str, Any]:
    """The face cascade with its first stage on either array, ideal and on dies."""
    first = recognition.train_first_face_stage()
    kinds = load_face_windows("test", crops=CROPS, seed=first.seed + 1).kinds
    found: dict[str, Any] = {"training": {name: first.record[name] for name in ("settings", "history")}}
    scores = {}
    for family in FAMILIES:
        print(family, flush=True)
        recogniser = recognition.face_recogniser(first, family, crops=CROPS)
        # The digital arrays are alike on all dies, as are all later stages.
        dies = None if recogniser.cascade.stages[0].accelerator.deterministic else DIES
        key = None if dies is None else jax.random.key(0)
        quality = recognition.stage_quality(first_alone(recogniser), dies=dies, key=key)
        quality = quality if dies else quality.expand_dims("die")
        scores[family] = quality["score"].isel(stage=0).transpose("die", "item").values
        found[family] = family_numbers(recogniser, quality, kinds, scores[family])
        rates = np.concatenate([[one / 3600 for one in HOURLY], rates_of(recogniser.cascade)])
        result = amsim.evaluate_cascade(recogniser.cascade, recogniser.test, event_rate=rates, dies=dies, key=key)
        result = result if dies else result.expand_dims("die")
        found[family] |= cascade_numbers(result)
        found[family]["power"] = power_over_rates(result.isel(die=0))
        if picture is not None and family == FAMILIES[0]:
            picture(plot.plot_cascade(result.isel(die=0, event_rate=slice(len(HOURLY), None)), limit=1e-3).figure)
    difference = recognition.auc_difference(*scores.values(), np.asarray(recogniser.test.labels))
    found["difference"] = {"interval": list(difference.interval), "resolved": difference.resolved}
    found["later"] = by_stage(recognition.stage_quality(recogniser).expand_dims("die"))
    found["variants"] = variants(first, recogniser)
    return found


def first_alone(recogniser: recognition.Recogniser) -> recognition.Recogniser:
    """The first stage with the same data."""
    cascade = dataclasses.replace(recogniser.cascade, stages=recogniser.cascade.stages[:1])
    return recogniser._replace(cascade=cascade)


def family_numbers(
    recogniser: recognition.Recogniser, quality: xr.Dataset, kinds: np.ndarray, scores: np.ndarray
) -> dict[str, Any]:
    """The first stage on dies and with ideal circuits, and what it passes of each kind of window."""
    labels, passed = np.asarray(recogniser.test.labels), scores > float(recogniser.cascade.thresholds[0])
    groups = {"ORL faces": (1, 1), "LFW faces": (0, 1), "LFW pieces without a face": (0, 0), "crops": (2, 0)}
    return {
        "dies": by_stage(quality),
        "ideal": by_stage(recognition.stage_quality(ideal(first_alone(recogniser))).expand_dims("die")),
        "first_passes": {
            name: [int(((kinds == kind) & (labels == label)).sum()),
                   float(passed[:, (kinds == kind) & (labels == label)].mean())]
            for name, (kind, label) in groups.items()
        },
        "area": float(recogniser.cascade.stages[0].accelerator.area),
    }  # fmt: skip


def cascade_numbers(result: xr.Dataset) -> dict[str, Any]:
    """What the whole cascade decides and uses on each die; power at `HOURLY` events per hour."""
    labels, decision = result["label"].values, result["decision"].values.astype(bool)
    return {
        "events": int(labels.sum()),
        "others": int((1 - labels).sum()),
        "missed": (~decision & (labels == 1)).sum(axis=1).tolist(),
        "false_alarms": (decision & (labels == 0)).sum(axis=1).tolist(),
        "computed": result["computed"].transpose("die", "stage").values.tolist(),
        "power_of_dies": result["average_power"].transpose("die", "event_rate").values[:, : len(HOURLY)].tolist(),
    }


def variants(first: recognition.FirstFaceStage, recogniser: recognition.Recogniser) -> dict[str, list[float]]:
    """Average power at `HOURLY` events per hour of other arrangements of the digital cascade."""
    _, *later = recogniser.cascade.stages
    alone = dataclasses.replace(later[0], rate=recogniser.cascade.watch_rate, keeps_memory=True)
    others = {
        "as built": recogniser.cascade,
        "no first stage, P-Net watches": dataclasses.replace(recogniser.cascade, stages=(alone, *later[1:])),
        "chips of MTCNN always leak": recognition.face_recogniser(first, FAMILIES[1], crops=CROPS, gated=False).cascade,
    }
    hourly = [one / 3600 for one in HOURLY]
    return {
        name: amsim.evaluate_cascade(one, recogniser.test, event_rate=hourly)["average_power"].values.tolist()
        for name, one in others.items()
    }


def ideal(recogniser: recognition.Recogniser) -> recognition.Recogniser:
    """The same cascade with ideal circuits in every stage."""
    stages = []
    for stage in recogniser.cascade.stages:
        chip: Any = stage.chip
        stages.append(
            dataclasses.replace(stage, chip=amsim.deploy(chip.function, chip.params, chip.accelerator.ideal()))
        )
    return recogniser._replace(cascade=dataclasses.replace(recogniser.cascade, stages=tuple(stages)))


def by_stage(quality: xr.Dataset) -> dict[str, Any]:
    """Mean over dies with its interval, and the error that the number of items gives it."""
    found: dict[str, Any] = {}
    for name in map(str, quality["stage"].values):
        one = quality.sel(stage=name)
        found[name] = {key: list(mean_over_dies(one[key].values)) for key in ("auc", "recall", "false_positive_rate")}
        found[name] |= {"auc_error": float(one["auc_error"].mean())}
    return found
