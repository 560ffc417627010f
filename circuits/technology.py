"""Gate-level capacitances and areas of one technology, the base of the digital energy figures."""

import equinox as eqx

from amsim.circuits.checks import Quantity, quantity


class Technology(eqx.Module):
    """28 nm CMOS gate constants.

    Energy of one event is `C * VDD**2`. Source of the defaults: facts 7.3 (ZigZag-IMC constants, fitted to four
    digital in-memory chips at 0.9 V). Valid for 0.5-1.1 V; leakage and delay follow no supply law here.

    Attributes:
        xor_capacitance: Two-input XOR or XNOR, F.
        full_adder_capacitance: Full adder (3 NAND2 and 2 XOR2), F.
        nand_area: Two-input NAND, m^2.
        xor_area: Two-input XOR, m^2 (2.4 NAND2).
        flip_flop_area: Flip-flop, m^2 (6 NAND2).
        full_adder_area: Full adder, m^2.
    """

    xor_capacitance: Quantity = quantity("xor_capacitance", default=1.05e-15)
    full_adder_capacitance: Quantity = quantity("full_adder_capacitance", default=4.2e-15)
    nand_area: Quantity = quantity("nand_area", default=0.614e-12)
    xor_area: Quantity = quantity("xor_area", default=2.4 * 0.614e-12)
    flip_flop_area: Quantity = quantity("flip_flop_area", default=6 * 0.614e-12)
    full_adder_area: Quantity = quantity("full_adder_area", default=(3 + 2 * 2.4) * 0.614e-12)


def adder_tree_full_adders(inputs: int, bits: int = 1) -> int:
    """Full adders of a ripple-carry adder tree: `N (B + 1) - (B + log2 N + 1)` for N inputs of B bits (facts 7.3).

    For N not a power of two the logarithm is rounded up, the depth of the tree that holds them.
    """
    depth = (inputs - 1).bit_length()
    return max(inputs * (bits + 1) - (bits + depth + 1), 0)
