"""Digits in which a macro's cells take operands, and the integer codes that these make of them."""

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import part_of
from amsim.circuits.contract.cells import Cells
from amsim.circuits.contract.operands import Coded, Operands
from amsim.circuits.contract.readout import Coding as Digits
from amsim.circuits.selection.codes import (
    Coding,
    DigitSet,
    IntegerCode,
    Rounding,
    check_coding,
    fixes_code,
    input_code,
    weight_code,
)
from amsim.noise.loops import computed_once


class CodedCells(Cells):
    """Cells that hold digits of operands, here of -1 and +1; the fields are those of `Macro`."""

    @property
    def operand_rounding(self) -> Rounding:
        """Rounding of operands to their codes."""
        return "nearest"

    @checked_arguments
    def input_digits(self, known: Coding) -> DigitSet:
        """Digits in which inputs of this range are written, unless their code is given; here -1 and +1.

        Raises:
            ValueError: The macro is built for digits that such inputs do not have.
        """
        check_coding("known", known)
        return "bipolar"

    @checked_arguments
    def weight_digits(self, known: Coding) -> DigitSet:
        """The same for weights.

        Raises:
            ValueError: The macro is built for digits that such weights do not have.
        """
        check_coding("known", known)
        return "bipolar"

    @checked_arguments
    def codings(self, inputs: Coding, weights: Coding) -> tuple[Digits, ...]:
        """Digits of inputs and weights that a choice may take for such operands; here those that the macro has."""
        check_coding("inputs", inputs)
        check_coding("weights", weights)
        return ((self.input_digits(inputs), self.weight_digits(weights)),)

    def foreign_digits(self, inputs: IntegerCode | None, weights: IntegerCode | None) -> str:
        """What given codes have that the macro's cells do not hold, in words; "" where they hold all, as here."""
        part_of("inputs", inputs, IntegerCode, optional=True)
        part_of("weights", weights, IntegerCode, optional=True)
        return ""

    def coded(self, operands: Operands) -> Coded:
        """Operands as integer codes of this macro's word lengths."""
        inputs, matrix, vectors = operands.inputs, operands.matrix, operands.product.vector_axes
        known_inputs, known_weights, rounding = operands.input_range, operands.weight_range, self.operand_rounding
        if not isinstance(known_inputs, IntegerCode) and not fixes_code(known_inputs, self.input_bits):
            inputs = computed_once(inputs)
        input_digits, weight_digits = self.input_digits(known_inputs), self.weight_digits(known_weights)
        x_code = input_code(inputs, self.input_bits, known_inputs, vectors, rounding, input_digits)
        w_code = weight_code(matrix, self.weight_bits, known_weights, rounding, weight_digits)
        return Coded(operands, x_code, x_code.encode(inputs), w_code, w_code.encode(matrix))
