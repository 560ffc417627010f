"""Noise of the lines of an array, drawn at every read: of reset, drivers, last values, rows and decisions."""

import jax.numpy as jnp
from jaxtyping import Array, Float
from scipy import constants

from amsim.circuits.charge.grouped_array import Group
from amsim.circuits.charge.line_evaluation import LineEvaluation
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.circuits.charge.row_dac import mean_square
from amsim.circuits.checked_arguments import checked_arguments
from amsim.noise.finite_slopes import quotient, ratio, root


class LineNoise(LineEvaluation):
    """Lines that a comparator reads with noise; the fields are those of `CapacitorArray`."""

    @property
    def noise_counts(self) -> Float[Array, ""]:
        """Standard deviation of one read, counts: everything sampled on the line and the comparator's noise."""
        return self.read_noise()

    @checked_arguments
    def read_noise(self, nominal: NominalLine | None = None) -> Float[Array, ""]:
        """The same; the nominal line is computed where it is not given."""
        decided = self.comparator_referral * self.decision_noise_counts
        return root(self.sampled_noise(self.line_rows, nominal) ** 2 + decided**2)

    @property
    def sampled_noise_counts(self) -> Float[Array, ""]:
        """Standard deviation of the noise on the line before any decision, counts."""
        return self.sampled_noise(self.line_rows)

    @checked_arguments
    def sampled_noise(
        self, driven: Float[Array, ""] | float | int, nominal: NominalLine | None = None
    ) -> Float[Array, ""]:
        """The same on a line of which so many rows are in use; the nominal line is computed where it is not given."""
        variances = self.noise_variances(driven, nominal)
        return root(sum(variances.values(), start=jnp.zeros_like(self.supply)))

    @property
    def comparator_referral(self) -> Float[Array, ""] | float:
        """Volts on the line for which a volt at the comparator's input stands, V/V: as its converter says."""
        return 1.0 if self.adc is None else self.adc.comparator_referral

    @property
    def decision_noise_counts(self) -> Float[Array, ""]:
        """Comparator noise at every decision, counts at its own input."""
        assert self.comparator is not None
        return self.comparator.noise_at(self.supply, self.process) * self.counts_per_volt

    @checked_arguments
    def noise_variances(
        self, driven: Float[Array, ""] | float | int | None = None, nominal: NominalLine | None = None
    ) -> dict[str, Float[Array, ""]]:
        """Variance on the line, counts^2, of each source that is drawn at every read.

        "thermal noise": kT/C noise of the reset switch on C_tot. "driver noise": noise of the drivers' resistors,
        `kT C_sum / (C_par C_tot)` within the readout's bandwidth. Of a converter that samples the line both together
        are the kT/C noise of its C_s. "last value": what slow drivers leave of the sums before, whose variance is one
        count^2 per row when operands are independent, less with levels in between. Those of two lines add. "row DAC
        noise": that of `driven` rows (None is all of the line). After joined evaluations the noise of the line is that
        of its accumulation capacitor, `kT / C_a`.
        """
        # kT / (C_u supply**2) first: kT alone times a capacitance would underflow in float32.
        unit = (
            4.0
            * self.lines
            / self.swing**2
            * ratio(ratio(constants.k * self.temperature, self.unit_capacitance), self.supply**2)
        )
        sampled = self.sampling_capacitance
        if sampled is None:
            variances = {"thermal noise": unit * self.total_units}
        else:
            variances = {
                "thermal noise": unit * ratio(self.read_units, ratio(sampled, self.unit_capacitance)) * self.read_units
            }
        if self.serial_accumulation is not None:
            left = ratio(self.total_capacitance, self.accumulation_capacitance) / self.accumulated_swing**2
            variances["thermal noise"] = variances["thermal noise"] * left
        if self.drivers is not None:
            if sampled is None:
                grounded = ratio(self.parasitic_capacitance, self.unit_capacitance)
                moved = ratio(self.total_units - grounded, grounded) * self.total_units
                variances["driver noise"] = self.drivers.noise_fraction * unit * moved
            nominal = self.nominal if nominal is None else nominal
            left = quotient(nominal.drive_left**2, 1.0 - nominal.drive_kept**2)
            variances["last value"] = left * nominal.gain**2 * self.line_rows
            if self.row_dac is not None:
                variances["last value"] = variances["last value"] * mean_square(self.row_dac.bits)
        if self.row_dac is not None:
            rows = self.line_rows if driven is None else driven
            level = ratio(2.0 * self.row_dac.noise, self.supply)
            variances["row DAC noise"] = level**2 * rows * self.weight_square
        return variances if self.group is None else self._of_group(variances, self.group)

    def _of_group(self, variances: dict[str, Float[Array, ""]], group: Group) -> dict[str, Float[Array, ""]]:
        """The same of combined columns: what holds their node sets its kT/C noise, the rest is that of all lines."""
        sampled = ratio(constants.k * self.temperature, group.held) * self.lines
        others = {name: variance * jnp.sum(group.weights**2) for name, variance in variances.items()}
        return others | {"thermal noise": sampled * self.counts_per_volt**2}
