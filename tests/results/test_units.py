"""Numbers with units as designers write them."""

import math

import pytest

from amsim.results.units import scale_of, with_prefix


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (5.19e-5, "V", "51.9 uV"),
        (0.99999e-3, "V", "1 mV"),
        (3.26e-15, "J", "3.26 fJ"),
        (2e-22, "J", "0.0002 aJ"),
        (-1.5e-3, "A", "-1.5 mA"),
        (0.0, "V", "0 V"),
        (math.nan, "V", "nan V"),
        (6e-6, "m2", "6 mm2"),
        (237.0, "frames/s", "237 frames/s"),
        (0.068, "1", "0.068"),
    ],
)
def test_units_as_shown(value, unit, text):
    assert with_prefix(value, unit) == text


def test_digits_and_the_scale_of_a_column():
    assert with_prefix(1.2344e-7, "J", 4) == "123.4 nJ"
    assert with_prefix(0.99996, "V", 4) == "1 V"
    assert scale_of(3.4e-7, "J") == (pytest.approx(1e9), "nJ")
    assert scale_of(2e-6, "m2") == (1e6, "mm2")
    assert scale_of(0.0, "J") == (1.0, "J")
    assert scale_of(7.0, "1") == (1.0, "")
