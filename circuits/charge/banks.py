"""Banks of a line: equal parts of its rows that switches join to the readout, so that it is as long as its layer."""

import equinox as eqx
from jaxtyping import Array, Float

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.products import Product
from amsim.circuits.fields import Quantity, count, quantity


class Banks(eqx.Module):
    """Equal banks of rows, each with a switch in every column that joins it to the column's readout.

    With `k` of `n` banks on, a line of `N` rows has `k N / n` cells and
    `C_tot = (k N / n) (C_u + c_cell) + C_line + C_bias + (n - k) c_off`: a cell moves it `n / k` times as far, all but
    the fixed part. Cells of banks that are off neither switch nor add noise. Which are on stays as it is while a layer
    runs, so that no switch injects charge into a read; the gates of all columns are charged once for it.

    Not modelled: the switches' resistance, which delays the readout's own `C_line` alone by picoseconds (a node behind
    equal resistances lies at the mean of the banks at once), and the leakage of banks that are off.

    Attributes:
        number: Banks of a line (static). They divide its rows.
        in_use: Banks that are on (static); None leaves the choice to each product: as few as hold its rows.
        off_capacitance: What an open switch leaves on the line, F. Default 0.1 fF, a gate overlap (facts 8, recalled).
        gate_capacitance: Gate of a switch, F. Default 0.31 fF (facts 8, a minimum switch in 65 nm).
        switch_area: Area of a switch, m^2. Default 0.5e-12, a two-input gate of 28 nm (assumed).

    Raises:
        ValueError: No bank, or more in use than there are.
    """

    number: int = count(default=16)
    in_use: int | None = count(default=None)
    off_capacitance: Quantity = quantity("off_capacitance", unit="F", symbol="c_off", default=0.1e-15)
    gate_capacitance: Quantity = quantity("gate_capacitance", unit="F", default=0.31e-15)
    switch_area: Quantity = quantity("switch_area", unit="m2", default=0.5e-12)

    def __check_init__(self) -> None:
        """Check the numbers."""
        integer_between("number", self.number, 1)
        if self.in_use is not None:
            integer_between("in_use", self.in_use, 1, self.number)

    @property
    def on(self) -> int:
        """Banks that are on: all, where none are chosen yet."""
        return self.number if self.in_use is None else self.in_use

    @checked_arguments
    def needed(self, rows: int, product: Product) -> int:
        """Fewest banks of a line of so many rows on which a product takes no more tiles than on the whole line."""
        shared = -(-product.blocks // product.tiles(rows)) * product.row_block
        return -(-shared * self.number // rows)

    @property
    def off_total(self) -> Float[Array, ""]:
        """Capacitance of all open switches of a line, F."""
        return (self.number - self.on) * self.off_capacitance
