"""How a design of each family is found: the same number of candidates, the same images, one rule of choice."""

import dataclasses
import itertools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from amsim.calibration.range_choice import choose_ranges, range_methods
from amsim.chips.designs import Design
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.comparison.given_designs import AnyDesign
from amsim.comparison.network_facts import NetworkFacts, network_facts
from amsim.datasets.inputs import first_arguments
from amsim.datasets.split import Split
from amsim.deployment.front_door import deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.item_values import values_on_dies
from amsim.evaluation.scoring import SCORINGS, Scoring
from amsim.system.accelerator import Accelerator
from amsim.system.settings import setting, with_settings
from amsim.training import TrainingDies, fine_tune
from amsim.training.losses import Loss, cross_entropy

CANDIDATES = 8
"""Candidates of every design, of whatever family."""

SUPPLIES = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)
"""Supplies of arrays and control that digital designs are tried at, V, from the edge of the delay law."""

ANALOG_SUPPLIES = (0.5, 0.6, 0.7, 0.8)
NOISE_FACTORS = (1.0, 2.0)
"""Supplies and noises of the comparators, relative to the design's own, that analog designs are tried at."""

CHOOSING_IMAGES = 250
"""Training images on which candidates are compared."""

CALIBRATION_IMAGES = 64
"""Training images from which codes, ranges and centres of converters are chosen, once for each design."""

BATCH = 250
"""Most items computed at once."""

FINE_TUNING_BATCH = 64
"""Items per step of fine-tuning."""

COST_IMAGES = 64
"""Images whose activity an energy is averaged over."""


class Candidate(NamedTuple):
    """Hardware that is tried for a design.

    Attributes:
        setting: Its settings in words, such as "0.6 V, comparators of 0.4 mV".
        accelerator: The hardware.
    """

    setting: str
    accelerator: Accelerator


class Found(NamedTuple):
    """What the procedure found for a design.

    Attributes:
        candidate: The candidate chosen.
        calibration: Codes, ranges and centres of converters; None where no site is read by one.
    """

    candidate: Candidate
    calibration: Calibration | None


def find_design(
    one: AnyDesign,
    fn: Callable[..., Any],
    params: PyTree,
    train: Split,
    key: PRNGKeyArray,
    *,
    calibrate: bool | None = None,
    scoring: Scoring = SCORINGS["accuracy"],
    facts: NetworkFacts | None = None,
    batch: int = BATCH,
) -> Found:
    """Settings of a design for a network, by the procedure that all families share.

    1. Sites are placed by their role: the design says what becomes of those that the data feed, and of the last.
    2. Words that the network leaves open are chosen on `CALIBRATION_IMAGES` training items, and coding, range and
       centre of converters are those of least error times energy on them
       (`amsim.calibrate(method={"readout": "error-energy"})`), for the design's own settings.
    3. `CANDIDATES` candidates: digital ones differ in the supply of arrays and control, analog ones in that and in the
       noise of their comparators, which energy buys. Clocks follow the supply; memories are the same for all. Hardware
       of one's own, published chips and families without a supply to choose (`Macro.at_supply`) have the one candidate
       that they are.
    4. Each is measured on the same `CHOOSING_IMAGES` training items and one die; of those whose accuracy, or other
       metric, lies within one standard error (of the difference on common items) of the best, the one of least energy
       is chosen. Where dies and settings change no output, that is the one of least energy.

    No item that scores a design later takes part.

    Args:
        one: Family and word length, or hardware with a name.
        fn: Network.
        params: Its parameters.
        train: Training items.
        key: Draws the die and the read of the choice.
        calibrate: Whether words and converters' ranges are chosen on data; None does so for converters, and for words
            where the network leaves some open.
        scoring: Metric that candidates are judged by.
        facts: Those of the network, where they are known.
        batch: Items computed at once; that of the scoring shares its program.
    """
    sample = train[:CHOOSING_IMAGES]
    known = network_facts(fn, params, train.inputs) if facts is None else facts
    own = one.accelerator(first=_pattern(known.roles.first), last=_pattern(known.roles.last))
    tried = candidates(own) if isinstance(one, Design) else [Candidate("as given", own)]
    calibration = chosen_calibration(
        fn, params, own, train, known.bits is None if calibrate is None else calibrate, calibrate
    )
    if len(tried) == 1:
        return Found(tried[0], calibration)
    energies = np.asarray([energy_of(fn, params, each.accelerator, calibration, sample).sum() for each in tried])
    if own.deterministic:
        return Found(tried[int(np.argmin(energies))], calibration)
    values = [
        values_on_dies(
            scoring.of_items, fn, params, each.accelerator, sample, key, 1, batch=batch, calibration=calibration
        )
        for each in tried
    ]
    settled = scoring.settle(np.concatenate(values), np.asarray(sample.labels))
    return Found(tried[_choice(scoring.metric.order(settled), energies)], calibration)


def candidates(own: Accelerator) -> list[Candidate]:
    """Candidates around a design's own settings.

    Args:
        own: The design as `Design.accelerator` gives it.
    """
    analog = [number for number, macro in enumerate(own.macros) if isinstance(macro, SwitchedCapacitor)]
    if not analog:
        if not _can_be_moved(own):
            return [Candidate(f"{float(own.macros[-1].operating_supply):g} V, which is fixed", own)]
        return [Candidate(f"{volts:g} V", at_supply(own, volts)) for volts in SUPPLIES]
    found = []
    for volts, factor in itertools.product(ANALOG_SUPPLIES, NOISE_FACTORS):
        paths = [f"macros.{own.patterns[number]}.comparator.noise" for number in analog]
        noises = {path: factor * float(setting(own, path)) for path in paths}
        changed = with_settings(own, noises)
        words = f"{volts:g} V, comparators of {1e3 * max(noises.values()):.2g} mV"
        found.append(Candidate(words, at_supply(changed, volts)))
    return found


def _can_be_moved(own: Accelerator) -> bool:
    """Whether all macros of a family have a supply that can be chosen."""
    try:
        for macro in own.macros:
            macro.at_supply(macro.operating_supply, own.technology.process)
    except ValueError:
        return False
    return True


def at_supply(accelerator: Accelerator, volts: float) -> Accelerator:
    """The same accelerator with its arrays, and the control around them, at a supply, V.

    Memories stay as they are, and so does the digital unit beside analog arrays.
    """
    law, supply = accelerator.technology.process, jnp.asarray(volts, float)
    macros = accelerator.macros
    analog = [isinstance(macro, SwitchedCapacitor) for macro in macros]
    moved = analog if any(analog) else [True] * len(macros)
    return dataclasses.replace(
        accelerator,
        macros=tuple(m.at_supply(supply, law) if move else m for m, move in zip(macros, moved, strict=True)),
        organisation=accelerator.organisation.at_supply(supply),
    )


def energy_of(
    fn: Callable[..., Any], params: PyTree, accelerator: Accelerator, calibration: Calibration | None, images: Split
) -> Any:
    """Energy of one inference by component, J, with the activity of the first images."""
    chip = deploy(fn, params, accelerator, calibration=calibration)
    return chip.cost(*first_arguments(images.inputs, COST_IMAGES))["energy"].sum("site").values


def _pattern(names: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, names))


def chosen_calibration(
    fn: Callable[..., Any], params: PyTree, own: Accelerator, train: Split, words: bool, converters: bool | None
) -> Calibration | None:
    """Choice of words where it is asked for, and of converters' ranges unless that is refused."""
    reads = any(macro.readout_range is not None for macro in own.macros) and converters is not False
    if not reads and not (words and any(not macro.keeps_product for macro in own.macros)):
        return None
    methods = range_methods({"readout": "error-energy"} if reads else "minimum-error", 0.999, True, "channel")
    return choose_ranges(deploy(fn, params, own), train[:CALIBRATION_IMAGES].inputs, methods, CALIBRATION_IMAGES)[0]


def recalibrated(found: Found, fn: Callable[..., Any], params: PyTree, train: Split) -> Found:
    """The same hardware with the choice made again for other parameters, where one was made."""
    if found.calibration is None:
        return found
    accelerator = found.candidate.accelerator
    return found._replace(calibration=chosen_calibration(fn, params, accelerator, train, True, None))


def _choice(right: np.ndarray, energies: np.ndarray) -> int:
    """Candidate of least energy among those within a standard error of the best.

    Args:
        right: Values of the metric, of which more is better, shape (candidates, items).
        energies: Energy of each candidate.
    """
    best = int(np.argmax(right.mean(axis=1)))
    less = right[best].astype(float) - right
    error = less.std(axis=1) / math.sqrt(right.shape[1])
    good = less.mean(axis=1) <= error
    return int(np.argmin(np.where(good, energies, np.inf)))


def tuned_params(
    fn: Callable[..., Any],
    params: PyTree,
    own: Accelerator,
    train: Split,
    calibration: Calibration | None,
    epochs: int,
    seed: int,
    loss: Loss = cross_entropy,
) -> PyTree:
    """Parameters fine-tuned through hardware whose choice of words and ranges is kept; dies differ from those scored.

    Raises:
        TrainingDivergedError: Loss or gradient is not finite.
    """
    key = jax.random.fold_in(jax.random.key(seed), 2**31 - 2)
    batch = min(FINE_TUNING_BATCH, len(train))
    dies = TrainingDies(calibration=calibration)
    return fine_tune(fn, params, own, train, key=key, epochs=epochs, batch=batch, loss=loss, dies=dies).params


def choice_key(seed: int) -> PRNGKeyArray:
    """Key of the die and the read of the choice, apart from those that score."""
    return jax.random.fold_in(jax.random.key(seed), 2**31 - 1)
