"""Sensitivity of each site to each source against switching the source by hand, on many dies."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import amsim
from amsim import circuits, plot
from amsim.datasets import Split
from amsim.evaluation.fixed_reads import FixedReads
from amsim.evaluation.quantities import LABELS
from amsim.evaluation.sources_by_site import sensitivity
from amsim.noise.gradients import decision
from amsim.results.labelled import labelled

KEYS = jax.random.split(jax.random.key(2), 3)
ROWS, HIDDEN, CLASSES, ITEMS = 15, 16, 3, 60
MACRO = circuits.SwitchedCapacitor(
    rows=16, columns=16, comparator=circuits.Comparator(noise=20e-3, trim=None), adc=circuits.Adc(bits=3, range=1.0)
)


def network(params: dict[str, Any], inputs: Any) -> jax.Array:
    values = jnp.asarray(inputs, jnp.result_type(float))
    hidden = decision(values @ decision(params["first"]["w"], "straight-through"), "clipped")
    return 0.3 * (hidden @ decision(params["second"]["w"], "straight-through"))


PARAMS = {
    "first": {"w": jax.random.normal(KEYS[0], (ROWS, HIDDEN))},
    "second": {"w": jax.random.normal(KEYS[1], (HIDDEN, CLASSES))},
}
INPUTS = np.where(np.asarray(jax.random.normal(KEYS[2], (ITEMS, ROWS))) >= 0, 1, -1).astype(np.int8)
DATA = Split(INPUTS, np.argmax(np.asarray(network(PARAMS, INPUTS)), axis=1).astype(np.int32))


def loss_by_hand(first: circuits.Macro, second: circuits.Macro, dies: int) -> np.ndarray:
    """Mean cross-entropy of many dies, each read once."""

    @jax.jit
    def one(key: Any) -> jax.Array:
        die, read = jax.random.split(key)
        logits = amsim.deploy(network, PARAMS, {"first": first, "second": second}, key=die)(INPUTS, key=read)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(DATA.labels)))

    return np.asarray(jax.vmap(one)(jax.random.split(jax.random.key(77), dies)))


@pytest.mark.slow  # compiles many programs
def test_one_source_at_one_site_equals_switching_it_by_hand() -> None:
    found = sensitivity(
        network, PARAMS, MACRO, DATA, key=jax.random.key(3), sources=("comparator noise", "quantisation"), dies=16
    )
    assert found["site"].values.tolist() == ["first", "second"]
    ideal = dataclasses.replace(MACRO.ideal(), bias_dac=MACRO.bias_dac)
    noisy = dataclasses.replace(ideal, comparator=dataclasses.replace(ideal.comparator, noise=MACRO.comparator.noise))
    base = float(found.attrs["loss_ideal"])
    first = loss_by_hand(noisy, ideal, 150) - base
    got = found["loss_increase"].sel(site="first", source="comparator noise")
    error = float(found["loss_increase_error"].sel(site="first", source="comparator noise"))
    assert float(got) > 5 * error
    assert abs(float(got) - first.mean()) < 4 * np.hypot(error, first.std() / np.sqrt(150))
    # A decision is quantised by nothing but itself; the ADC's steps are the same on every die.
    steps = found["loss_increase"].sel(source="quantisation")
    coarse = loss_by_hand(ideal, dataclasses.replace(ideal, adc=MACRO.adc), 2) - base
    np.testing.assert_allclose(steps.values, [0.0, coarse.mean()], rtol=1e-4, atol=1e-6)


@pytest.mark.slow  # a program for each case by hand; above, two sources by hand on fewer parts
def test_every_source_that_is_on_is_measured_and_one_that_is_not_is_0() -> None:
    """Parts that one site has alone, a converter's error beside its steps, and leakage that stays while noise goes."""
    leakage = circuits.Leakage(hold_time=5e-5)
    comparator = circuits.Comparator(noise=20e-3, offset_sigma=0.0, trim=None)
    steps = circuits.SarAdc(bits=3, range=1.0, mismatch_coefficient=2e-8)
    first = dataclasses.replace(MACRO, mismatch_coefficient=0.0, temperature=330.0, comparator=comparator)
    second = dataclasses.replace(first, adc=steps, leakage=leakage)
    given = {"first": first, "second": second}
    found = sensitivity(network, PARAMS, given, DATA, key=jax.random.key(3), dies=4)
    names = ["thermal noise", "comparator noise", "quantisation", "converter mismatch", "leakage"]
    assert found["source"].values.tolist() == names
    increase = found["loss_increase"]
    assert float(increase.sel(site="first", source="leakage")) == 0.0
    assert float(found["loss_slope"].sel(site="first", source="leakage")) == 0.0
    assert np.isnan(found["loss_slope"].sel(source="quantisation")).all()

    # The same dies and reads by hand, the circuit of each case made field by field.
    quiet = dataclasses.replace(comparator, noise=0.0)
    fine = dataclasses.replace(first, comparator=quiet, temperature=0.0, adc=MACRO.ideal().adc)
    coarse = dataclasses.replace(fine, adc=dataclasses.replace(steps, mismatch_coefficient=0.0))
    held = leakage.kept_at(jnp.asarray(0.0), jnp.asarray(330.0))
    cases = {
        "quantisation": (coarse, fine),
        "converter mismatch": (dataclasses.replace(fine, adc=steps), coarse),
        "leakage": (dataclasses.replace(fine, leakage=held), fine),
    }
    reads = FixedReads.of(DATA, 250, jax.random.key(3), 4)
    loss = functools.cache(lambda number: loss_of_reads(reads, fine, macros[number]))  # a macro is no key
    macros = {id(macro): macro for pair in cases.values() for macro in pair}
    for name, pair in cases.items():
        with_it, without = (loss(id(macro)) for macro in pair)
        got = float(increase.sel(site="second", source=name))
        assert got == pytest.approx(with_it - without, rel=1e-4, abs=1e-6), name
        assert abs(got) > 1e-5, name


def loss_of_reads(reads: FixedReads, first: circuits.Macro, second: circuits.Macro) -> float:
    hardware = amsim.Accelerator.of({"first": first, "second": second})
    parts = [reading.cross_entropy(reading.logits(network, PARAMS, hardware)) for reading in reads.all()]
    return float(sum(parts)) / ITEMS / len(reads.keys)


def test_second_order_and_slope_of_a_smooth_site() -> None:
    """Behind the last decision the loss is smooth: a small noise adds `v dL/dv`."""
    quiet = dataclasses.replace(MACRO, comparator=circuits.Comparator(noise=4e-3, trim=None), adc=circuits.Adc(bits=6))
    found = sensitivity(network, PARAMS, quiet, DATA, key=jax.random.key(3), sources=("comparator noise",), dies=16)
    one = found.sel(site="second", source="comparator noise")
    error = 4 * float(one["loss_increase_error"]) + 0.1 * abs(float(one["loss_increase"]))
    assert abs(float(one["loss_slope_alone"]) - float(one["loss_increase"])) < error
    assert np.all(np.isfinite(found["loss_slope"].values))


def test_picture() -> None:
    values = np.array([[0.5, 0.0, np.nan], [0.01, -0.002, 0.1]])
    data = labelled(
        {"loss_increase": (("site", "source"), values)},
        {"site": ["a", "b"], "source": ["mismatch", "noise", "steps"]},
        {},
        labels=LABELS,
    )
    ax = plot.plot_sensitivity(data)
    assert [text.get_text() for text in ax.texts] == ["0.5", "0", "-", "0.01", "-0.002", "0.1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_xlabel() == "source of the error"
    assert ax.get_title() == "loss that a source alone adds"
    with pytest.raises(ValueError, match="`variable` must be one of loss_increase, but the Dataset lacks loss_slope"):
        plot.plot_sensitivity(data, variable="loss_slope")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": DATA[:0]}, "`data` must have at least one item"),
        ({"sources": ("capacitor mismach",)}, "Did you mean 'capacitor mismatch'"),
        ({"sources": ("drivers",)}, "`sources` must be one of"),
        ({"dies": 0}, "`dies` must be an integer"),
        ({"hardware": circuits.DigitalBinary()}, "must have a source of error that is on at a site"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"hardware": MACRO, "data": DATA}
    given |= options
    with pytest.raises(ValueError, match=message):
        sensitivity(network, PARAMS, key=jax.random.key(0), **given)
