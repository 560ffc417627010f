"""Stuck cells and dead columns: rates, both directions, and faults that stay when the probability grows."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits.charge.faults import Faults

ROWS, COLUMNS = 300, 200
DIE = Faults().fabricate(jax.random.key(0), ROWS, COLUMNS)


def test_nothing_is_faulty_by_default():
    np.testing.assert_array_equal(Faults().cell_states(DIE), np.zeros((ROWS, COLUMNS)))
    np.testing.assert_array_equal(Faults().column_states(DIE), np.zeros(COLUMNS))


def test_rates():
    stuck = np.asarray(Faults(stuck_high=0.05, stuck_low=0.2).cell_states(DIE))
    assert set(np.unique(stuck)) == {-1, 0, 1}
    for state, probability in ((1, 0.05), (-1, 0.2)):
        error = np.sqrt(probability * (1 - probability) / stuck.size)
        assert np.mean(stuck == state) == pytest.approx(probability, abs=4 * error)
    many = Faults().fabricate(jax.random.key(1), 1, 40_000)
    dead = np.asarray(Faults(dead_column=0.3).column_states(many))
    assert np.mean(dead == 1) == pytest.approx(0.15, abs=0.008)
    assert np.mean(dead == -1) == pytest.approx(0.15, abs=0.008)


def test_every_cell_and_column_at_probability_one():
    np.testing.assert_array_equal(Faults(stuck_high=1.0).cell_states(DIE), 1)
    np.testing.assert_array_equal(Faults(stuck_low=1.0).cell_states(DIE), -1)
    assert np.all(np.asarray(Faults(stuck_high=0.7, stuck_low=0.3).cell_states(DIE)) != 0)
    assert np.all(np.asarray(Faults(dead_column=1.0).column_states(DIE)) != 0)


def test_faults_stay_when_probabilities_grow():
    probabilities = jnp.linspace(0.0, 0.5, 11)
    stuck = jax.vmap(lambda p: Faults(stuck_high=p, stuck_low=p / 2).cell_states(DIE))(probabilities)
    dead = jax.vmap(lambda p: Faults(dead_column=2 * p).column_states(DIE))(probabilities)
    for states in (np.asarray(stuck), np.asarray(dead)):
        for before, after in itertools.pairwise(states):
            np.testing.assert_array_equal(after[before != 0], before[before != 0])
            assert np.sum(after != 0) > np.sum(before != 0)


def test_same_key_same_die():
    again = Faults(stuck_high=0.5).fabricate(jax.random.key(0), ROWS, COLUMNS)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(DIE), jax.tree.leaves(again), strict=True))


def test_under_jit_and_grad():
    def broken(p):
        faults = Faults(stuck_high=p, stuck_low=0.1, dead_column=p)
        return jnp.sum(jnp.abs(faults.cell_states(DIE))) + jnp.sum(jnp.abs(faults.column_states(DIE)))

    value, slope = jax.jit(jax.value_and_grad(broken))(0.2)
    assert value == broken(0.2)
    assert slope == 0


def test_wrong_probabilities():
    with pytest.raises(ValueError, match=r"`stuck_high` must be finite and at least 0 and at most 1, but is 1.5"):
        Faults(stuck_high=1.5)
    with pytest.raises(
        ValueError, match=r"`stuck_high` and `stuck_low` must be at most 1 together, but are 0.7 and 0.4"
    ):
        Faults(stuck_high=0.7, stuck_low=0.4)
    with pytest.raises(ValueError, match=r"`columns` must be an integer of at least 1, but is 0"):
        Faults().fabricate(jax.random.key(0), 3, 0)
    with pytest.raises(Exception, match=r"must be at most 1 together"):
        jax.block_until_ready(jax.jit(lambda p: Faults(p, p).cell_states(DIE))(0.6))
