"""Digital binary array: XNOR and popcount, exact integers."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import part_of
from amsim.circuits.contract.macro import Die, Macro
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.stationary import stationary_cost
from amsim.circuits.contract.work import MacroCost, Work
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.technology.between_nodes import area_ratio, energy_ratio
from amsim.circuits.technology.sram import SramCell
from amsim.circuits.technology.technology import Technology, adder_tree_full_adders
from amsim.circuits.weight_cells import WeightCellsDie, draw_weight_cells, weights_as_read
from amsim.noise.switching import REFERENCE_TEMPERATURE


class DigitalBinary(Macro):
    r"""XNOR gates and adder trees after BinarEye (Moons et al., CICC'18).

    Exact at every supply inside the range of validity (0.6-0.9 V) unless `weight_cells` are given: then a cell whose
    lowest working supply is above the array's holds a fixed bit, in all layers and filters that share it. Late paths
    of the logic at low supply are not modelled.
    Multi-bit operands are bit-parallel in weights and bit-serial in inputs, so cost grows with the product of bits.
    Energy of one row of one column: `overhead * (C_xor + C_fa n_fa / rows) * supply**2 * activity / 0.5` with `n_fa`
    full adders of a ripple tree (facts 7.3) and `activity = 2 p (1 - p)`, p the fraction of products that are +1.

    Attributes:
        rows: Inputs of an adder tree (static). Default 1024.
        columns: Adder trees (static). Default 64.
        weight_bits: Bits of a weight (static).
        input_bits: Bits of an input (static).
        supply: V. Default 0.66 V (facts 2, low end, recalled).
        overhead: Registers, clock and wires over bare gates at half activity, 1. Default 3.0: calibrated so that
            1024 rows cost the 12.3 fJ per MAC derived for the synthesised array (facts 1.1; 2-3 expected, facts 7.3).
        clock: Hz. Default 6 MHz, where 150 frames/s cost 14.4 uJ (facts 2).
        evaluation_cycles: Clock cycles of one evaluation.
        load_width: Weight bits loaded in one cycle.
        technology: Gate constants at 28 nm, and the process, whose node scales energy and area.
        weight_cells: Lowest working supply of the cells that hold weights. None (default): they never fail.

    Raises:
        ValueError: A size, word length or supply out of range.
    """

    rows: int = count(default=1024)
    columns: int = count(default=64)
    weight_bits: int = count(unit="bit", symbol="b_w", default=1)
    input_bits: int = count(unit="bit", symbol="b_x", default=1)
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True, default=0.66)
    overhead: Quantity = quantity("overhead", unit="1", positive=True, default=3.0)
    clock: Quantity = quantity("clock", unit="Hz", symbol="f_clk", positive=True, default=6e6)
    evaluation_cycles: Quantity = quantity("evaluation_cycles", unit="1", positive=True, default=2.0)
    load_width: Quantity = quantity("load_width", unit="bit", positive=True, default=256.0)
    technology: Technology = eqx.field(default_factory=Technology)
    weight_cells: SramCell | None = None

    def __check_init__(self) -> None:
        """Check the parts."""
        part_of("technology", self.technology, Technology)
        part_of("weight_cells", self.weight_cells, SramCell, optional=True)

    @property
    def deterministic(self) -> bool:
        """Every die computes the same where no weight cell can fail."""
        return self.weight_cells is None

    @property
    def operating_supply(self) -> Float[Array, ""]:
        """The array's supply, V."""
        return self.supply

    @property
    def area(self) -> Float[Array, ""]:
        """A weight flip-flop, an XNOR and a share of the adder tree per cell, m^2."""
        gates = self.technology
        tree = gates.full_adder_area * self._full_adders_per_row
        cell = (gates.flip_flop_area + gates.xor_area + tree) * area_ratio(gates.process)
        return self.rows * self.columns * cell

    @checked_arguments
    def leakage_power(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Leakage of those gates, W.

        Args:
            temperature: K, shape ().
        """
        flip_flop, xor, full_adder = (
            self.technology.leakage_power(gate, self.supply, temperature) for gate in ("flip_flop", "xor", "full_adder")
        )
        return self.rows * self.columns * (flip_flop + xor + full_adder * self._full_adders_per_row)

    @property
    def _full_adders_per_row(self) -> float:
        return adder_tree_full_adders(self.rows) / self.rows

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray) -> Die:
        """Draws of the weight cells; None where they cannot fail."""
        return None if self.weight_cells is None else draw_weight_cells(key, self.rows, self.columns)

    def multiply(self, operands: Operands, *, die: Die = None, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """Integer product of the operands' codes, the sum of all bit slices."""
        coded = self.coded(operands)
        weights = coded.w
        if self.weight_cells is not None and die is not None:
            checked = self._check_die(die)
            weights = weights_as_read(coded, checked.failing(self.weight_cells, self.supply), checked.state)
        return coded.decode(coded.product.sums(coded.x, weights))

    def report(self, operands: Operands, *, neuron: Neuron | None = None) -> dict[str, Array]:
        """Switching activity of the products and the fractions that clip."""
        coded = self.coded(operands)
        product, activity = coded.product, coded.clipped_fractions()
        if coded.x_code.bits == 1 and coded.w_code.bits == 1:
            sums = product.sums(coded.x_code.digit(coded.x, 0), coded.w, coded.zero_digit(0))
            ones = (sums / product.rows + 1) / 2
            activity["toggling"] = jnp.mean(2 * ones * (1 - ones))
        return activity

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """Gates by the activity of the site; digits of multi-bit operands and unknown data toggle like coin tosses."""
        gates, rows = self.technology, work.product.rows / work.product.tiles(self.rows)
        row = gates.xor_capacitance + gates.full_adder_capacitance * self._full_adders_per_row
        node = energy_ratio(gates.process, self.supply)
        toggling = activity.get("toggling", jnp.asarray(0.5)) / 0.5
        return stationary_cost(
            self,
            work,
            evaluation_energy=rows * self.overhead * row * node * self.supply**2 * toggling,
            evaluation_cycles=self.evaluation_cycles,
            load_width=self.load_width,
            clock=self.clock,
        )

    def lumped(self) -> "DigitalBinary":
        """The array itself: its slices are exact and summed in one product as they are."""
        return self

    def ideal(self) -> "DigitalBinary":
        """The same array with weight cells that never fail, which is exact."""
        return dataclasses.replace(self, weight_cells=None)

    def _check_die(self, die: Die) -> WeightCellsDie:
        size = self.rows, self.columns
        if isinstance(die, WeightCellsDie) and die.state.shape == size:
            return die
        raise ValueError(
            f"Argument `die` must be a die of this macro of {size[0]} rows and {size[1]} columns, from `fabricate`, "
            f"but is of type {type(die).__name__} or of another size."
        )
