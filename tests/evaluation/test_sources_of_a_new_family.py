"""A family that no tool has heard of declares its sources of error, and every tool takes them from there."""

import dataclasses
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.circuits import ErrorSource
from amsim.circuits.fields import Quantity, quantity
from amsim.datasets import Split
from amsim.evaluation.fixed_reads import FixedReads

ROWS, COLUMNS = 16, 8


class Supply(eqx.Module):
    """Regulator with a droop, the same at every read, and a spread between dies."""

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource("regulator", "static", "Droop of the supply and its spread.", sizes=("spread",), left_out=True),
    )

    droop: Quantity = quantity("droop", unit="1", default=0.1)
    spread: Quantity = quantity("spread", unit="1", default=0.05)


class CurrentMode(circuits.DigitalBinary):
    """Popcount of currents: a gain of the die, noise of each read, and a regulator where there is one."""

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource("gain spread", "static", "Spread of the current of all cells.", sizes=("gain_sigma",)),
        ErrorSource("shot noise", "dynamic", "Noise of the currents.", temperatures=("noise_power",)),
    )

    gain_sigma: Quantity = quantity("gain_sigma", unit="1", default=0.1)
    noise_power: Quantity = quantity("noise_power", unit="1", default=4.0)
    regulator: Supply | None = None

    @property
    def deterministic(self) -> bool:
        return False

    def fabricate(self, key: Any) -> Any:
        return jax.random.normal(key, (2,))

    def multiply(self, *operands: Any, die: Any = None, key: Any = None, **ranges: Any) -> Any:
        read = super().multiply(*operands, **ranges)
        draws = jnp.zeros((2,)) if die is None else die
        read = read * (1.0 + self.gain_sigma * draws[0])
        if self.regulator is not None:
            read = read * (1.0 - self.regulator.droop + self.regulator.spread * draws[1])
        noise = 0.0 if key is None else jnp.sqrt(self.noise_power) * jax.random.normal(key, read.shape, read.dtype)
        return read + noise

    def error_variances(self, *, rows: int | None = None, activity: float = 0.5, readout: str | None = None) -> Any:
        products = self.rows if rows is None else rows
        square = products * 4 * activity * (1 - activity) + (products * (2 * activity - 1)) ** 2
        found = {"gain spread": self.gain_sigma**2 * square, "shot noise": self.noise_power}
        if self.regulator is not None:
            found["regulator"] = (self.regulator.droop**2 + self.regulator.spread**2) * square
        return found


MACRO = CurrentMode(rows=ROWS, columns=COLUMNS, regulator=Supply())
NAMES = ["gain spread", "shot noise", "regulator"]


def signs(seed: int, shape: tuple[int, ...]) -> Any:
    return jnp.where(jax.random.bernoulli(jax.random.key(seed), 0.5, shape), 1.0, -1.0)


def test_scaling_knows_the_sources() -> None:
    half = MACRO.with_error_scale(jnp.asarray(0.5))
    assert half.regulator is not None
    assert float(half.gain_sigma) == pytest.approx(0.05)
    assert float(half.noise_power) == pytest.approx(1.0)
    assert float(half.regulator.spread) == pytest.approx(0.025)
    assert float(half.regulator.droop) == pytest.approx(0.1)


def test_noise_budget_knows_the_sources_and_refuses_others() -> None:
    budget = amsim.noise_budget(MACRO)
    assert budget["source"].values.tolist() == NAMES
    np.testing.assert_allclose(budget["variance"], [0.01 * ROWS, 4.0, (0.01 + 0.0025) * ROWS], rtol=1e-6)
    assert float(budget["compute_snr"]) == pytest.approx(10 * math.log10(ROWS / float(budget["variance"].sum())))

    class Nameless(CurrentMode):
        def error_variances(self, **options: Any) -> Any:
            return super().error_variances(**options) | {"thermal noise": jnp.ones(())}

    with pytest.raises(ValueError, match=r"must name effects .* but names 'thermal noise'"):
        amsim.noise_budget(Nameless(rows=ROWS, columns=COLUMNS))


def test_switched_sources_knows_the_sources() -> None:
    inputs, weights, dies = signs(0, (300, ROWS)), signs(1, (ROWS, COLUMNS)), 40

    def measure(hardware: Any, die_key: Any, read_key: Any) -> dict[str, Any]:
        read = hardware.matmul(inputs, weights, die=hardware.fabricate(die_key), key=read_key)
        return {"error": jnp.mean((read - inputs @ weights) ** 2)}

    labels = {"error": ("1", "mean square error")}
    found = amsim.switched_sources(measure, hardware=MACRO, labels=labels, key=jax.random.key(2), dies=dies)
    assert found["source"].values.tolist() == NAMES
    np.testing.assert_array_equal(found["error_none"], 0.0)
    alone = found["error"].sel(state="this alone").transpose("source", "die", ...).values.reshape(len(NAMES), dies)
    expected = amsim.noise_budget(MACRO)["variance"].values
    np.testing.assert_allclose(alone.mean(axis=1), expected, atol=4 * alone.std(axis=1).max() / math.sqrt(dies))


def test_sensitivity_knows_the_sources() -> None:
    params = {"first": signs(3, (ROWS, COLUMNS)), "second": signs(4, (COLUMNS, 3))}

    def network(params: Any, inputs: Any) -> Any:
        return jnp.tanh(jnp.asarray(inputs, float) @ params["first"] / 4) @ params["second"]

    inputs = np.asarray(signs(5, (24, ROWS)))
    data = Split(inputs, np.argmax(np.asarray(network(params, inputs)), axis=1).astype(np.int32))
    found = amsim.sensitivity(network, params, MACRO, data, key=jax.random.key(6), dies=3)
    assert found["source"].values.tolist() == NAMES
    quiet = dataclasses.replace(MACRO, gain_sigma=0.0, noise_power=0.0, regulator=None)
    noisy = dataclasses.replace(quiet, noise_power=MACRO.noise_power)
    drooping = dataclasses.replace(quiet, regulator=MACRO.regulator)
    reads = FixedReads.of(data, 250, jax.random.key(6), 3)

    def loss(second: circuits.Macro) -> float:
        hardware = amsim.Accelerator.of({"first": quiet, "second": second})
        parts = [reading.cross_entropy(reading.logits(network, params, hardware)) for reading in reads.all()]
        return float(sum(parts)) / len(data) / len(reads.keys)

    increase = found["loss_increase"].sel(site="second")
    for name, macro in {"shot noise": noisy, "regulator": drooping}.items():
        assert float(increase.sel(source=name)) == pytest.approx(loss(macro) - loss(quiet), rel=1e-4, abs=1e-6), name
        assert abs(float(increase.sel(source=name))) > 1e-4
