"""Physical quantities: large integers keep their value, and an error tells what was given and what became of it."""

import numpy as np
import pytest

from amsim.noise import ktc_sigma
from amsim.noise.lumped import jitter_snr, parallel_snr


@pytest.mark.parametrize("frequency", [10**10, np.int64(10**10), np.array([10**10])])
def test_numbers_of_any_kind(frequency):
    assert float(np.squeeze(jitter_snr(frequency, 1e-13))) == float(jitter_snr(1e10, 1e-13))


@pytest.mark.parametrize(
    ("capacitance", "said"),
    [
        (10**400, "must be a number, but is too large: an integer of 1329 bits."),
        (1e39, "must be finite, but is 1e+39, which float32 holds as inf."),
        (1e-60, "must be positive, but is 1e-60, which float32 holds as 0."),
        (np.array([1.0, -2.0]), "must be positive, but is -2 in places."),
        (float("inf"), "must be finite, but is inf."),
    ],
)
def test_what_is_wrong_is_told(capacitance, said):
    with pytest.raises(ValueError, match="capacitance") as error:
        ktc_sigma(capacitance, 300.0)
    assert str(error.value) == f"Argument `capacitance` {said}"


def test_a_ratio_without_noise():
    assert float(parallel_snr(20.0, float("inf"))) == 20.0
