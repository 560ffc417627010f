"""Capacitor arrays of successive-approximation converters: levels, the transitions of the search, DNL and INL.

Bit `k` of `capacitances` has weight `2**k`, the least significant first. The level of code `D` is the input at which
the comparator is undecided while `D` is tried: `level(D) = sum_k d_k weights_k + offset`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from amsim.circuits.checks import every, integer_between
from amsim.noise.loops import scan

Scalar = Float[Array, ""] | float
"""A number, traced or plain."""


class DacLevels(eqx.Module):
    """Levels of a capacitor array: `level(D) = sum_k d_k weights_k + offset`.

    Attributes:
        weights: Input that each bit balances, least significant bit first, V.
        offset: Level of code 0, V.
    """

    weights: Float[Array, "*lines bits"]
    offset: Float[Array, "*lines"]

    def level(self, codes: Int[Array, "*codes"]) -> Float[Array, "*codes"]:
        """Level of each code of a single array, V, before the search clips it."""
        places = jnp.arange(self.weights.shape[-1], dtype=codes.dtype)
        bits = (codes[..., None] >> places.reshape((1,) * codes.ndim + (-1,))) & 1
        return jnp.sum(bits.astype(self.weights.dtype) * _last(self.weights, bits.ndim), axis=-1) + self.offset


class Linearity(eqx.Module):
    """Static linearity of a converter, from its transition levels by the end-point fit.

    Attributes:
        lsb_fit: Mean width of the codes between the first and the last transition, unit of the transitions; NaN where
            there is a single transition.
        dnl: Width of each code between two transitions less 1, LSB.
        inl: Distance of each transition from the end-point line, LSB.
        missing_codes: Number of codes of zero width between the first and the last transition.
        monotonic: No missing code: the levels rise.
    """

    lsb_fit: Float[Array, "*lines"]
    dnl: Float[Array, "*lines codes"]
    inl: Float[Array, "*lines transitions"]
    missing_codes: Int[Array, "*lines"]
    monotonic: Bool[Array, "*lines"]


def bottom_plate_levels(
    capacitances: Float[Array, " bits"],
    reference: Scalar,
    *,
    dummy: Scalar = 0.0,
    parasitic: Scalar = 0.0,
    comparator_offset: Scalar = 0.0,
) -> DacLevels:
    """Levels when the input is sampled on all bottom plates, bits and dummy, with the top at mid level.

    `level(D) = [reference sum_k d_k C_k - comparator_offset (C_sum + parasitic)] / C_sum`, `C_sum` = bits and dummy.

    Args:
        capacitances: C_k, shape (bits,), F.
        reference: Voltage to which a bit of 1 connects its bottom plate, V.
        dummy: Capacitor that samples the input but carries no bit, F.
        parasitic: Top plate to ground, F.
        comparator_offset: The bit is kept when the top plate is at most this far above mid level, V.

    Returns:
        Weights and offset, V.

    Raises:
        ValueError: A concrete capacitance is negative or not finite.

    Valid for settled voltages. Source: charge balance; McCreary and Gray, IEEE JSSC 10 (1975).
    """
    units, (dummy_units, parasitic_units) = _in_units(capacitances, dummy=dummy, parasitic=parasitic)
    total = jnp.sum(units) + dummy_units
    return _levels(units, total, reference, -comparator_offset * (1.0 + parasitic_units / total))


def shared_line_levels(
    capacitances: Float[Array, " bits"],
    reference: Scalar,
    *,
    line: Scalar = 0.0,
    comparator_offset: Scalar = 0.0,
) -> DacLevels:
    """Levels when the array sits on the line whose voltage above the comparator reference is converted.

    Bottom plates wait at `reference` and go to 0 on a 1:
    `level(D) = reference sum_k d_k C_k / (line + sum_k C_k) + comparator_offset`.

    Args:
        capacitances: C_k, shape (bits,), F.
        reference: V.
        line: All other capacitance on the line, F.
        comparator_offset: The bit is kept when the line is at least this far above the comparator reference, V.

    Returns:
        Weights and offset, V.

    Raises:
        ValueError: A concrete capacitance is negative or not finite.

    Valid for settled voltages. Source: charge balance.
    """
    units, (line_units,) = _in_units(capacitances, line=line)
    return _levels(units, line_units + jnp.sum(units), reference, comparator_offset)


def split_levels(
    capacitances: Float[Array, " bits"],
    reference: Scalar,
    *,
    low_bits: int,
    bridge: Scalar,
    dummy: Scalar = 0.0,
    parasitic: Scalar = 0.0,
    low_parasitic: Scalar = 0.0,
    comparator_offset: Scalar = 0.0,
) -> DacLevels:
    """Levels of a bottom-plate array whose low bits couple through a bridge capacitor.

    Bits `0..low_bits-1` and the dummy hang on a second floating node, reset to mid level too. With the total `Y` of
    that node (its bits, dummy, parasitic, bridge) and the coupling `r = bridge / Y`, its charge balance gives each
    capacitor the weight `r C` on the comparator node:
    `level(D) = [reference (sum_high d_k C_k + r sum_low d_k C_k) - comparator_offset X] / M`, with
    `M = sum_high C_k + r (sum_low C_k + dummy)` and `X = sum_high C_k + parasitic + bridge (1 - r)`.

    Args:
        capacitances: C_k, shape (bits,), F.
        reference: V.
        low_bits: Bits on the second node, from 0 to all bits.
        bridge: Capacitor between the nodes, F.
        dummy: On the second node, F.
        parasitic: Comparator node to ground, F.
        low_parasitic: Second node to ground, F.
        comparator_offset: As in `bottom_plate_levels`, V.

    Returns:
        Weights and offset, V.

    Raises:
        ValueError: `low_bits` is not from 0 to the number of bits, or a concrete capacitance is negative or not finite.

    Valid for settled voltages. Source: charge balance of both nodes.
    """
    integer_between("low_bits", low_bits, 0, capacitances.shape[0])
    units, (bridge, dummy, parasitic, low_parasitic) = _in_units(
        capacitances, bridge=bridge, dummy=dummy, parasitic=parasitic, low_parasitic=low_parasitic
    )
    low, high = units[:low_bits], units[low_bits:]
    second_node = jnp.sum(low) + dummy + low_parasitic + bridge
    # An empty second node couples nothing.
    coupling = jnp.where(second_node > 0, bridge / jnp.where(second_node > 0, second_node, 1.0), 0.0)
    effective = jnp.concatenate([coupling * low, high])
    total = jnp.sum(effective) + coupling * dummy
    node = jnp.sum(high) + parasitic + bridge * (1.0 - coupling)
    return _levels(effective, total, reference, -comparator_offset * (node / total))


def transition_levels(dac: DacLevels) -> Float[Array, " transitions"]:
    """Transitions of the search: the lowest input whose code is at least 1, 2, ... up to the last code.

    The search tries bits from the most significant down and keeps a bit when the input reaches the trial level. Inputs
    that reach a trial lie in a bracket that earlier trials left open, so that `T = min(max(level, low), high)`:
    where the levels do not rise, transitions coincide and codes go missing.

    Args:
        dac: Levels of one array of 1 to 16 bits; use jax.vmap for more.

    Returns:
        Transitions in rising order, shape (2**bits - 1,), V.

    Raises:
        ValueError: There are more than 16 bits, or none.

    Valid for settled levels and a comparator without noise.
    """
    bits = dac.weights.shape[0]
    integer_between("bits", bits, 1, 16)
    codes = jnp.arange(1, 2**bits)

    def decide(
        bracket: tuple[Array, Array, Array], bit: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array, Array], None]:
        level, low, high = bracket
        weight, place = bit
        trial = level + weight
        transition = jnp.where(trial < low, low, jnp.where(trial > high, high, trial))
        kept = ((codes >> place) & 1) == 1
        found = jnp.where(kept, trial, level), jnp.where(kept, transition, low), jnp.where(kept, high, transition)
        return found, None

    everything = jnp.full(codes.shape, jnp.inf, dac.weights.dtype)
    start = jnp.broadcast_to(dac.offset, codes.shape), -everything, everything
    # The last bit of a code that is 1 sets its transition; the zeros below only lower the upper end of the bracket.
    (_, transitions, _), _ = scan(decide, start, (dac.weights, jnp.arange(bits)), reverse=True)
    return transitions


def linearity(transitions: Float[Array, "*lines transitions"]) -> Linearity:
    """DNL, INL and missing codes from transition levels.

    `lsb_fit = (T_last - T_first) / (transitions - 1)`, `dnl_k = (T_(k+1) - T_k) / lsb_fit - 1`,
    `inl_k = (T_k - T_first) / lsb_fit - k`.

    Args:
        transitions: In rising order, shape (..., transitions), V or any unit.

    Returns:
        The linearity in LSB of the end-point fit; NaN where all transitions are equal. A single transition has an INL
        of 0 and no DNL.

    Raises:
        ValueError: There is no transition.

    Source: IEEE Std 1241, static linearity by the end-point (terminal) fit.
    """
    steps = transitions.shape[-1] - 1
    if steps < 0:
        raise ValueError("Argument `transitions` must hold at least one transition, but is empty.")
    first = transitions[..., :1]
    widths = transitions[..., 1:] - transitions[..., :-1]
    span = transitions[..., -1:] - first
    nothing = jnp.full_like(span, jnp.nan)
    lsb = span / steps if steps else nothing
    safe = jnp.where(span > 0, lsb, nothing)
    places = jnp.arange(steps + 1, dtype=transitions.dtype).reshape((1,) * (transitions.ndim - 1) + (-1,))
    missing = jnp.sum(widths <= 0, axis=-1)
    return Linearity(
        lsb_fit=lsb[..., 0],
        dnl=widths / safe - 1.0,
        inl=(transitions - first) / safe - places if steps else jnp.zeros_like(transitions),
        missing_codes=missing,
        monotonic=missing == 0,
    )


def _in_units(capacitances: Float[Array, " bits"], **others: Scalar) -> tuple[Array, list[Array]]:
    """Capacitances relative to the sum of the bits: products and powers of femtofarads leave float32."""
    every("capacitances", capacitances)
    for name, value in others.items():
        if not isinstance(value, jax.core.Tracer):
            every(name, jnp.asarray(value, capacitances.dtype))
    # Levels depend on ratios only, so the derivatives with respect to a common factor cancel and need not be carried.
    unit = jax.lax.stop_gradient(jnp.sum(capacitances))
    return capacitances / unit, [value / unit for value in others.values()]


def _levels(effective: Array, total: Array, reference: Scalar, offset: Scalar | Array) -> DacLevels:
    return DacLevels(reference * (effective / total), jnp.asarray(offset, effective.dtype))


def _last(values: Array, ndim: int) -> Array:
    return values.reshape((1,) * (ndim - 1) + (-1,))
