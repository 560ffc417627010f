"""A cascade over hours of stream, item by item, by discrete-event simulation (SimPy)."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

from amsim.cascade.quantities import LABELS
from amsim.cascade.stage_cost import StageCost
from amsim.cascade.stream import PARTS, Load, load_of
from amsim.circuits.checks import integer_between, number_between, one_key
from amsim.results.labelled import labelled
from amsim.results.provenance import key_words, versions

MOST_ITEMS = 10**7
"""Most items of a run, which take minutes."""

MOST_RUNS = 1000
"""Most runs of a simulation."""


def simulate_cascade(result: xr.Dataset, *, duration: float = 3600.0, runs: int = 4, key: PRNGKeyArray) -> xr.Dataset:
    """Simulate the stream of a result of `amsim.evaluate_cascade` item by item.

    Each item comes at its time, is an event or not, and is passed or not by chance, as often as the result says; each
    stage wakes, works through its queue and sleeps. Nothing is taken from the closed form.

    Args:
        result: For one die and one event rate; costs, pass rates and rates are taken from it.
        duration: Seconds of stream per run. A hundred thousand items take about a second or two.
        runs: Independent runs, from which the uncertainty of their mean can be told.
        key: Draws the items.

    Returns:
        Dataset over `run` with `power` (run, stage, part), `average_power` (run), `item_rate`, `wake_up_rate`,
        `utilisation`, `sleep_share`, `latency` and `queue` (run, stage), and `queue_left`, items that wait at the end.

    Raises:
        ImportError: SimPy is not installed.
        ValueError: Not such a result, a duration of less than one item or more than `MOST_ITEMS`, a count below 1 or
            above `MOST_RUNS`, or a key that is not typed.
    """
    load = load_of(result)
    check_duration("duration", duration, load.item_rate)
    integer_between("runs", runs, 1, MOST_RUNS)
    one_key("key", key)
    words = key_words(key)
    found = [simulate(load, duration, np.random.default_rng([*words, run])) for run in range(runs)]
    by_stage = {name: (("run", "stage"), np.stack([getattr(one, name) for one in found])) for name in MEASURES}
    power = np.stack([one.power for one in found])
    return labelled(
        {
            "power": (("run", "stage", "part"), power),
            "average_power": (("run",), power.sum((1, 2)) + sum(load.other_power.values())),
            **by_stage,
        },
        {"run": np.arange(runs), "stage": list(load.names), "part": list(PARTS)},
        {"duration": duration, "event_rate": load.event_rate, "key": words, **versions()},
        labels=LABELS,
    )


def check_duration(argument: str, duration: Any, item_rate: float) -> None:
    """Raise ValueError unless so many seconds are a number of items that can be simulated."""
    number_between(argument, duration, 1 / item_rate, float("inf"))
    if duration * item_rate > MOST_ITEMS:
        raise ValueError(
            f"Argument `{argument}` must be at most {MOST_ITEMS / item_rate:.4g} s, in which {MOST_ITEMS} items come, "
            f"but is {duration:g}."
        )


MEASURES = ("item_rate", "wake_up_rate", "utilisation", "sleep_share", "latency", "queue", "queue_left")
"""What is measured at each stage."""


@dataclass
class Simulated:
    """Measures of one run, arrays of shape (stages,); `power` (stages, parts) in W."""

    power: np.ndarray
    item_rate: np.ndarray
    wake_up_rate: np.ndarray
    utilisation: np.ndarray
    sleep_share: np.ndarray
    latency: np.ndarray
    queue: np.ndarray
    queue_left: np.ndarray


def simulate(load: Load, duration: float, generator: np.random.Generator) -> Simulated:
    """One run.

    Args:
        load: The cascade and its stream.
        duration: Seconds of stream.
        generator: Draws events and decisions.

    Raises:
        ImportError: SimPy is not installed.
    """
    try:
        import simpy
    except ImportError:
        raise ImportError("Discrete-event simulation needs SimPy: pip install 'amsim[cascades]'.") from None
    environment = simpy.Environment(0.0)  # times are floats from the start
    stages: list[_Server] = []
    following: _Server | None = None
    for cost, event, background in reversed(list(zip(load.costs, load.event_pass, load.background_pass, strict=True))):
        following = _Server(environment, simpy.Store(environment), cost, (background, event), generator, following)
        stages.insert(0, following)
    for stage in stages:
        environment.process(stage.work())
    environment.process(_stream(environment, load, stages[0], generator))
    environment.run(until=duration)
    return _measured(stages, duration)


@dataclass
class _Server:
    """A stage: sleeps, wakes, works through its queue."""

    environment: Any
    queue: Any
    cost: StageCost
    passes: tuple[float, float]
    generator: np.random.Generator
    following: "_Server | None"
    reached: int = 0
    wakes: int = 0
    served: int = 0
    awake_since: float | None = None
    working_since: float | None = None
    awake_seconds: float = 0.0
    working_seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def put(self, event: int) -> None:
        """An item reaches the stage."""
        self.reached += 1
        self.queue.put((self.environment.now, event))

    def work(self) -> Generator[Any, Any, None]:
        while True:
            item = yield self.queue.get()
            self.awake_since = self.environment.now
            self.wakes += 1
            if self.cost.wake_up_time > 0:
                yield self.environment.timeout(self.cost.wake_up_time)
            while True:
                yield from self._serve(*item)
                if not self.queue.items:
                    break
                item = yield self.queue.get()
            self.awake_seconds += self.environment.now - self.awake_since
            self.awake_since = None

    def _serve(self, reached: float, event: int) -> Generator[Any, Any, None]:
        self.waits.append(self.environment.now - reached)
        self.working_since = self.environment.now
        yield self.environment.timeout(self.cost.service_time)
        self.working_seconds += self.environment.now - self.working_since
        self.working_since = None
        self.served += 1
        self.latencies.append(self.environment.now - reached)
        if self.following is not None and self.generator.random() < self.passes[event]:
            self.following.put(event)


def _stream(environment: Any, load: Load, first: _Server, generator: np.random.Generator) -> Generator[Any, Any, None]:
    period, share, number = 1 / load.item_rate, load.event_share, 0
    while True:
        first.put(int(generator.random() < share))
        number += 1
        # From the start, so that rounding errors of many periods do not add up.
        yield environment.timeout(number * period - environment.now)


def _measured(stages: list[_Server], duration: float) -> Simulated:
    rows = []
    for stage in stages:
        awake, working = stage.awake_seconds, stage.working_seconds
        awake += 0.0 if stage.awake_since is None else duration - stage.awake_since
        working += 0.0 if stage.working_since is None else duration - stage.working_since
        cost, left = stage.cost, len(stage.queue.items)
        energies = np.array([
            working / cost.service_time * cost.inference_energy,
            stage.wakes * cost.wake_up_energy,
            stage.wakes * cost.reload_energy,
            (duration - awake) * cost.sleep_power,
        ])  # fmt: skip
        waited = sum(stage.waits) + sum(duration - reached for reached, _ in stage.queue.items)
        latency = float(np.mean(stage.latencies)) if stage.latencies else np.nan
        rows.append((
            energies / duration, stage.reached / duration, stage.wakes / duration, working / duration,
            1 - awake / duration, latency, waited / duration, left,
        ))  # fmt: skip
    return Simulated(*(np.asarray(column, float) for column in zip(*rows, strict=True)))
