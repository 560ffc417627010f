"""Dies and reads: same key same draw, whatever else is set; and a circuit family that amsim does not know."""

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, PRNGKeyArray

import amsim
from amsim import circuits
from amsim.circuits.fields import Quantity, quantity
from amsim.datasets import Split
from amsim.deployment.chip import check_key
from amsim.system.supply import minimum_energy_supply, scaled_to_supply
from amsim.zigzag import export as zigzag

INPUTS = jnp.where(jax.random.normal(jax.random.key(0), (4, 16)) >= 0, 1.0, -1.0)
PARAMS = {
    "a": jnp.where(jax.random.normal(jax.random.key(1), (16, 5)) >= 0, 1.0, -1.0),
    "b": jnp.where(jax.random.normal(jax.random.key(2), (16, 5)) >= 0, 1.0, -1.0),
}
ARRAY = circuits.SwitchedCapacitor(rows=16, columns=5, unit_capacitance=0.1e-15)


def one_site(params: Any, inputs: jax.Array) -> jax.Array:
    return inputs @ params["a"]


def two_sites(params: Any, inputs: jax.Array) -> jax.Array:
    return jnp.concatenate([inputs @ params["a"], inputs @ params["b"]], axis=1)


def units(chip: amsim.Chip) -> np.ndarray:
    (die,) = chip.dies
    assert isinstance(die, circuits.charge.die.CapacitorDie)
    return np.asarray(die.units)


def test_same_key_same_die_whatever_else_is_set() -> None:
    key = jax.random.key(3)
    want = units(amsim.deploy(one_site, PARAMS, ARRAY, key=key))
    others = [
        dataclasses.replace(ARRAY, unit_capacitance=5e-15),
        dataclasses.replace(ARRAY, supply=0.9, adc=None),
        circuits.SwitchedCapacitor(rows=16, columns=5, comparator=circuits.Comparator(noise=0.0)),
    ]
    for macro in others:
        np.testing.assert_array_equal(units(amsim.deploy(one_site, PARAMS, macro, key=key)), want)
    np.testing.assert_array_equal(units(amsim.deploy(two_sites, PARAMS, {".*": ARRAY}, key=key)), want)
    # Also where another macro joins it.
    rules = {"b": ARRAY, "a": circuits.DigitalBinary()}
    joined = amsim.deploy(two_sites, PARAMS, rules, key=key)
    np.testing.assert_array_equal(joined.dies[0].units, want)
    assert joined.dies[1] is None


def test_dies_and_reads_differ_by_key_and_repeat() -> None:
    def outputs(die: int | None, read: int | None) -> bytes:
        keys = [None if seed is None else jax.random.key(seed) for seed in (die, read)]
        chip = amsim.deploy(one_site, PARAMS, noisy, key=keys[0])
        return np.asarray(chip(INPUTS, key=keys[1])).tobytes()

    noisy = dataclasses.replace(ARRAY, unit_capacitance=1e-18)
    draws = [outputs(die, read) for die in (None, 0, 1) for read in (None, 0, 1)]
    assert draws == [outputs(die, read) for die in (None, 0, 1) for read in (None, 0, 1)]
    assert len(set(draws)) == 9


def test_without_keys_a_chip_is_nominal_and_silent() -> None:
    got = amsim.deploy(one_site, PARAMS, ARRAY)(INPUTS)
    np.testing.assert_array_equal(got, one_site(PARAMS, INPUTS))


def test_sites_share_the_physical_columns_but_not_the_noise() -> None:
    same = {"a": PARAMS["a"], "b": PARAMS["a"]}
    chip = amsim.deploy(two_sites, same, dataclasses.replace(ARRAY, unit_capacitance=1e-18), key=jax.random.key(4))
    quiet, noisy = chip(INPUTS), chip(INPUTS, key=jax.random.key(5))
    np.testing.assert_array_equal(quiet[:, :5], quiet[:, 5:])
    assert not np.array_equal(quiet, two_sites(same, INPUTS))
    assert not np.array_equal(noisy[:, :5], noisy[:, 5:])


def test_a_key_must_be_one_typed_key() -> None:
    raw, several = jax.random.key_data(jax.random.key(0)), jax.random.split(jax.random.key(0), 2)
    message = r"Argument `key` must be one key from jax\.random\.key, but has dtype uint32"
    with pytest.raises(ValueError, match=message):
        amsim.deploy(one_site, PARAMS, ARRAY, key=raw)
    with pytest.raises(ValueError, match=message):
        amsim.deploy(one_site, PARAMS, ARRAY)(INPUTS, key=raw)
    for wrong in (raw, several, 0, "key"):
        with pytest.raises(ValueError, match="Argument `read` must be one key"):
            check_key("read", wrong)
    check_key("read", None)


class Crossbar(circuits.Macro):
    """A fourth family: resistors with Gaussian relative errors, read without quantisation."""

    rows: int = eqx.field(static=True, default=8)
    columns: int = eqx.field(static=True, default=4)
    weight_bits: int = eqx.field(static=True, default=8)
    input_bits: int = eqx.field(static=True, default=8)
    spread: Quantity = quantity("spread", unit="1", default=0.1)
    supply: Quantity = quantity("supply", unit="V", positive=True, default=1.0)
    clock: Quantity = quantity("clock", unit="Hz", positive=True, default=1e6)

    @property
    def operating_supply(self) -> Float[Array, ""]:
        return self.supply

    @property
    def area(self) -> Float[Array, ""]:
        return jnp.asarray(1e-9)

    def fabricate(self, key: PRNGKeyArray) -> Float[Array, "rows columns"]:
        return jax.random.normal(key, (self.rows, self.columns))

    def multiply(
        self, operands: circuits.Operands, *, die: Any = None, key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        product, matrix = operands.product, operands.matrix
        if die is not None:
            cells = die[jnp.arange(product.rows) % self.rows][:, jnp.arange(product.columns) % self.columns]
            matrix = matrix * (1 + self.spread * cells)
        return product.sums(operands.inputs, matrix)

    def report(self, operands: circuits.Operands, *, neuron: circuits.Neuron | None = None) -> dict[str, Array]:
        return {"clipped_current": jnp.zeros(())}

    def cost(self, work: circuits.Work, activity: dict[str, Array]) -> circuits.MacroCost:
        bits = float(work.product.rows * work.product.columns * self.weight_bits)
        cycles = jnp.asarray(float(work.positions))
        return circuits.MacroCost(work.macs * 1e-15 * self.supply**2, cycles, self.clock, bits, 0.0, 0.0, bits)

    def ideal(self) -> "Crossbar":
        return Crossbar(self.rows, self.columns, spread=0.0)


def test_a_fourth_family_needs_no_edit_elsewhere() -> None:
    # `dies` holds arrays of a type that amsim has never seen.
    macro = Crossbar()
    ideal = amsim.deploy(one_site, PARAMS, macro.ideal(), key=jax.random.key(0))
    np.testing.assert_allclose(ideal(INPUTS), one_site(PARAMS, INPUTS), rtol=1e-6, atol=1e-6)
    chip = amsim.deploy(two_sites, PARAMS, {"a": macro, ".*": circuits.DigitalBinary()}, key=jax.random.key(0))
    outputs = chip(INPUTS, key=jax.random.key(1))
    want = two_sites(PARAMS, INPUTS)
    assert not np.allclose(outputs[:, :5], want[:, :5])
    np.testing.assert_array_equal(outputs[:, 5:], want[:, 5:])
    assert [(row.name, row.macro, row.tiles) for row in chip.sites()] == [
        ("a", "Crossbar", 2),
        ("b", "DigitalBinary", 1),
    ]
    cost = chip.cost(INPUTS)
    np.testing.assert_allclose(cost["energy"].sel(site="a", component="mac"), 16 * 5 * 1e-15, rtol=1e-6)
    assert cost["clipped_current"].attrs["long_name"] == "fraction of current out of range"
    slope = eqx.filter_grad(lambda m: jnp.sum(amsim.deploy(one_site, PARAMS, m, key=jax.random.key(0))(INPUTS) ** 2))
    assert float(slope(macro).spread) != 0
    labels = np.argmax(np.asarray(one_site(PARAMS, INPUTS)), axis=1)
    result = amsim.evaluate(one_site, PARAMS, macro, Split(np.asarray(INPUTS), labels), key=jax.random.key(2), dies=3)
    assert result["accuracy"].shape == (3, 1)


def test_every_tool_takes_a_fourth_family() -> None:
    rules = {"a": Crossbar(), "b": dataclasses.replace(ARRAY, unit_capacitance=1e-18)}
    labels = np.argmax(np.asarray(two_sites(PARAMS, INPUTS)), axis=1)
    data, key = Split(np.asarray(INPUTS), labels), jax.random.key(4)

    # Sensitivity of its sites, of which it need not declare any source of error.
    found = amsim.sensitivity(two_sites, PARAMS, rules, data, key=key, dies=1)
    assert found["site"].values.tolist() == ["a", "b"]
    assert found["energy"].values.all()
    increases = abs(found["loss_increase"]).sum("source")
    assert float(increases.sel(site="a")) == 0 < float(increases.sel(site="b"))

    # Axes of a study carry the units of its settings.
    study = amsim.sweep(
        amsim.study(two_sites, PARAMS, rules, data),
        {"macros.a.supply": [0.8, 1.0], "macros.a.spread": [0.0, 0.5]},
        dies=2,
        key=key,
    )
    assert study["macros.a.supply"].attrs["units"] == "V"
    assert study["macros.a.spread"].attrs["units"] == "1"
    mac = study["energy"].sel(component="mac").isel({"macros.a.spread": 0})
    assert float(mac.sel({"macros.a.supply": 1.0}) - mac.sel({"macros.a.supply": 0.8})) == pytest.approx(
        16 * 5 * 1e-15 * (1 - 0.8**2), rel=1e-3, abs=0
    )

    # Its supply and clock move with those of the system.
    accelerator = amsim.Accelerator(Crossbar())
    workload = amsim.deploy(one_site, PARAMS, accelerator).workload(INPUTS)
    best = minimum_energy_supply(scaled_to_supply(accelerator), workload, points=5)
    want = 16 * 5 * 1e-15 * best["supply"].values ** 2
    np.testing.assert_allclose(best["energy"].sel(component="mac"), want, rtol=1e-5)
    assert float(scaled_to_supply(accelerator)(0.6).macros[0].clock) < 1e6


@pytest.mark.filterwarnings("ignore")  # of ZigZag's own code
def test_zigzag_takes_a_fourth_family(tmp_path: Path) -> None:
    workload = amsim.deploy(one_site, PARAMS, Crossbar()).workload(INPUTS)
    (export,) = zigzag.write(workload, Crossbar(columns=16), tmp_path / "files")
    # Weights of 8 bits side by side, in the columns of the default dataflow.
    assert "sizes: [2, 8]" in export.accelerator.read_text()
    api: Any = pytest.importorskip("zigzag.api", reason="ZigZag comes with the extra `zigzag`")
    *_, summed = api.get_hardware_performance_zigzag(
        str(export.workload),
        str(export.accelerator),
        str(export.mapping),
        dump_folder=str(tmp_path / "results"),
        loma_show_progress_bar=False,
    )
    ((result, _),) = summed[0][1]
    assert result.layer.total_mac_count == workload.macs
    assert result.mac_energy == pytest.approx(workload.macs * 1e-3)
