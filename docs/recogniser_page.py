"""Text and tables of `docs/results/recognisers.md` from the numbers of `docs/recogniser_numbers.py`."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from make_cascades import table
from recogniser_numbers import CROPS, DIES, HOURLY

from amsim.results.units import with_prefix
from amsim.statistics.intervals import proportion_interval

Record = Mapping[str, Any]

ARRAYS = {"switched-capacitor": "switched-capacitor array", "digital-binary": "digital binary array"}


def share(passing: float, count: int) -> str:
    """A fraction with its exact 95 % interval."""
    low, high = proportion_interval(passing / count, count)
    return f"{100 * passing / count:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def spread(values: Sequence[float], percent: bool = True) -> str:
    """A mean over dies with its interval; the value alone where all dies are alike."""
    mean, low, high = (100 * one if percent else one for one in values)
    digits, unit = (1, " %") if percent else (4, "")
    text = f"{mean:.{digits}f}{unit}"
    return text if low == high else f"{text} ({low:.{digits}f} to {high:.{digits}f})"


def pooled(rows: Sequence[Record], name: str) -> tuple[int, int, int, int]:
    """Events, those passed, others, and alarms of some counts together."""
    parts = [row[name] for row in rows]
    events, passed, others, alarms = (
        sum(part[key] for part in parts) for key in ("events", "passed", "others", "alarms")
    )
    return events, passed, others, alarms


def costs(power: Record) -> list[str]:
    """Costs of the stages."""
    rows = []
    for place, name in enumerate(power["stages"]):
        units = (("inference_energy", "J"), ("service_time", "s"), ("reload_energy", "J"), ("sleep_power", "W"))
        cells = [with_prefix(power[key][place], unit) for key, unit in units]
        rows.append([name, f"{power['stored_bits'][place] / 8192:.3g} kB", *cells])
    return table(["stage", "weights", "energy per item", "time per item", "per reload", "asleep"], rows)


def voice_section(record: Record) -> list[str]:
    """Everything on the voice cascade."""
    random = record["random"]
    new = [record[name] for name in record if name.startswith("new-speaker")]
    owners, heard = random["owners"], [one["owners"][0] for one in new]
    names = random["power"]["stages"]
    rows = []
    # Both networks are the same for all owners; the mixtures are judged by each owner's own recordings.
    for name in names:
        counts = pooled(owners[:1] if name != names[2] else owners, name)
        unheard = pooled(heard, f"{name} of the owner" if name != names[2] else name)
        rows.append([
            name, share(counts[1], counts[0]), share(counts[3], counts[2]),
            share(unheard[1], unheard[0]), share(unheard[3], unheard[2]),
        ])  # fmt: skip
    whole, unknown = pooled(owners, "cascade"), pooled(heard, "cascade")
    rows.append(["all three", *(share(one, of) for one, of in (
        (whole[1], whole[0]), (whole[3], whole[2]), (unknown[1], unknown[0]), (unknown[3], unknown[2])))])  # fmt: skip
    headings = ["stage alone", "passes its own, all heard", "passes others", "its own, owner unheard", "others"]
    areas = [f"{one:.4f}" for one in owners[0]["auc"][:2]]
    words = sum(one["owner_words_right"] for one in new), sum(one["owner_recordings"] for one in new)
    all_words = share(random["words_right"], random["recordings"])
    computed = owners[0]["computed"]
    lines = paragraph("""## Voices

        Real recordings of ten digits by six speakers (inside amsim). A detector of two wake words (4-bit temporal
        convolutions) is always on; an LSTM of 64 units (4 bit) names the digit; a mixture of 8 Gaussians per speaker
        (8 bit, the product of features and squares on the macro) says who speaks. All run on the 65 nm units of
        `laika2018` and `vocell2019`, one recording per second. The event is a wake word of the owner.""")
    lines += [*costs(random["power"]), ""]
    lines += paragraph(f"""What each stage passes, alone on the test recordings, with 95 % intervals of the number of
        recordings. Its own: wake words, wake words, the owner. Left: all speakers were heard in training (other
        recordings of them). Right: {len(new)} trainings, each of which never heard the owner, who only enrolled his
        voice; recordings of that owner alone, but for speaker identification and all three stages.""")
    lines += [*table(headings, rows), ""]
    lines += paragraph(f"""The areas under the ROC curve of the first two stages are {areas[0]} and {areas[1]} (all
        heard). The digit is right in {all_words} of the recordings of speakers heard, and in {share(*words)} of those
        of an unheard one: five speakers are too few to learn from, and of an unheard owner's wake words the cascade
        misses {100 * (1 - unknown[1] / unknown[0]):.0f} %.

        {about_speakers(random["speakers"])}

        Of {computed[0]} test recordings the second stage computes {computed[1]} and the third {computed[2]}.

        ![Average power of the voice cascade against the rate of events](recogniser_voice.png)

        The average power is {with_prefix(random["power"]["average_power"][0], "W")} at one event a day, of which the
        microphone front end is 7 uW; the second stage leaks more than it computes. Background here is speech, the
        other digits, all the time: a silent room would wake the second stage less.""")
    return lines


def about_speakers(speakers: Record) -> str:
    """What held-out speakers mean for identification."""
    right = share(speakers["accuracy"] * speakers["recordings"], speakers["recordings"])
    known, unknown = (100 * speakers[f"{one}_accepted"] for one in ("known", "unknown"))
    return f"""What held-out speakers mean for identification: nobody can be identified who is not enrolled, so mixtures
        learn from the owner in both columns, and the held-out speaker is new to the two networks only. A voice of
        nobody enrolled can only be refused: of other enrolled speakers {known:.1f} % pass as the owner, of speakers
        whose mixture is left out {unknown:.1f} %. Identification among the six is right in {right} of the recordings
        ({100 * speakers["reference_accuracy"]:.1f} % in float32). **The set does not say who speaks**: speakers are
        clusters of the mean and deviation of the same coefficients, so that a mixture of Gaussians agrees with them
        partly by construction. These figures check the hardware; they are no rates of speaker recognition."""


def paragraph(text: str) -> list[str]:
    """Lines of at most 120 characters, of paragraphs with an empty line after each."""
    found = []
    for one in text.split("\n\n"):
        words = " ".join(one.split())
        found += [words] if words.startswith(("#", "!")) else textwrap.wrap(words, 118, break_on_hyphens=False)
        found.append("")
    return found


def face_section(record: Record) -> list[str]:
    """Everything on the face cascade."""
    faces = record["faces"]
    rows, of_kinds = [], []
    for family, label in ARRAYS.items():
        numbers = faces[family]
        (name,) = numbers["dies"]
        for kind in ("ideal", "dies"):
            one = numbers[kind][name]
            what = (
                "ideal"
                if kind == "ideal"
                else f"{len(numbers['missed'])} dies"
                if len(numbers["missed"]) > 1
                else "any die"
            )
            area = f"{spread(one['auc'], percent=False)}, +- {one['auc_error']:.4f}"
            rows.append([f"{label}, {what}", area, spread(one["recall"]), spread(one["false_positive_rate"])])
        of_kinds.append([label, *(share(part * count, count) for count, part in numbers["first_passes"].values())])
    for name, one in list(faces["later"].items())[1:]:
        area = f"{spread(one['auc'], percent=False)}, +- {one['auc_error']:.4f}"
        rows.append([f"{name}, 8 bit, any die", area, spread(one["recall"]), spread(one["false_positive_rate"])])
    epochs = faces["training"]["settings"]["epochs"]
    kinds = [f"{name} ({count})" for name, (count, _) in faces["switched-capacitor"]["first_passes"].items()]
    lines = paragraph(f"""## Faces

        Real faces: ORL (40 people) and the LFW pieces of scikit-image, against LFW pieces without a face and random
        crops of 11 pictures without one, loaded from packages of the extra `foreign`. A binary network (1.1 M one-bit
        products, trained here in {epochs} epochs on 16 people, 40 LFW pieces of each kind and crops of 4 pictures)
        wakes P-, R- and O-Net of MTCNN. Tested on 20 other people, 50 other pieces of each kind and {CROPS} crops of 5
        other pictures. The first threshold passes 95 % of the faces of 4 further people and 10 further pieces; MTCNN's
        are its own. Who is on the LFW pieces is not stated, and MTCNN may have been trained on any of them.""")
    lines += [*costs(faces["switched-capacitor"]["power"]), ""]
    lines += paragraph("""Every stage alone on all test windows. Intervals are those of the mean over dies; the +- is
        the standard error of the area from the number of windows.""")
    lines += [*table(["stage", "area under the ROC curve", "faces passed", "others passed"], rows), ""]
    lines += paragraph("What the first stage passes of each kind, mean over dies (95 % intervals of the windows):")
    lines += [*table(["array", *kinds], of_kinds), "", *comparison(faces)]
    lines += ["![Average power of the face cascade against the rate of events](recogniser_face.png)", ""]
    return [*lines, *arrangements(faces)]


def comparison(faces: Record) -> list[str]:
    """The analog first stage against the digital one."""
    analog, digital = (faces[name] for name in ARRAYS)
    mean, low, high = faces["difference"]["interval"]
    of_dies, of_digital = (next(iter(one["dies"].values()))["auc"] for one in (analog, digital))
    saved = 1 - float(np.mean([row[1] for row in analog["power_of_dies"]])) / digital["power_of_dies"][0][1]
    apart = not of_dies[1] <= of_digital[0] <= of_dies[2]
    resolved = "resolved" if faces["difference"]["resolved"] else "not resolved"
    rows = []
    for label, one in zip(ARRAYS.values(), (analog, digital), strict=True):
        watching = {key: one["power"][key][0] for key in ("inference_energy", "service_time", "sleep_power")}
        misses, alarms = np.asarray(one["missed"]), np.asarray(one["false_alarms"])
        rows.append([
            label, with_prefix(watching["inference_energy"], "J"), with_prefix(watching["sleep_power"], "W"),
            with_prefix(one["power"]["stage_power"][0][0], "W"), f"{1e6 * one['area']:.3f} mm2",
            f"{ends(misses)} of {one['events']}", f"{ends(alarms)} of {one['others']}",
            *(power_of(one, place) for place in (1, 3)),
        ])  # fmt: skip
    headings = [
        "first stage", "energy per window", "asleep", "its average power", "area", "faces missed by the cascade",
        "false alarms", f"all, {HOURLY[1]} event per hour", f"all, {HOURLY[3]} per hour",
    ]  # fmt: skip
    lines = paragraph(f"""### The analog first stage against the digital one

        The same network, threshold and windows; the arrays have one column per filter, cells, comparators and clocks
        are those of `bankman2018` and `binareye2018`, memories are alike. Analog: {DIES} dies with noise.""")
    lines += [*table(headings, rows), ""]
    return lines + paragraph(f"""The analog array's area under the ROC curve is {mean:+.4f} against the digital one's
        ({low:+.4f} to {high:+.4f}, 95 % over windows and dies): the difference is {resolved}. On these very windows
        the mean over dies is {"apart from" if apart else "not apart from"} the digital one (95 % over dies alone). Of
        the cascade's power at one event an hour the array saves {100 * saved:.1f} % (mean over dies); most of it is the
        image sensor's.""")


def ends(values: np.ndarray) -> str:
    """The least and largest of counts over dies."""
    return f"{values.min()}" if values.min() == values.max() else f"{values.min()} to {values.max()}"


def power_of(numbers: Record, place: int) -> str:
    """Power of the whole cascade at one rate, least to largest over dies."""
    powers = [row[place] for row in numbers["power_of_dies"]]
    low, high = with_prefix(min(powers), "W", 4), with_prefix(max(powers), "W", 4)
    return low if low == high else f"{low} to {high}"


def arrangements(faces: Record) -> list[str]:
    """Average power of other arrangements."""
    rows = [[name, *(with_prefix(one, "W") for one in powers)] for name, powers in faces["variants"].items()]
    lines = paragraph(
        "Average power with the digital first stage, image sensor included (45.5 uW), by events per hour:"
    )
    lines += [*table(["arrangement", *(f"{one} an hour" for one in HOURLY)], rows), ""]
    return lines + paragraph("""An item is a window that fills the frame, 15 per second. A search over places and sizes
        in a frame would multiply the work of the first stages.""")


def page(record: Record) -> str:
    """The whole page."""
    lines = paragraph("""# Cascades on real speech and real faces

        `python docs/make_recognisers.py` trains, measures and writes this page; `amsim.recognition` builds the
        cascades. One seed of training each. All energies are the model's; nothing here was measured on silicon.""")
    return "\n".join([*lines, *voice_section(record), *face_section(record)])
