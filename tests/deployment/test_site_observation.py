"""Observations of runs become one as a plain loop over the runs says."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.deployment.running.site_observation import SiteObservation

RNG = np.random.default_rng(0)
DATA = [RNG.normal(size=(size, 3)).astype(np.float32) for size in (4, 4, 4)]


def observe(values: Any) -> SiteObservation:
    return SiteObservation(
        {"square": jnp.mean(jnp.square(values))},
        {"positive": jnp.sum(values > 0)},
        {"value": jnp.min(values)},
        {"value": jnp.max(values)},
        runs=jnp.ones(()),
    )


def check(found: SiteObservation, parts: list[np.ndarray]) -> None:
    whole = np.stack(parts)
    assert float(found.runs) == len(parts)
    np.testing.assert_allclose(found.averages()["square"], np.mean(whole**2), rtol=1e-5)
    assert int(found.counts["positive"]) == np.sum(whole > 0)
    assert float(found.lowest["value"]) == whole.min()
    assert float(found.highest["value"]) == whole.max()


def test_runs_merge_in_any_order() -> None:
    first, second, third = map(observe, DATA)
    check(first.merge(second).merge(third), DATA)
    check(third.merge(first.merge(second)), DATA)


def test_turns_of_a_loop_are_one_observation() -> None:
    check(jax.vmap(observe)(jnp.stack(DATA)).over_turns(), DATA)


def test_no_run_changes_nothing() -> None:
    nothing = jax.eval_shape(observe, DATA[0]).of_no_run()
    check(nothing.merge(observe(DATA[0])), DATA[:1])
    check(observe(DATA[0]).merge(nothing), DATA[:1])
    assert float(nothing.averages()["square"]) == 0


def test_a_part_of_a_batch_weighs_less_but_its_values_are_all_seen() -> None:
    whole = observe(DATA[0])
    part = whole.of_active(lambda dtype: jnp.asarray(0.25, dtype))
    assert float(part.runs) == 0.25
    np.testing.assert_allclose(part.averages()["square"] * jnp.maximum(part.runs, 1), 0.25 * whole.means["square"])
    assert part.counts == whole.counts
    assert (part.lowest, part.highest) == (whole.lowest, whole.highest)


def test_parts_of_a_sample_weigh_by_their_items_in_64_bits() -> None:
    parts, shares = [RNG.normal(size=(size, 3)).astype(np.float32) for size in (6, 2)], (0.75, 0.25)
    one, other = (observe(part).of_part(share) for part, share in zip(parts, shares, strict=True))
    found = one.merge(other)
    whole = np.concatenate(parts)
    assert float(found.runs) == 1
    np.testing.assert_allclose(found.means["square"], np.mean(whole**2), rtol=1e-6)
    assert int(found.counts["positive"]) == np.sum(whole > 0)
    assert (float(found.lowest["value"]), float(found.highest["value"])) == (whole.min(), whole.max())
    many = dataclasses.replace(observe(DATA[0]), counts={"positive": jnp.asarray(2**31 - 1, jnp.int32)}).of_part(0.5)
    assert int(many.merge(many).counts["positive"]) == 2**32 - 2


def test_only_observations_of_the_same_values_merge() -> None:
    with pytest.raises(ValueError, match="mean"):
        observe(DATA[0]).merge(dataclasses.replace(observe(DATA[0]), means={}))
