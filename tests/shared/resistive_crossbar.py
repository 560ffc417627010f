"""A resistive crossbar in one file, as a user would write it: conductance pairs, their spread, read noise, an ADC."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from amsim import circuits
from amsim.circuits import ErrorSource, Quantity, count, quantity


@circuits.register
class Device(eqx.Module):
    """Programmable resistor.

    Attributes:
        on: Conductance of a programmed device, S.
        off: Conductance of one that is not, S.
        spread: Relative standard deviation of either, 1.
    """

    error_sources = (ErrorSource("programming", "static", "Spread of conductances.", sizes=("spread",)),)

    on: Quantity = quantity("on", unit="S", positive=True, default=10e-6)
    off: Quantity = quantity("off", unit="S", default=1e-6)
    spread: Quantity = quantity("spread", unit="1", default=0.05)


@circuits.register
class CrossbarDie(eqx.Module):
    """Standard draws of both devices of each pair."""

    plus: jax.Array
    minus: jax.Array


@circuits.register
class Crossbar(circuits.Macro):
    """Pairs of conductances on two lines, the difference of whose currents an ADC reads."""

    error_sources = (
        ErrorSource("read noise", "dynamic", "Noise of the current that is read.", sizes=("read_noise",)),
        ErrorSource("adc steps", "resolution", "Steps of the converter.", off={"adc": circuits.IDEAL}),
    )

    rows: int = count(default=128)
    columns: int = count(default=64)
    weight_bits: int = count(unit="bit", default=1)
    input_bits: int = count(unit="bit", default=1)
    device: Device = eqx.field(default_factory=Device)
    read_noise: Quantity = quantity("read_noise", unit="A", default=2e-6)
    read_voltage: Quantity = quantity("read_voltage", unit="V", positive=True, default=0.2)
    read_time: Quantity = quantity("read_time", unit="s", positive=True, default=50e-9)
    cell_area: Quantity = quantity("cell_area", unit="m2", default=0.2e-12)
    adc: circuits.Adc = eqx.field(default_factory=lambda: circuits.Adc(bits=6))

    @property
    def operating_supply(self):
        return jnp.asarray(0.9)  # of the logic around it; the lines are read at `read_voltage`

    @property
    def area(self):
        return self.columns * (2 * self.rows * self.cell_area + self.adc.area_in(circuits.Process()))

    @property
    def current_per_count(self):
        return self.read_voltage * (self.device.on - self.device.off)

    def fabricate(self, key):
        plus, minus = jax.random.normal(key, (2, self.rows, self.columns))
        return CrossbarDie(plus, minus)

    def _pairs(self, coded, die):
        """Difference of the two conductances of each pair, in that of a programmed pair: near -1, 0 or +1."""
        digits, step = circuits.weight_digits(coded), self.device.on - self.device.off
        lines = []
        for sign, draws in ((1, None if die is None else die.plus), (-1, None if die is None else die.minus)):
            conductance = jnp.where(sign * digits > 0, self.device.on, self.device.off)
            if draws is not None:
                conductance = conductance * (1 + self.device.spread * circuits.shared_cells(draws, coded))
            lines.append(conductance)
        straight_through = digits - jax.lax.stop_gradient(digits)
        return (lines[0] - lines[1]) / step + straight_through

    def multiply(self, operands, *, die=None, key=None):
        coded = self.coded(operands)
        driven = coded.product.driven_rows(self.rows)
        noise = self.read_noise / self.current_per_count / 2  # in cells, two counts each

        def read(one):
            rows, own = jnp.sum(driven[one.tile]), None if key is None else jax.random.fold_in(key, one.order)
            cells = self.adc.convert((one.sums + rows) / 2, rows, sampled_noise=noise, key=own)
            return one.place_value * (2 * cells - rows)

        sums = circuits.accumulate(coded, self._pairs(coded, die), self.rows, read)
        return coded.decode(circuits.recombine(coded, sums))

    def report(self, operands, *, neuron=None):
        return self.coded(operands).clipped_fractions()

    def cost(self, work, activity):
        rows = work.product.rows / self.tiles(work.product)
        current = self.read_voltage * (self.device.on + self.device.off)
        energy = rows * current * self.read_voltage * self.read_time
        energy = energy + self.adc.energy(self.operating_supply, jnp.zeros(()), circuits.Process())
        return circuits.stationary_cost(
            self,
            work,
            evaluation_energy=energy,
            evaluation_cycles=jnp.ones(()),
            load_width=jnp.asarray(64.0),
            clock=1 / self.read_time,
        )

    def ideal(self):
        device = dataclasses.replace(self.device, spread=0.0)
        return dataclasses.replace(self, device=device, read_noise=0.0, adc=circuits.Adc(bits=16))
