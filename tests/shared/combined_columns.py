"""Groups of columns as explicit capacitors in NumPy, and the value of a group before its converter rounds it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from amsim.circuits import DenseProduct, Operands, TimeSharedCharge, ValueRange, WeightedCapacitors
from amsim.circuits.charge.die import nominal_die
from amsim.circuits.charge.die_folding import fold_die
from amsim.circuits.contract.bit_slicing import accumulate, weight_digits

SIGNS = ValueRange(-1.0, 1.0)


def words(generator, bits, *shape):
    """Weights of two's complement digits: odd numbers around 0, scaled to whole words by `of_weights`."""
    return generator.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape).astype(float)


def of_weights(bits):
    return ValueRange(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1, 1.0)


@eqx.filter_jit
def group_counts(macro, die, x, w):
    """Values of the groups of one-bit inputs -1 and +1, counts of the least significant cell, before conversion."""
    known = of_weights(macro.weight_bits) if macro.weight_bits > 1 else SIGNS
    operands = Operands(DenseProduct(*w.shape), x, w, SIGNS, known)
    coded, array = macro.coded(operands), macro.for_product(operands.product)
    digits, combined = weight_digits(coded), macro.combined_columns
    line = fold_die(array, nominal_die(array) if die is None else die).behind(digits.shape[1])
    sums = accumulate(coded, digits, array.line_rows, lambda one: one.sums, cells=line.cells, combined=combined)
    return sums + line.middle(jnp.ones((1, w.shape[0])), with_bias=False) + line.offset[None]


def digits_of_words(w, bits):
    """Digits -1 and +1 of words, least significant first, shape (rows, columns * bits), in plain Python."""
    codes = (np.asarray(w) + 2 ** (bits - 1)).astype(int)
    return np.concatenate([[2 * ((codes[:, c] >> b) & 1) - 1 for b in range(bits)] for c in range(codes.shape[1])]).T


def joined_volts(part, charges, lines, own):
    """Step of the combined node, V, by charge balance of one group: `charges` on lines of these totals, loads included.

    Args:
        part: The circuit.
        charges: C, one for each line.
        lines: F.
        own: F.
    """
    bits = len(lines)
    if isinstance(part, WeightedCapacitors):
        held = sum(own[:bits]) + float(part.node_parasitic)
        value = sum(own[j] * charges[j] / lines[j] for j in range(bits)) / held
        tau = float(part.resistance) * float(part.unit_capacitance) * float(part.node_parasitic) / held
        return value * (1 - np.exp(-float(part.sharing_time) / tau)) if tau > 0 else value
    if isinstance(part, TimeSharedCharge):
        value = 0.0
        for j in range(bits):
            series = own[0] * lines[j] / (own[0] + lines[j])
            moved = series * (charges[j] / lines[j] - value)
            if part.resistance > 0:
                moved = moved * (1 - np.exp(-float(part.sharing_time) / (float(part.resistance) * series)))
            value = value + moved / own[0]
        return value
    # Nodes: the lines, then those of the ladder; Maxwell's capacitance matrix.
    matrix = np.zeros((2 * bits, 2 * bits))
    for j in range(bits):
        matrix[j, j], node = lines[j], bits + j
        matrix[node, node] += own[j] + float(part.node_parasitic)
        matrix[j, node] = matrix[node, j] = -own[j]
    matrix[bits, bits] += own[bits]
    for j, link in enumerate(own[bits + 1 :]):
        low = bits + j
        matrix[low, low] += link
        matrix[low + 1, low + 1] += link
        matrix[low, low + 1] = matrix[low + 1, low] = -link
    return np.linalg.solve(matrix, np.concatenate([charges, np.zeros(bits)]))[-1]


def nominal_own(part, line):
    """Own capacitors of a group, F, from its fields alone."""
    bits = part.bits
    if isinstance(part, WeightedCapacitors):
        unit = float(part.unit_capacitance)
        return np.array([unit * 2**j for j in range(bits)] + [unit * (2 ** (bits - 1) - 2**j) for j in range(bits - 1)])
    if isinstance(part, TimeSharedCharge):
        return np.array([line if part.capacitance is None else float(part.capacitance)])
    unit, parasitic = float(part.unit_capacitance), float(part.node_parasitic)
    stiff = unit * (line - unit) / line
    sized = unit + float(part.compensation) * (stiff + parasitic - unit)
    return np.array([unit] * bits + [sized] + [2 * sized] * (bits - 1))


def loads(part, own):
    """What own capacitors hang on each line, F."""
    bits = part.bits
    if isinstance(part, WeightedCapacitors):
        return own[:bits] + np.append(own[bits:], 0.0)
    return np.zeros(bits) if isinstance(part, TimeSharedCharge) else own[:bits]


def explicit_counts(macro, draws, high, combining_draws):
    """Values of one line's groups, counts above all cells low, by explicit capacitors; no bias DAC to speak of.

    Args:
        macro: An array without parts but its circuit that combines.
        draws: Of the cells, (rows, columns).
        high: 1 where a cell goes high, (reads, rows, columns).
        combining_draws: Of the groups' own capacitors.
    """
    part, unit, coefficient = macro.combining, float(macro.unit_capacitance), float(macro.mismatch_coefficient)
    cells = unit * (1 + coefficient / np.sqrt(unit) * np.asarray(draws, float))
    dac = unit * float(jnp.sum(macro.bias_dac.section_units()))
    fixed = macro.rows * float(macro.cell_parasitic) + float(macro.line_parasitic) + dac
    bits = part.bits
    line = macro.rows * unit + fixed + loads(part, nominal_own(part, 1.0)).mean()
    nominal = nominal_own(part, line)
    settled = np.zeros(bits)
    full = joined_volts(_stiff(part), np.ones(bits) * line, np.ones(bits) * line, nominal)
    step = float(macro.supply) * unit / line * full / (2**bits - 1)
    found = np.zeros((len(high), macro.columns // bits))
    for group in range(found.shape[1]):
        sigma = np.where(nominal > 0, coefficient / np.sqrt(np.where(nominal > 0, nominal, 1.0)), 0.0)
        own = nominal * (1 + sigma * np.asarray(combining_draws[group], float))
        columns = np.arange(group * bits, (group + 1) * bits)
        totals = cells[:, columns].sum(axis=0) + fixed + loads(part, own)
        for read in range(len(high)):
            settled = float(macro.supply) * (high[read][:, columns] * cells[:, columns]).sum(axis=0)
            found[read, group] = 2 * joined_volts(part, settled, totals, own) / step
    return found


def _stiff(part):
    """The same circuit with all charge shared."""
    return part if not hasattr(part, "resistance") else eqx.tree_at(lambda one: one.resistance, part, jnp.zeros(()))


def in_double(tree):
    """The same pytree in float64; to be used where JAX has float64 on."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float) if eqx.is_inexact_array(leaf) else leaf, tree)
