"""A small array of lines whose bias DAC does next to nothing, and operands drawn by a seed."""

import math

import numpy as np

from amsim.circuits import BiasDac, SwitchedCapacitor

ROWS = 14
SIGMA = 0.05
"""Relative standard deviation of a unit capacitor."""


def line_array(columns: int, **given) -> SwitchedCapacitor:
    """The array with parts and settings of a test."""
    return SwitchedCapacitor(
        rows=ROWS,
        columns=columns,
        mismatch_coefficient=SIGMA * math.sqrt(1e-15),
        # Next to nothing, so that a threshold of 0 shifts no line.
        bias_dac=BiasDac(bits=1, lsb=1e-6),
        line_parasitic=6e-15,
        **given,
    )


def signs(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape).astype(np.float32)


def words(seed: int, bits: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.float32)
