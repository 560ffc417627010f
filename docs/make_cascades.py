"""Write `docs/results/cascades.md` and its pictures: the talk's two always-on systems, computed.

python docs/make_cascades.py  # from the root of the repository; about a minute
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import xarray as xr

import amsim
from amsim import chips, plot, workloads
from amsim.cascade import StatedDetector, face_cascade, highest_event_rate, voice_cascade
from amsim.cascade.stated_numbers import FACE, VOICE, StatedNumber
from amsim.report.picture_file import write_picture
from amsim.results.units import with_prefix

FOLDER = Path(__file__).parent / "results"
HOUR = 3600.0
FRAME_RATES = (1.0, 5.0, 30.0)
FALSE_ALARMS = (0.5, 2.0)
MEMORIES = {"face": "17 kB, 260 kB, 15 MB", "voice": "2 kB, 64 kB, 500 kB"}


def evaluated(cascade: amsim.Cascade) -> xr.Dataset:
    """Over event rates from one in a day or so to every item."""
    return amsim.evaluate_cascade(cascade, event_rate=np.geomspace(1e-5, 1.0, 41) * cascade.watch_rate)


def per_hour(rate: float) -> str:
    """Events per hour, or never."""
    return "never" if np.isnan(rate) else f"{HOUR * rate:.3g}"


def table(headings: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table."""
    return ["| " + " | ".join(one) + " |" for one in (headings, ["---"] * len(headings), *rows)]


def sources(numbers: Mapping[str, StatedNumber]) -> list[str]:
    """Every stated number with its kind and source."""
    rows = []
    for one in numbers.values():
        value = (
            f"{one.value:g}"
            if one.unit == "1"
            else f"{one.value:g} 1/s"
            if one.unit == "1/s"
            else with_prefix(one.value, one.unit)
        )
        rows.append([one.meaning, value, one.kind, one.source])
    return table(["number", "value", "kind", "source"], rows)


def kilobytes(stage: xr.Dataset) -> str:
    """Weights of a stage."""
    size = float(stage["stored_bits"]) / 8192
    return f"{size:.0f} kB" if size >= 1000 else f"{size:.4g} kB"


def stages(result: xr.Dataset) -> list[str]:
    """Costs of the stages, from the presets."""
    rows = []
    for name in map(str, result["stage"].values):
        one = result.sel(stage=name)
        costs = [
            ("inference_energy", "J"),
            ("service_time", "s"),
            ("wake_up_energy", "J"),
            ("reload_energy", "J"),
            ("sleep_power", "W"),
        ]
        cells = [with_prefix(float(one[key]), unit) for key, unit in costs]
        rows.append([name, kilobytes(one), *cells])
    return table(["stage", "weights", "energy per item", "time per item", "per wake-up", "per reload", "asleep"], rows)


def powers(result: xr.Dataset) -> list[str]:
    """Average power by stage at some event rates, with what comes beside the chips apart."""
    names, rows = [str(one) for one in result["stage"].values], []
    for place in range(0, result.sizes["event_rate"], 5):
        one = result.isel(event_rate=place)
        over = ", ".join(name for name in names if bool(one["overload"].sel(stage=name)))
        found = [float(one["power"].sel(stage=name).sum()) for name in names]
        rows.append([
            f"{HOUR * float(one['event_rate']):.3g}", *(with_prefix(power, "W") for power in (*found, sum(found))),
            with_prefix(float(one["average_power"]), "W"), over or "none",
        ])  # fmt: skip
    return table(["events per hour", *names, "chips", "with the rest", "overloaded"], rows)


def simulated(result: xr.Dataset, seconds: float) -> str:
    """The simulation beside the closed form at one rate."""
    one = result.isel(event_rate=24)
    found = amsim.simulate_cascade(one, duration=seconds, runs=4, key=jax.random.key(0))["average_power"].values
    spread = float(found.std(ddof=1) / np.sqrt(len(found)))
    return (
        f"Item by item (SimPy), at {HOUR * float(one['event_rate']):.3g} events per hour, four runs of "
        f"{seconds / HOUR:g} h: {with_prefix(float(found.mean()), 'W', 4)} with a standard error of "
        f"{with_prefix(spread, 'W', 2)}; closed form {with_prefix(float(one['average_power']), 'W', 4)}."
    )


def claim(name: str, cascades: Mapping[str, amsim.Cascade], limit: float) -> list[str]:
    """Where the claim holds for some variants."""
    rows = []
    for label, one in cascades.items():
        result = amsim.evaluate_cascade(one, event_rate=0.0)
        quiet = float(result["average_power"]), float(result["cascade_power"])
        rates = [highest_event_rate(result, limit, others=others) for others in (True, False)]
        rows.append([label, *(with_prefix(power, "W") for power in quiet), *map(per_hour, rates)])
    text = with_prefix(limit, "W")
    return table(
        [name, "without events, all", "chips alone", f"events per hour below {text}, all", "chips alone"], rows
    )


def more_false_alarms(cascade: amsim.Cascade) -> dict[str, amsim.Cascade]:
    """The cascade with other numbers of background items passed, by name."""
    return {f"false alarms of every stage times {one:g}": with_false_alarms(cascade, one) for one in FALSE_ALARMS}


def with_false_alarms(cascade: amsim.Cascade, factor: float) -> amsim.Cascade:
    """The cascade whose stages pass another number of background items."""
    found = []
    for stage in cascade.stages:
        assert isinstance(stage.chip, StatedDetector)
        rate = min(float(stage.chip.false_positive_rate) * factor, 1.0)
        found.append(dataclasses.replace(stage, chip=dataclasses.replace(stage.chip, false_positive_rate=rate)))
    return dataclasses.replace(cascade, stages=tuple(found))


def last_alone(cascade: amsim.Cascade) -> amsim.Cascade:
    """The last stage on every item, always on."""
    last = cascade.stages[-1]
    return dataclasses.replace(cascade, stages=(dataclasses.replace(last, rate=cascade.watch_rate, keeps_memory=True),))


def analog_owner(cascade: amsim.Cascade) -> amsim.Cascade:
    """The face cascade with its owner detection on the switched-capacitor chip."""
    first, owner, last = cascade.stages
    assert isinstance(owner.chip, StatedDetector)
    chip = StatedDetector(
        chips.bankman2018(), workloads.binary_image_network(256), owner.chip.recall, owner.chip.false_positive_rate
    )
    return dataclasses.replace(cascade, stages=(first, dataclasses.replace(owner, chip=chip), last))


def section(
    name: str, limit: float, numbers: Mapping[str, StatedNumber], variants: dict[str, amsim.Cascade], hours: float
) -> list[str]:
    """Everything on one system."""
    base = next(iter(variants.values()))
    result = evaluated(base)
    write_picture(FOLDER / f"cascade_{name}.png", plot.plot_cascade(result, limit=limit).figure)
    return [
        "", "Stages, from the presets:", "", *stages(result), "",
        f"(The talk's memories: {MEMORIES[name]}.)", "",
        f"![Average power against the rate of events](cascade_{name}.png)", "", *powers(result), "",
        "Where the claim holds:", "", *claim("variant", variants, limit), "",
        simulated(result, hours * HOUR), "",
        "Stated numbers, beside the presets' own (see their docstrings):", "", *sources(numbers),
    ]  # fmt: skip


def main() -> None:
    """Compute both systems and write the page."""
    face, voice = face_cascade(), voice_cascade()
    faces = {
        "as built: recognition chip off between frames": face,
        "recognition chip always leaking": face_cascade(gated=False),
        "owner detection on the switched-capacitor chip": analog_owner(face),
        **{f"{rate:g} frames per second": face_cascade(frame_rate=rate) for rate in FRAME_RATES},
        **{
            f"false alarms of every stage times {one:g}": with_false_alarms(face, one)
            for one in FALSE_ALARMS
            if one != 1.0
        },
        "recognition alone, on every frame": last_alone(face),
    }
    voices = {
        "as built: speaker stage off between words": voice,
        "speaker stage always leaking": voice_cascade(gated=False),
        **{
            f"false alarms of every stage times {one:g}": with_false_alarms(voice, one)
            for one in FALSE_ALARMS
            if one != 1.0
        },
        "speaker identification alone, on every second": last_alone(voice),
    }
    lines = [
        "# The talk's two cascades",
        "",
        "`python docs/make_cascades.py` writes this page. Verhelst's talk (slides 20 to 23) claims less than 1 mW",
        "on average for a cascade of face detection, owner detection and face recognition on BinarEye and Envision,",
        "and less than 20 uW for one of keyword detection, speech recognition and speaker identification. It states",
        "work and memory of the stages, not the rates of frames and events nor what each stage lets pass. Here both",
        "are rebuilt from the presets (`amsim.cascade.face_cascade`, `voice_cascade`); an event is one item (a",
        "frame, a second of sound) of the owner. All figures are the model's. What decides is not the event alone:",
        "without events, most of the chips' power is false alarms of the first two stages that wake recognition",
        "(faces), or the leakage of memories (voices).",
        "",
        "## Faces: 1 mW",
        *section("face", 1e-3, FACE, faces, 2.0),
        "",
        "## Voices: 20 uW",
        *section("voice", 20e-6, VOICE, voices, 24.0),
        "",
    ]
    (FOLDER / "cascades.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
