"""Numbers that a rebuilt system rests on, each with its kind and source."""

from typing import NamedTuple


class StatedNumber(NamedTuple):
    """A number of a rebuilt system.

    Attributes:
        meaning: What it is.
        value: In the unit.
        unit: SI unit; "1" for none.
        kind: "published", "derived", "recalled" or "assumed".
        source: Where it is from, or the reason for it.
    """

    meaning: str
    value: float
    unit: str
    kind: str
    source: str


FACE = {
    "frame_rate": StatedNumber(
        "frames per second", 15.0, "1/s", "assumed",
        "the talk states none; that of the image sensor below",
    ),
    "detect_recall": StatedNumber(
        "faces that detection passes", 0.94, "1", "published",
        "accuracy of face detection, BinarEye (CICC'18, abstract), taken for both kinds of item",
    ),
    "detect_false": StatedNumber(
        "other frames that detection passes", 0.06, "1", "derived", "1 less that accuracy",
    ),
    "owner_recall": StatedNumber(
        "owners that owner detection passes", 0.98, "1", "published",
        "accuracy of owner recognition, BinarEye (CICC'18, abstract), taken for both kinds of item",
    ),
    "owner_false": StatedNumber(
        "others that owner detection passes", 0.02, "1", "derived", "1 less that accuracy",
    ),
    "recognise_recall": StatedNumber(
        "owners that recognition passes", 0.98, "1", "assumed", "as owner detection; moves no power",
    ),
    "recognise_false": StatedNumber(
        "others that recognition passes", 0.02, "1", "assumed", "as owner detection; moves no power",
    ),
    "wake_up_energy": StatedNumber(
        "energy to wake a processor", 10e-9, "J", "assumed",
        "1.9 mm2 of rails at 5 nF/mm2, charged to 1 V; range 1 nJ to 1 uJ moves the total by less than 1 uW",
    ),
    "wake_up_latency": StatedNumber(
        "time to wake a processor", 1e-3, "s", "assumed", "regulator and clock; range 10 us to 10 ms",
    ),
    "sensor": StatedNumber(
        "image sensor", 45.5e-6, "W", "published",
        "always-on CMOS image sensor, 15 frames/s, Choi et al., ISSCC'15 (title)",
    ),
    "dram": StatedNumber(
        "DRAM in self-refresh", 0.2e-3, "W", "recalled",
        "small low-power DRAM that holds the 15 MB of recognition, about 0.1 mA at 1.8 V; range 0.1 to 0.5 mW",
    ),
}  # fmt: skip
"""Numbers of the face cascade beside the presets."""

VOICE = {
    "window_rate": StatedNumber(
        "windows of sound per second", 1.0, "1/s", "assumed", "the talk states work per second of sound",
    ),
    "detect_recall": StatedNumber(
        "keywords that detection passes", 0.95, "1", "assumed", "range 0.9 to 0.99",
    ),
    "detect_false": StatedNumber(
        "other windows that detection passes", 0.1, "1", "assumed", "speech a tenth of the time; range 0.02 to 0.3",
    ),
    "speech_recall": StatedNumber(
        "keywords that speech recognition passes", 0.908, "1", "published",
        "LSTM on Google Speech Commands, as cited in the ISSCC'20 510 nW chip's abstract (facts 3b)",
    ),
    "speech_false": StatedNumber(
        "other speech that recognition passes", 0.02, "1", "assumed", "range 0.005 to 0.1",
    ),
    "speaker_recall": StatedNumber(
        "owners that speaker identification passes", 0.95, "1", "assumed", "moves no power",
    ),
    "speaker_false": StatedNumber(
        "others that speaker identification passes", 0.05, "1", "assumed", "moves no power",
    ),
    "wake_up_energy": StatedNumber(
        "energy to wake an accelerator", 1e-9, "J", "assumed", "0.5 mm2 of rails at 5 nF/mm2, charged to 0.6 V",
    ),
    "wake_up_latency": StatedNumber(
        "time to wake an accelerator", 1e-3, "s", "assumed", "regulator and clock; range 10 us to 10 ms",
    ),
    "front_end": StatedNumber(
        "microphone interface and cepstral coefficients", 7e-6, "W", "derived",
        "Vocell's 16.11 uW less Laika's 5 uW (facts 3b) less 4 uW that the model gives to Vocell's other 73 kB",
    ),
}  # fmt: skip
"""Numbers of the voice cascade beside the presets."""
