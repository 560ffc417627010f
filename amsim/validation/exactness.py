"""Digital families and ideal arrays against integer products: no result may differ."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from amsim.circuits import DigitalBinary, Macro, MultiPrecision, SwitchedCapacitor
from amsim.validation.rung import Rung

VECTORS, ROWS, COLUMNS = 64, 1500, 48
"""More rows than a line has, so that tiles are added."""


def _operands(bits: int, rows: int = ROWS) -> tuple[Int[np.ndarray, "vectors rows"], Int[np.ndarray, "rows columns"]]:
    """Random integers of a word length, -1 and +1 for one bit; every vector and column has the largest one."""
    generator = np.random.default_rng(bits)
    if bits == 1:
        return generator.choice([-1, 1], (VECTORS, rows)), generator.choice([-1, 1], (rows, COLUMNS))
    largest = 2 ** (bits - 1) - 1
    inputs = generator.integers(-largest, largest, (VECTORS, rows), endpoint=True)
    weights = generator.integers(-largest, largest, (rows, COLUMNS), endpoint=True)
    inputs[:, 0] = weights[0] = largest
    return inputs, weights


def _mismatches(macro: Macro, bits: int) -> int:
    inputs, weights = _operands(bits)
    found = np.asarray(macro.matmul(inputs, weights), np.float64)
    return int(np.sum(found != inputs @ weights))


def _wrong_decisions() -> int:
    inputs, weights = _operands(1, rows=1024)
    found = np.asarray(SwitchedCapacitor().ideal().decide(inputs, weights))
    return int(np.sum((found > 0) != (inputs @ weights >= 0)))


def _exact(name: str, macro: Callable[[], Macro], bits: int) -> Rung:
    return Rung(
        name=f"wrong sums, {name}",
        level="digital exactness",
        unit="1",
        model=lambda: _mismatches(macro(), bits),
        reference=0.0,
        tolerance=0.0,
        absolute=True,
        kind="predicted",
        source="integer product by NumPy",
    )


EXACTNESS = (
    _exact("digital binary", DigitalBinary, 1),
    _exact("switched-capacitor", lambda: SwitchedCapacitor().ideal(), 1),
    _exact("multi-precision 4 bit", lambda: MultiPrecision(weight_bits=4, input_bits=4), 4),
    _exact("multi-precision 8 bit", lambda: MultiPrecision(weight_bits=8, input_bits=8), 8),
    Rung(
        name="wrong decisions, comparator",
        level="digital exactness",
        unit="1",
        model=_wrong_decisions,
        reference=0.0,
        tolerance=0.0,
        absolute=True,
        kind="predicted",
        source="integer product by NumPy",
    ),
)
"""Rungs of exactness."""
