"""Two always-on systems of Verhelst's talk "From small to tiny", rebuilt from the presets: faces and voices.

Stated there: the work and the memory of each stage, and average powers below 1 mW and below 20 uW. Not stated: rates of
frames and of events, what each stage lets pass, wake-up. Those are numbers of `amsim.cascade.stated_numbers`, each with
its source; results are as good as they are.
"""

import dataclasses
from typing import Any

from amsim.cascade.chain import Cascade
from amsim.cascade.stage import Stage, StatedDetector
from amsim.cascade.stated_numbers import FACE, VOICE
from amsim.chips.audio import laika2018, vocell2019
from amsim.chips.binary import binareye2018
from amsim.chips.envision import envision2017
from amsim.circuits.checks import number_between, truth_values
from amsim.circuits.technology.dram import Dram
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE
from amsim.workloads import Workload, binary_image_network, dense, lstm_keyword_spotter, vgg16

MIXTURE_UNITS = 288
"""Units of the speaker stage: the smallest multiple of 32 that does 70 M multiply-accumulates per second at 250 kHz."""


def face_cascade(*, frame_rate: Any = FACE["frame_rate"].value, gated: bool = True) -> Cascade:
    """Faces: detection, owner detection, recognition; the talk claims less than 1 mW on average.

    Detection is the binary network of 64 filters (62.9 M multiply-accumulates, 17 kB; the talk's 125 M are operations),
    owner detection that of 256 (1.007 G, 260 kB; the talk's 2 G are operations), both on `binareye2018`, whose preset
    has no second set of memories: each stage has its own chip, and both leak all the time. Recognition is VGG-16 at 6
    bit (15.3 G, 11 MB at a dense 6 bit; the talk's 15 MB are 8-bit words) on `envision2017` with a DRAM.

    Args:
        frame_rate: Frames per second, 1/s.
        gated: Whether the recognition chip is off between its frames and reloads its weight memory from the DRAM; else
            it leaks all the time.

    Raises:
        ValueError: A rate that is not a number above 0.
    """
    truth_values(gated=gated)
    number_between("frame_rate", frame_rate, 1e-9, 1e9)
    wake: dict[str, Any] = {name: FACE[name].value for name in ("wake_up_energy", "wake_up_latency")}
    detect = _stated(binareye2018(filters=64), binary_image_network(64), FACE, "detect")
    owner = _stated(binareye2018(filters=256), binary_image_network(256), FACE, "owner")
    recognise = _stated(envision2017(6), vgg16(), FACE, "recognise")
    stages = [
        Stage("face detection", detect, rate=frame_rate),
        Stage("owner detection", owner, **wake),
        Stage("face recognition", recognise, keeps_memory=not gated, **wake),
    ]
    return Cascade(stages, other_power={"image sensor": FACE["sensor"].value, "DRAM refresh": FACE["dram"].value})


def voice_cascade(*, gated: bool = True) -> Cascade:
    """Voices: keyword detection, speech recognition, speaker identification; the talk claims less than 20 uW.

    An item is a second of sound. All chips are the 65 nm low-power logic and memories of `laika2018` and `vocell2019`.
    Detection: 40 k multiply-accumulates, 4000 weights of 4 bit (2 kB). Recognition: an LSTM of 120 units, 31 frames,
    2.0 M multiply-accumulates, 64 kB at 8 bit. Identification: 12 672 Gaussians of 40 parameters of 8 bit (495 kB),
    used 138 times, 70 M multiply-accumulates, on 288 units, which that rate needs. The shapes are
    assumed so that work and memory are the talk's.

    Args:
        gated: Whether the speaker stage is off between its items and reloads its weights from a memory of 20 pJ per bit
            outside (`Dram`'s default); else it leaks all the time.
    """
    truth_values(gated=gated)
    wake: dict[str, Any] = {name: VOICE[name].value for name in ("wake_up_energy", "wake_up_latency")}
    detector = dataclasses.replace(dense("detector", 40, 100), repeats=10)
    # 44 groups of Gaussians in turn, so that no more than a group's sums have to be kept.
    group = dense("mixtures", 40, MIXTURE_UNITS)
    mixtures = dataclasses.replace(group, repeats=44 * 138, weight_slices=44)
    speech = lstm_keyword_spotter(inputs=13, units=120, frames=31)
    detect = _stated(_with_memory(laika2018(4, rate=None), 2.0), Workload("detector", (detector,)), VOICE, "detect")
    recognise = _stated(_with_memory(laika2018(8, rate=None), 64.0), speech, VOICE, "speech")
    large = _with_memory(vocell2019(8, rate=None), 500.0, banks=MIXTURE_UNITS // 8)
    units = dataclasses.replace(large.macros[0], columns=MIXTURE_UNITS)
    speaker = _stated(dataclasses.replace(large, macros=(units,)), Workload("mixtures", (mixtures,)), VOICE, "speaker")
    stages = [
        Stage("keyword detection", detect, rate=VOICE["window_rate"].value),
        Stage("speech recognition", recognise, **wake),
        Stage("speaker identification", speaker, keeps_memory=not gated, reload_from=Dram() if gated else None, **wake),
    ]
    return Cascade(stages, other_power={"microphone front end": VOICE["front_end"].value})


def _stated(hardware: Accelerator, workload: Workload, numbers: Any, stage: str) -> StatedDetector:
    return StatedDetector(hardware, workload, numbers[f"{stage}_recall"].value, numbers[f"{stage}_false"].value)


def _with_memory(accelerator: Accelerator, kilobytes: float, banks: int = 1) -> Accelerator:
    """The accelerator with a weight memory of another size."""
    memory = accelerator.weight_memory
    organisation = dataclasses.replace(memory.organisation, banks=banks)
    sized = dataclasses.replace(memory, capacity=kilobytes * KILOBYTE, organisation=organisation)
    return dataclasses.replace(accelerator, weight_memory=sized)
