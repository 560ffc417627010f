"""Phases of a sequence of evaluations, as the corners of the waves that time a netlist."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from amsim.spice.lines import Lines

POINT_LIMIT = 300_000
"""Largest number of time points of a simulation."""


class Sequence(NamedTuple):
    """When the phases of each evaluation begin, and how far apart edges and time points are.

    In each evaluation the reset switch closes (`reset`) and opens (`opened`), its clock's edge falls (`clocked`), the
    bottom plates step (`step`), the leakage sets in (`hold`) and the line is read (`decision`); then the bottom plates
    return (`returned`), the clock rises (`rising`) and the next reset begins.

    Attributes:
        starts: Beginning of each reset, s.
        opened: s after it.
        time_step: Largest time between two points, s.
        gap: Between edges that must not overlap, s.
        edge: Length of an edge, s.
        evaluation_time: s.
        hold_time: s.
    """

    starts: Float[np.ndarray, " evaluations"]
    opened: float
    time_step: float
    gap: float
    edge: float
    evaluation_time: float
    hold_time: float

    @property
    def clocked(self) -> Float[np.ndarray, " evaluations"]:
        """Falling edges of the reset clock, s, after the switch has opened, so that all of them reaches the line."""
        return self.starts + self.opened + self.gap

    @property
    def charge_start(self) -> Float[np.ndarray, " evaluations"]:
        """Time before the bottom plates' step at which the supply's charge is read, s."""
        return self.clocked + self.gap / 2

    @property
    def step(self) -> Float[np.ndarray, " evaluations"]:
        """Steps of the bottom plates, s."""
        return self.clocked + self.gap

    @property
    def hold(self) -> Float[np.ndarray, " evaluations"]:
        """Times from which a line leaks, s."""
        return self.step + self.evaluation_time

    @property
    def decision(self) -> Float[np.ndarray, " evaluations"]:
        """Times at which a line is read, s."""
        return self.hold + self.hold_time

    @property
    def returned(self) -> Float[np.ndarray, " evaluations"]:
        """Returns of the bottom plates to ground, s."""
        return self.decision + self.gap

    @property
    def rising(self) -> Float[np.ndarray, " evaluations"]:
        """Rising edges of the reset clock, s."""
        return self.returned + self.gap

    @property
    def stop(self) -> float:
        """End of the simulation, s."""
        return float(self.returned[-1])

    def wave(
        self,
        rising: Float[np.ndarray, " rises"],
        falling: Float[np.ndarray, " falls"],
        *,
        among: Bool[np.ndarray, " evaluations"] | None = None,
        height: float = 1.0,
        begins_high: bool = False,
    ) -> list[tuple[float, float]]:
        """Corners (s, V) of a wave between 0 and `height`; an edge has its middle at its time.

        Args:
            rising: Times of the rising edges, s.
            falling: Times of the falling edges, s.
            among: The evaluations in which both happen; None is all.
            height: V.
            begins_high: Whether the wave is high before the first falling edge, and each rising one follows a fall.
        """
        if among is not None:
            rising, falling = rising[among], falling[among]
        edges = [(float(time), height) for time in rising] + [(float(time), 0.0) for time in falling]
        level = height if begins_high else 0.0
        corners = [(0.0, level)]
        for time, reached in sorted(edges):
            corners += [(time - self.edge / 2, level), (time + self.edge / 2, reached)]
            level = reached
        return corners


def sequence(lines: Lines, *, slow_reset: bool) -> Sequence:
    """Phases of the evaluations of lines, with time points dense enough for 1e-6 of a step.

    Args:
        lines: The lines and their times.
        slow_reset: Whether a reset switch has a resistance, whose time constant the points must resolve.

    Raises:
        ValueError: The times are so far apart that a simulation would take more than `POINT_LIMIT` points.
    """
    # A step response is read off to 1e-6 where 1000 points cover it; phases that settle at once need few.
    steps = [lines.reset_time / (1000 if slow_reset else 50)]
    steps.append(lines.evaluation_time / (1000 if lines.resistances is not None else 50))
    if lines.hold_time > 0:
        steps.append(lines.hold_time / 50)
    time_step = min(steps)
    gap, edge = time_step / 100, time_step / 1000
    evaluations = len(lines.levels)
    points = round(evaluations * lines.cycle_time / time_step)
    if points > POINT_LIMIT:
        raise ValueError(
            f"Arguments `macro` and `inputs` must take at most {POINT_LIMIT} time points, but take {points}: "
            f"{evaluations} evaluations of {lines.cycle_time:g} s at steps of {time_step:g} s; use fewer evaluations "
            "or times of reset, evaluation and hold that are closer to each other."
        )
    period = lines.cycle_time + 5 * gap
    return Sequence(
        np.arange(evaluations) * period,
        lines.reset_time,
        time_step,
        gap,
        edge,
        lines.evaluation_time,
        lines.hold_time,
    )
