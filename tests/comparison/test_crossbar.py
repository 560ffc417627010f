"""A resistive crossbar that amsim has never seen, in one file, beside its own families."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim.circuits import Operands
from amsim.files import part_classes


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The module is imported once in a process, and registers its classes for these tests alone."""
    monkeypatch.setattr(part_classes, "_REGISTERED", {})
    import resistive_crossbar

    for part in (resistive_crossbar.Device, resistive_crossbar.CrossbarDie, resistive_crossbar.Crossbar):
        amsim.circuits.register(part)
    return resistive_crossbar


def test_read_against_a_plain_loop(registered):
    """Currents of conductance pairs in double precision, rounded by a converter of 6 bits."""
    macro = registered.Crossbar(rows=12, columns=4)
    generator = np.random.default_rng(0)
    inputs, weights = generator.choice([-1.0, 1.0], (5, 20)), generator.choice([-1.0, 1.0], (20, 6))
    die = macro.fabricate(jax.random.key(1))
    plus, minus = np.asarray(die.plus, float), np.asarray(die.minus, float)
    want = np.zeros((5, 6))
    for sample in range(5):
        for column in range(6):
            for tile in (range(12), range(12, 20)):
                current = 0.0
                for row in tile:
                    first, second = (10e-6, 1e-6) if weights[row, column] > 0 else (1e-6, 10e-6)
                    first *= 1 + 0.05 * plus[row % 12, column % 4]
                    second *= 1 + 0.05 * minus[row % 12, column % 4]
                    current += 0.2 * inputs[sample, row] * (first - second)
                count = current / (0.2 * 9e-6)
                # Of fewer than 64 rows the converter resolves each cell, two counts.
                want[sample, column] += 2 * np.round((count + len(tile)) / 2) - len(tile)
    np.testing.assert_array_equal(macro.matmul(inputs, weights, die=die), want)
    np.testing.assert_array_equal(
        macro.ideal().matmul(inputs, weights, die=die, key=jax.random.key(2)), inputs @ weights
    )


def test_read_noise_is_that_of_the_current(registered):
    macro = dataclasses.replace(registered.Crossbar(rows=64), adc=amsim.circuits.Adc(bits=16), read_noise=20e-6)
    inputs, weights = jnp.ones((4000, 64)), jnp.ones((64, 4))
    read = macro.matmul(inputs, weights, key=jax.random.key(0)) - 64
    in_counts = 20e-6 / (0.2 * 9e-6)
    assert float(jnp.std(read)) == pytest.approx(np.sqrt(in_counts**2 + 4 / 12), rel=0.03)


def test_derivatives_reach_the_device(registered):
    generator = np.random.default_rng(0)
    inputs, weights = generator.choice([-1.0, 1.0], (50, 20)), generator.choice([-1.0, 1.0], (20, 6))

    def error(macro):
        read = macro.matmul(inputs, weights, die=macro.fabricate(jax.random.key(1)), key=jax.random.key(2))
        return jnp.mean((read - inputs @ weights) ** 2)

    slope = jax.grad(error)(registered.Crossbar(rows=12, columns=4))
    assert float(slope.device.spread) > 0
    assert float(slope.read_noise) > 0
    operands = Operands.dense(inputs, weights)
    assert np.any(
        jax.grad(lambda w: jnp.sum(registered.Crossbar().multiply(dataclasses.replace(operands, matrix=w)) ** 2))(
            operands.matrix
        )
    )


def test_comparison_takes_it(registered, tmp_path):
    """Its supply cannot be chosen, so that the procedure takes it as it is; its chip is a file like any other."""
    whole = amsim.load_dataset()
    few = dataclasses.replace(whole, test=whole.test[:20], train=whole.train[:20])
    found = amsim.compare(["Crossbar-1b"], data=few, dies=2)
    assert found["chosen_setting"].values.tolist() == ["0.9 V, which is fixed"]
    assert float(found["energy"].sum()) > 0
    assert float(found["area"][0]) > float(registered.Crossbar().area)
    inputs, weights = np.ones((2, 20), np.float32), np.ones((20, 3), np.float32)
    chip = amsim.deploy(lambda params, x: x @ params, weights, registered.Crossbar(rows=8), key=jax.random.key(0))
    chip.save(tmp_path / "crossbar.npz")
    again = amsim.load_chip(tmp_path / "crossbar.npz", lambda params, x: x @ params)
    assert type(again.dies[0]) is registered.CrossbarDie
    np.testing.assert_array_equal(again(inputs), chip(inputs))
