"""What is no number is refused as a physical quantity."""

import numpy as np
import pytest

from amsim.circuits.fields import _quantity_converter

WRONG = [None, True, np.True_, np.array(True), "1", b"1", np.bytes_(b"1"), 1j, np.complex64(1), 10**400]
WRONG += [np.datetime64(1, "s"), np.timedelta64(1, "s"), np.ma.masked, np.ma.array(1.0), object()]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: f"{type(value).__name__}")
def test_no_number_is_refused(value):
    with pytest.raises(ValueError, match=r"^Argument `volts` must be a number, but is ") as error:
        _quantity_converter("volts", False, None)(value)
    assert "volts" in str(error.value)
