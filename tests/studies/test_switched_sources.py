"""Sources of error switched off one at a time and all but one: against sums that are known."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.circuits.contract.error_sources import without_sources


def test_sources_are_switched_off_one_at_a_time_and_all_but_one():
    """Two sources whose shares of the error are known: `comparator.noise` and `mismatch_coefficient`."""
    macro = circuits.SwitchedCapacitor(
        rows=8, columns=4, temperature=0.0, comparator=circuits.Comparator(noise=2e-3, offset_sigma=0.0, trim=None)
    )

    def measure(hardware, die_key):
        noise, mismatch = jax.random.normal(die_key, (2,))
        total = hardware.comparator.noise * 1e3 * noise + hardware.mismatch_coefficient * 1e9 * mismatch
        return {"error": jnp.abs(total)}

    found = amsim.switched_sources(measure, hardware=macro, key=jax.random.key(1), dies=3)
    assert list(found["source"].values) == ["capacitor mismatch", "comparator noise"]
    die_key, _ = jax.random.split(jax.random.key(1))
    draws = [jax.random.normal(jax.random.fold_in(die_key, die), (2,)) for die in range(3)]
    noise, mismatch = np.array(draws).T * np.array([[2.0], [float(macro.mismatch_coefficient) * 1e9]])
    only_noise, only_mismatch = np.abs(noise), np.abs(mismatch)
    by_state = found["error"].transpose("source", "state", "die")
    np.testing.assert_allclose(by_state.sel(state="all but this"), [only_noise, only_mismatch], rtol=1e-4)
    np.testing.assert_allclose(by_state.sel(state="this alone"), [only_mismatch, only_noise], rtol=1e-4)
    np.testing.assert_allclose(found["error_all"], np.abs(noise + mismatch), rtol=1e-4)
    np.testing.assert_array_equal(found["error_none"], np.zeros(3))


def test_what_leaks_does_not_depend_on_which_sources_are_on():
    """The charge lost at 330 K, by the formula of the array at its own temperature, with and without thermal noise."""
    macro = circuits.SwitchedCapacitor(rows=16, columns=4, temperature=330.0, leakage=circuits.Leakage(hold_time=3e-3))
    total = macro.total_capacitance
    drop, kept = (float(part(total, macro.temperature)) for part in (macro.leakage.drop, macro.leakage.kept_fraction))

    def measure(hardware):
        leakage = hardware.leakage or circuits.Leakage(hold_time=0.0)
        lost = leakage.drop(total, hardware.temperature), 1.0 - leakage.kept_fraction(total, hardware.temperature)
        return {"drop": lost[0], "decay": lost[1], "heat": hardware.temperature}

    labels = {"drop": ("V", "drop"), "decay": ("1", "decay"), "heat": ("K", "temperature")}
    sources = ["thermal noise", "leakage"]
    found = amsim.switched_sources(measure, hardware=macro, sources=sources, labels=labels)
    off, alone = (found.sel(state=state) for state in ("all but this", "this alone"))
    assert float(off["heat"].sel(source="thermal noise")) == 0.0
    assert float(alone["heat"].sel(source="leakage")) == 0.0
    assert float(off["drop"].sel(source="thermal noise")) == pytest.approx(drop, rel=1e-4, abs=0)
    assert float(alone["drop"].sel(source="leakage")) == pytest.approx(drop, rel=1e-4, abs=0)
    assert float(alone["decay"].sel(source="leakage")) == pytest.approx(1 - kept, rel=1e-3, abs=0)
    assert float(found["drop_none"]) == float(alone["drop"].sel(source="thermal noise")) == 0.0


def test_sources_of_macros_that_differ_are_switched_together():
    def array(noise, **parts):
        comparator = circuits.Comparator(noise=noise, offset_sigma=0.0, trim=None)
        return circuits.SwitchedCapacitor(
            rows=8, temperature=0.0, mismatch_coefficient=0.0, comparator=comparator, **parts
        )

    first, second = array(2e-3), array(1e-3, drivers=circuits.Drivers())

    def measure(hardware):
        sizes = [1e3 * macro.comparator.noise + 10.0 * (macro.drivers is not None) for macro in hardware.macros]
        return {"error": sum(sizes)}

    hardware = {"dense": second, ".*": first}
    found = amsim.switched_sources(measure, hardware=hardware)
    assert list(found["source"].values) == ["comparator noise", "drivers"]
    assert found["error"].sel(state="this alone").values == pytest.approx([3.0, 10.0])
    assert found["error"].sel(state="all but this").values == pytest.approx([10.0, 3.0])
    off = {"macro.comparator.noise": 0.0}
    with pytest.raises(
        ValueError, match=r"`sources` must name each setting once, but .macros\.dense\.comparator\.noise"
    ):
        amsim.switched_sources(measure, hardware=hardware, sources={"noise": off, "again": off})


@pytest.mark.parametrize(
    "adc",
    [
        circuits.SarAdc(bits=4),
        # Programs of their own for the same question.
        pytest.param(circuits.FlashAdc(), marks=pytest.mark.slow),
        pytest.param(circuits.SingleSlopeAdc(bits=4), marks=pytest.mark.slow),
    ],
)
def test_no_error_is_left_when_all_sources_are_off(adc):
    """Reads of a die then are those of the ideal array, which nothing of the declaration has made."""
    parts = {
        "drivers": circuits.Drivers(), "reset": circuits.ResetSwitch(), "leakage": circuits.Leakage(),
        "supply_noise": 1e-3, "layout": circuits.Layout(), "faults": circuits.Faults(), "adc": adc,
    }  # fmt: skip
    macro = circuits.SwitchedCapacitor(rows=8, columns=4, comparator=circuits.Comparator(kickback=1e-15), **parts)
    inputs, weights = signs(0, (40, 8)), signs(1, (8, 4))
    declared = macro.all_error_sources()
    names = {one.source.name for one in declared if one.switches}
    switched = {one.source.name for one in declared if one.switches and one.source.kind != "resolution"}
    assert names - switched == {"quantisation"}
    ideal = dataclasses.replace(macro.ideal(), adc=adc.ideal())
    ideal_sums = eqx.filter_jit(ideal.matmul)(inputs, weights)
    read = eqx.filter_jit(read_die)
    for off, expected in ((switched, ideal_sums), (names, inputs @ weights)):
        bare = without_sources(macro, off)
        assert not {one.source.name for one in bare.all_error_sources() if one.switches} & off
        np.testing.assert_array_equal(read(bare, inputs, weights), expected)
    assert np.any(read(macro, inputs, weights) != ideal_sums)


def test_a_part_with_sources_of_its_own_is_switched_as_a_whole_too():
    """The converter's mismatch, a setting inside it, and its steps, for which another converter stands."""
    macro = circuits.SwitchedCapacitor(rows=8, columns=4, adc=circuits.SarAdc(bits=2, mismatch_coefficient=3e-9))
    inputs, weights, die = signs(0, (40, 8)), signs(1, (8, 4)), jax.random.key(2)

    def measure(hardware):
        return {"sums": hardware.matmul(inputs, weights, die=hardware.fabricate(die))}

    sources = ["converter mismatch", "quantisation"]
    quiet = without_sources(macro, {"capacitor mismatch", "comparator offset"})
    found = amsim.switched_sources(measure, hardware=quiet, sources=sources, labels={"sums": ("1", "sums")})
    without_mismatch = dataclasses.replace(quiet, adc=dataclasses.replace(quiet.adc, mismatch_coefficient=0.0))
    np.testing.assert_array_equal(found["sums_all"], measure(quiet)["sums"])
    np.testing.assert_array_equal(found["sums_none"], inputs @ weights)
    off, alone = (found["sums"].sel(state=state) for state in ("all but this", "this alone"))
    np.testing.assert_array_equal(off.sel(source="converter mismatch"), measure(without_mismatch)["sums"])
    np.testing.assert_array_equal(alone.sel(source="quantisation"), measure(without_mismatch)["sums"])
    # Without its steps the converter is another one, which has no mismatch.
    np.testing.assert_array_equal(off.sel(source="quantisation"), inputs @ weights)
    np.testing.assert_array_equal(alone.sel(source="converter mismatch"), inputs @ weights)
    assert np.any(measure(quiet)["sums"] != measure(without_mismatch)["sums"])
    with pytest.raises(ValueError, match="Did you mean 'quantisation'"):
        amsim.switched_sources(measure, hardware=quiet, sources=["quantization"])


def read_die(macro, inputs, weights):
    return macro.matmul(inputs, weights, die=macro.fabricate(jax.random.key(2)), key=jax.random.key(3))


def signs(seed, shape):
    return jnp.where(jax.random.bernoulli(jax.random.key(seed), 0.5, shape), 1.0, -1.0)
