"""Networks on hardware that is read lumped: site table, notes, remarks, cost, rules, training and study files."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split

ARRAY = circuits.SwitchedCapacitor(rows=64, columns=16, weight_bits=2, input_bits=2, adc=circuits.Adc(bits=5))
RULES = {"last": circuits.MultiPrecision(weight_bits=8, input_bits=8), ".*": ARRAY}
PARAMS = {
    "first": jax.random.normal(jax.random.key(0), (40, 12)),
    "last": jax.random.normal(jax.random.key(1), (12, 3)),
}
INPUTS = jnp.abs(jax.random.normal(jax.random.key(2), (8, 40)))


def network(params, inputs):
    return jax.nn.relu(inputs @ params["first"]) @ params["last"]


def test_sites_say_how_they_are_read_and_where_that_is_not_sound():
    chip = amsim.deploy(network, PARAMS, amsim.Accelerator.of(RULES).lumped(), key=jax.random.key(3))
    table = chip.sites(INPUTS)
    assert [row.reading for row in table] == ["lumped", None]
    assert [row.note for row in table if row.note and "Not sound" in row.note] == []
    assert any("read lumped" in remark for remark in table.remarks)
    exact = amsim.deploy(network, PARAMS, RULES, key=jax.random.key(3))
    assert [row.reading for row in exact.sites(INPUTS)] == [None, None]
    coarse = dataclasses.replace(ARRAY, adc=circuits.Adc(bits=2)).lumped()
    note = amsim.deploy(network, PARAMS, coarse).sites(INPUTS)[0].note
    assert note is not None
    assert "Not sound where it is read lumped" in note


def test_cost_of_a_chip_is_that_of_the_exact_reading_to_the_bit():
    accelerator = amsim.Accelerator.of(RULES)
    exact, lumped = (
        amsim.deploy(network, PARAMS, one, key=jax.random.key(3)).cost(INPUTS)
        for one in (accelerator, accelerator.lumped())
    )
    for name in exact:
        np.testing.assert_array_equal(exact[name], lumped[name])


def test_an_accelerator_names_the_rule_that_cannot_be_read_so():
    decided = circuits.SwitchedCapacitor(rows=64, columns=16, adc=None)
    with pytest.raises(ValueError, match="Macro of the rule 'first': Argument `adc`"):
        amsim.Accelerator.of({"first": decided, ".*": ARRAY}).lumped()
    lumped = amsim.Accelerator.of(RULES).lumped()
    assert [macro.reading for macro in lumped.macros] == ["exact", "lumped"]
    assert [macro.reading for macro in lumped.exact().macros] == ["exact", "exact"]


def test_steps_of_a_training_are_lumped_and_its_scores_exact():
    generator = np.random.default_rng(0)
    data = Split(np.abs(generator.normal(size=(16, 40))).astype(np.float32), generator.integers(0, 3, 16))
    given: dict[str, Any] = {"key": jax.random.key(4), "epochs": 1, "batch": 8}
    tuned = amsim.fine_tune(network, PARAMS, RULES, data, reading="lumped", **given)
    through = amsim.fine_tune(network, PARAMS, amsim.Accelerator.of(RULES).lumped(), data, **given)
    for one, other in zip(jax.tree.leaves(tuned.params), jax.tree.leaves(through.params), strict=True):
        np.testing.assert_array_equal(one, other)
    assert tuned.record["reading"] == ["exact", "lumped"]
    assert [macro.reading for macro in tuned._plan.exposure.accelerator.macros] == ["exact", "exact"]
    with pytest.raises(ValueError, match="`reading` must be one of"):
        amsim.fine_tune(network, PARAMS, RULES, data, reading="quick", **given)


def test_a_reading_is_a_setting():
    def error(macro, key):
        return {"error": jnp.mean((macro.matmul(INPUTS, PARAMS["first"], key=key) - INPUTS @ PARAMS["first"]) ** 2)}

    found = {
        reading: float(error(amsim.with_settings(ARRAY, {"macro.reading": reading}), jax.random.key(0))["error"])
        for reading in ("exact", "lumped")
    }
    assert found["lumped"] == pytest.approx(found["exact"], rel=0.5)
    assert found["lumped"] != found["exact"]
