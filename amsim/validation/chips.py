"""Rungs of published chips and published network-level curves."""

from amsim.validation.rung import Rung


def chip_rungs() -> tuple[Rung, ...]:
    """Energy, rate and area of the presets against what is published of their chips; none yet."""
    return ()
