"""Energy, area and conversion time of published converters: fits to surveys, and below 4 bit a count of decisions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from amsim.circuits.checks import enforced, integer_between, one_of
from amsim.circuits.technology.process import Process

ENOB_RANGE = (4.0, 12.0)
"""Effective bits that the energy fit covers; below, published parts are built for speed, not for energy (facts 6.2)."""
RATE_RANGE = (1e3, 1e10)
"""Conversions per second that the fits cover."""
NODE_RANGE = (16e-9, 180e-9)
"""Feature sizes that the fits cover, m."""

Numbers = Real[Array, "..."] | Real[np.ndarray, "..."] | float | int


def survey_energy(enob: Numbers, rate: Numbers, node: Numbers) -> Float[Array, "..."]:
    """Energy of one conversion of a state-of-the-art converter.

    `E = 0.5e-12 * 10**((SNDR - FOM) / 10) * exp(26.0496 + 1.88004 ln(node / nm) - 2.82913 ln(ENOB) - 1.47020)` with
    `SNDR = 6.0206 ENOB + 1.7609` and `FOM = min(213.7807 - 2.87190 ln(rate / Hz), 128.3068 + 3.22051 ceil(ENOB))`.

    Args:
        enob: Effective number of bits, 4 to 12.
        rate: Nyquist conversions per second, 1e3 to 1e10, Hz.
        node: Feature size, 16e-9 to 180e-9, m.

    Returns:
        Energy, broadcast shape, J. Differentiable; the ceiling counts as constant.

    Raises:
        ValueError: A concrete argument is outside its range. A traced one raises at run time.

    Source: facts 6.3, the fit of the Accelergy ADC plug-in to 215 converters of Murmann's survey. 28 nm, 4 to 8 bit at
    up to 1 GS/s: 0.72 to 1.33 pJ.
    """
    bits = _inside("enob", enob, *ENOB_RANGE)
    frequency = _inside("rate", rate, *RATE_RANGE)
    feature = _inside("node", node, *NODE_RANGE) / 1e-9
    best = jnp.minimum(213.7807 - 2.87190 * jnp.log(frequency), 128.3068 + 3.22051 * jnp.ceil(bits))
    decades = (6.0206 * bits + 1.7609 - best) / 10.0
    # One exponent: the power of ten alone is 1e-12 and the other factor 1e11.
    exponent = math.log(10.0) * decades + 26.0496 + 1.88004 * jnp.log(feature) - 2.82913 * jnp.log(bits) - 1.47020
    return 0.5e-12 * jnp.exp(exponent)


def survey_area(energy: Numbers, rate: Numbers, node: Numbers) -> Float[Array, "..."]:
    """Area of a state-of-the-art converter of a given energy and rate.

    `A = 1e-12 * exp(1.34619 + 0.99328 ln(node / nm) + 0.18072 ln(rate / Hz) + 0.29912 ln(energy / pJ))`.

    Args:
        energy: Of one conversion, 1e-14 to 1e-8, J.
        rate: Nyquist conversions per second, 1e3 to 1e10, Hz.
        node: Feature size, 16e-9 to 180e-9, m.

    Returns:
        Area, broadcast shape, m^2.

    Raises:
        ValueError: A concrete argument is outside its range. A traced one raises at run time.

    Source: facts 6.3, as `survey_energy`. 28 nm, 4 to 8 bit at 100 MS/s: 2660 to 3200 um^2.
    """
    picojoules = _inside("energy", energy, 1e-14, 1e-8) / 1e-12
    frequency = _inside("rate", rate, *RATE_RANGE)
    feature = _inside("node", node, *NODE_RANGE) / 1e-9
    exponent = 1.34619 + 0.99328 * jnp.log(feature) + 0.18072 * jnp.log(frequency) + 0.29912 * jnp.log(picojoules)
    return 1e-12 * jnp.exp(exponent)


def few_bit_energy(
    bits: int,
    decision_energy: Float[Array, ""] | float,
    supply: Float[Array, ""] | float,
    *,
    architecture: str = "sar",
    logic_capacitance: Float[Array, ""] | float = 4.2e-15,
) -> Float[Array, ""]:
    """Energy of one conversion of 1 to 4 bits from its decisions, below the range of the survey.

    `E = decisions (decision_energy + logic_capacitance supply**2)`: `bits` decisions one after another ("sar") or
    `2**bits - 1` at once ("flash").

    Args:
        bits: Resolution, 1 to 4.
        decision_energy: Of one decision of the comparator, J.
        supply: V.
        architecture: "sar" or "flash".
        logic_capacitance: Switched per decision, F. Default 4.2 fF, a full adder (facts 7.3): an adder of the
            ones counter, or two registers of a search.

    Returns:
        Energy, J.

    Raises:
        ValueError: `bits` is not from 1 to 4 or the architecture is unknown.

    Source: facts 6.2: below about 9 effective bits the survey's envelope is a floor near 0.2-1 pJ set by fast parts.
    """
    integer_between("bits", bits, 1, 4)
    one_of("architecture", architecture, ("sar", "flash"))
    decisions = bits if architecture == "sar" else 2**bits - 1
    return decisions * (jnp.asarray(decision_energy) + jnp.asarray(logic_capacitance) * jnp.asarray(supply) ** 2)


def column_conversion_time(
    decisions: int, rows: Float[Array, "..."], slowing: Float[Array, "..."] | float = 1.0
) -> Float[Array, "..."]:
    """Time of successive decisions on a line of `rows` rows: `decisions (0.00653 ns rows + 0.640 ns slowing)`.

    What grows with the rows is the wire of the line, which hardly depends on the node; the rest is logic.

    Source: facts 6.4, ZigZag-IMC fit to 28 nm chips.
    """
    return decisions * (0.00653e-9 * rows + 0.640e-9 * slowing)


def column_area(bits: float | int) -> float:
    """Area of a column converter, m^2: `10**(1.206 - 0.0369 bits) * 2**bits` um^2.

    Source: facts 6.4, ZigZag-IMC fit to 28 nm chips; 2 to 11 bits, continued beyond.
    """
    return 1e-12 * 10.0 ** (1.206 - 0.0369 * bits) * 2.0**bits


MEASURED_SEARCH = 0.497e-6 / 256
"""Area of an 8-bit successive-approximation converter of a column, measured in 65 nm, m^2 (facts 1b, Jia'20)."""

MEASURED_SEARCH_CAPACITORS = 256 * 1e-15 / 2e-3
"""Part of it that its capacitors take: 256 of 1 fF at 2 fF/um^2 (both assumed), m^2."""


def search_logic_area(bits: int) -> float:
    """Comparator and logic of a successive-approximation converter of a column at 28 nm, m^2.

    `(1941 um^2 - 128 um^2) / 3.98 column_area(bits) / column_area(8)`: 455 um^2 at 8 bits. The measured 8-bit
    converter in 65 nm without its capacitors, by the ratio 3.98 of areas of logic; with the bits as the fit grows.

    Source: facts 1b (Jia'20, measured), 6.4 (growth), 7.2 (ratio of areas). Held against Jia'21 in 16 nm.
    """
    measured = (MEASURED_SEARCH - MEASURED_SEARCH_CAPACITORS) / Process("65nm").area_ratio
    return measured * (column_area(bits) / column_area(8))


def _inside(name: str, value: Numbers, low: float, high: float) -> Float[Array, "..."]:
    """Value as a float array; one outside the range raises at once when concrete, at run time when traced."""
    rule = f"Argument `{name}` must be from {low:g} to {high:g}, where published converters are"
    array = jnp.asarray(value)
    array = array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)
    # A margin of a rounding step: a limit such as 28e-9 may round up in float32.
    room = 1e-6
    return enforced(
        array,
        value if isinstance(value, jax.core.Tracer) else np.asarray(value, array.dtype),
        lambda x: (x >= low * (1 - room)) & (x <= high * (1 + room)),
        lambda _: f"{rule}, but is {value}.",
        f"{rule}.",
    )
