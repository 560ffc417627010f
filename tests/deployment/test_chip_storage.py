"""Chips as files: what comes back computes the same bits, and nothing else comes back."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import amsim
from amsim import circuits
from amsim.circuits.fields import count
from amsim.files.part_classes import own_classes

KEY = jax.random.key(0)
INPUTS = jax.random.normal(jax.random.key(1), (6, 16))
PARAMS = {
    "first": {"kernel": jax.random.normal(jax.random.key(2), (16, 12)), "bias": jnp.linspace(-1.0, 1.0, 12)},
    "last": [jax.random.normal(jax.random.key(3), (12, 3)), (), None, 2.5],
}


def network(params: Any, x: Array) -> Array:
    x = jnp.where(x >= 0, 1.0, -1.0) @ params["first"]["kernel"] + params["first"]["bias"].reshape(1, -1)
    return params["last"][3] * (jnp.where(x >= 0, 1.0, -1.0) @ params["last"][0])


def array(**settings: Any) -> circuits.SwitchedCapacitor:
    return circuits.SwitchedCapacitor(rows=16, columns=8, unit_capacitance=0.2e-15, **settings)


FULL = array(
    weight_bits=2,
    input_bits=2,
    adc=circuits.SarAdc(bits=6),
    drivers=circuits.Drivers(),
    reset=circuits.ResetSwitch(),
    leakage=circuits.Leakage(hold_time=1e-6),
    layout=circuits.Layout(),
    faults=circuits.Faults(stuck_high=0.05),
)
HARDWARE: dict[str, Any] = {
    "exact": circuits.Exact(),
    "array": array(),
    "every part": FULL,
    "flash": array(weight_bits=2, input_bits=2, adc=circuits.FlashAdc()),
    "single slope": array(weight_bits=2, input_bits=2, adc=circuits.SingleSlopeAdc()),
    "digital": circuits.DigitalBinary(),
    "rules": {"first": array(), "last.*": circuits.MultiPrecision(weight_bits=8, input_bits=4)},
    "accelerator": amsim.Accelerator(array(), dram=None, inferences_per_load=4.0, double_buffered=True),
    "measured": circuits.Measured(
        counts=np.arange(-16, 17),
        mean=np.tile(np.arange(-16.0, 17.0), (2, 1, 1)) + np.array([0.0, 0.3]).reshape(2, 1, 1),
        sigma=np.full((2, 1, 33), 0.5),
        evaluation_energy=1e-12,
        evaluation_time=1e-9,
        array_area=1e-9,
        supply=0.6,
        rows=16,
        columns=8,
    ),
}


def header_of(path: Path) -> dict[str, Any]:
    return json.loads(np.load(path)["header"].tobytes())


def rewritten(path: Path, header: Any = None, **arrays: Any) -> Path:
    """The file with another header or other arrays."""
    with np.load(path) as file:
        held = dict(file) | arrays
    if header is not None:
        held["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **{name: value for name, value in held.items() if value is not None})
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "chip.npz"
    amsim.deploy(network, PARAMS, array(), key=KEY).save(path)
    return path


@pytest.mark.parametrize("name", HARDWARE)
def test_loaded_chip_computes_the_same_bits(name: str, tmp_path: Path) -> None:
    path = tmp_path / "chip.npz"
    chip = amsim.deploy(network, PARAMS, HARDWARE[name], key=KEY, decision_rule="tanh")
    chip.save(path)
    loaded = amsim.load_chip(path, network)
    assert loaded.decision_rule == "tanh"
    assert jax.tree.structure((chip.params, chip.accelerator, chip.dies)) == jax.tree.structure(
        (loaded.params, loaded.accelerator, loaded.dies)
    )
    for want, got in zip(jax.tree.leaves(chip), jax.tree.leaves(loaded), strict=True):
        assert np.asarray(want).tobytes() == np.asarray(got).tobytes()
        assert getattr(want, "dtype", None) == getattr(got, "dtype", None)
        assert getattr(want, "weak_type", None) == getattr(got, "weak_type", None)
    noise = jax.random.key(5)
    assert np.array_equal(chip(INPUTS, key=noise), loaded(INPUTS, key=noise))
    if name in ("digital", "accelerator"):
        assert np.array_equal(chip.energy(INPUTS), loaded.energy(INPUTS))
    assert [path.name for path in tmp_path.iterdir()] == ["chip.npz"]


def test_prepared_chip_and_other_types_come_back(tmp_path: Path) -> None:
    params = {"w": jnp.ones((16, 3), jnp.bfloat16), "n": np.int32(3), "key": jax.random.key(7), "flag": True, "s": "x"}

    def mixed(params: Any, x: Array) -> Array:
        return x @ params["w"].astype(x.dtype) + jax.random.normal(params["key"], (3,)).reshape(1, 3)

    chip = amsim.deploy(mixed, params, array(), key=KEY).prepared()
    chip.save(tmp_path / "chip")
    loaded = amsim.load_chip(tmp_path / "chip", mixed)
    assert loaded.params["w"].dtype == jnp.bfloat16
    assert loaded.params["flag"] is True
    assert loaded.params["s"] == "x"
    assert np.array_equal(chip(INPUTS), loaded(INPUTS))


def test_plain_is_the_network() -> None:
    chip = amsim.deploy(network, PARAMS, circuits.MultiPrecision(weight_bits=4, input_bits=4))
    assert np.array_equal(chip.plain()(INPUTS), network(PARAMS, INPUTS))
    assert not np.array_equal(chip(INPUTS), network(PARAMS, INPUTS))
    assert np.array_equal(jax.jit(chip.plain())(INPUTS), jax.jit(network, static_argnums=())(PARAMS, INPUTS))


def test_parameters_of_a_framework_need_their_structure_again(tmp_path: Path) -> None:
    model = eqx.nn.MLP(16, 3, 8, 1, key=KEY)

    def batched(model: Any, x: Array) -> Array:
        return jax.vmap(model)(x)

    chip = amsim.deploy(batched, model, circuits.MultiPrecision(), key=KEY)
    chip.save(tmp_path / "chip")
    other = eqx.nn.MLP(16, 3, 8, 1, key=jax.random.key(9))
    loaded = amsim.load_chip(tmp_path / "chip", batched, params=other)
    assert np.array_equal(chip(INPUTS), loaded(INPUTS))
    for wrong in (None, eqx.nn.MLP(16, 3, 9, 1, key=KEY), PARAMS):
        with pytest.raises(ValueError, match="`params` must be of the structure"):
            amsim.load_chip(tmp_path / "chip", batched, params=wrong)


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    class Foreign(circuits.Exact):
        extra: int = count(default=1)

    with pytest.raises(ValueError, match=r"accelerator.macros\[0\] is of .*Foreign"):
        amsim.deploy(network, PARAMS, Foreign()).save(tmp_path / "chip")

    def save(x: Float[Array, ""]) -> Array:
        amsim.deploy(network, PARAMS, array(supply=x)).save(tmp_path / "chip")
        return x

    with pytest.raises(ValueError, match="traced"):
        jax.jit(save)(jnp.asarray(0.6))
    assert not list(tmp_path.iterdir())


def test_missing_file(saved: Path) -> None:
    with pytest.raises(FileNotFoundError):
        amsim.load_chip(saved.with_name("other"), network)


def test_truncated_and_damaged_files_are_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot be used"):
            amsim.load_chip(saved, network)
    saved.write_bytes(whole)
    want = jax.tree.leaves(amsim.load_chip(saved, network))
    refused = 0
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        saved.write_bytes(bytes(damaged))
        try:
            loaded = amsim.load_chip(saved, network)
        except ValueError:
            refused += 1
        else:  # a byte that means nothing, such as a date
            assert all(np.array_equal(a, b) for a, b in zip(want, jax.tree.leaves(loaded), strict=True))
    assert refused > 20


def test_foreign_and_newer_files_are_refused(saved: Path) -> None:
    header = header_of(saved)
    for change, words in [
        ({"format": "other"}, "not a file of a chip"),
        ({"version": 4}, "version 4, and this amsim reads"),
        ({"version": "1"}, "version '1'"),
        ({"decision_rule": "guess"}, "unknown decision rule 'guess'"),
        ({"more": 1}, "entries"),
    ]:
        with pytest.raises(ValueError, match=words):
            amsim.load_chip(rewritten(saved, header | change), network)
    np.savez(saved, a=np.zeros(3))
    with pytest.raises(ValueError, match="not a file of a chip"):
        amsim.load_chip(saved, network)


def test_only_hardware_classes_are_made(saved: Path) -> None:
    header = header_of(saved)
    for name in (
        "os.system",
        "builtins.eval",
        "amsim.deployment.chip.Chip",
        "amsim.circuits.contract.macro.os",
        3,
        ["a"],
    ):
        bad = header | {"dies": {"class": name, "fields": {}}}
        with pytest.raises(ValueError, match="cannot be used"):
            amsim.load_chip(rewritten(saved, bad), network)
    allowed = ("amsim.circuits.", "amsim.system.", "amsim.deployment.site_ranges")
    assert all(kind.__module__.startswith(allowed) and kind.__name__ == name for name, kind in own_classes().items())


def test_pickles_are_never_read(saved: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("a pickle was run",)

    buffer = io.BytesIO()
    pickle.dump(Harmful(), buffer)
    saved_bytes = saved.read_bytes()
    saved.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="cannot be used"):
        amsim.load_chip(saved, network)
    saved.write_bytes(saved_bytes)
    with np.load(saved) as file:
        held = dict(file)
    np.savez(saved, allow_pickle=True, **(held | {"array0": np.array([Harmful()], object)}))
    with pytest.raises(ValueError, match="not of numbers or text"):
        amsim.load_chip(saved, network)


def test_inconsistent_parts_are_refused(saved: Path) -> None:
    header = header_of(saved)

    def changed(*path: Any, value: Any) -> Any:
        copy = json.loads(json.dumps(header))
        place = copy
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return copy

    macro = ("accelerator", "fields", "macros", "tuple", 0, "fields")
    with np.load(saved) as file:
        original = dict(file)
    for bad, words in [
        (changed("accelerator", "fields", "macros", value={"tuple": []}), "no macros"),
        (changed("dies", value={"tuple": []}), "0 dies"),
        (changed("accelerator", "fields", "patterns", value={"tuple": ["("]}), "is not a pattern"),
        (changed("accelerator", "fields", "patterns", value={"tuple": [3]}), "is not a pattern"),
        (changed(*macro, "rows", value=-1), "`rows` must be"),
        (changed(*macro, "rows", value={"array": "nothing", "dtype": "float32"}), "nothing"),
        (changed(*macro, "supply", value={"float": (-1.0).hex()}), "`supply` must be"),
        (changed(*macro, "new_setting", value=1), "other settings: .*new_setting"),
        (changed("params", value={"tree": {"strange": 1}}), "entries"),
    ]:
        with pytest.raises(ValueError, match=words):
            amsim.load_chip(rewritten(saved, bad, **{k: v for k, v in original.items() if k != "header"}), network)
    with pytest.raises(ValueError, match="unexpected arrays"):
        amsim.load_chip(rewritten(saved, header, stranger=np.zeros(2)), network)
    nested: Any = {"list": []}
    for _ in range(400):
        nested = {"list": [nested]}
    with pytest.raises(ValueError, match=r"unexpected arrays|recursion"):
        amsim.load_chip(rewritten(saved, header | {"params": {"tree": nested}}), network)


def test_64_bit_numbers_need_64_bit_jax(tmp_path: Path) -> None:
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), PARAMS)
        chip = amsim.deploy(network, params, array(), key=KEY)
        inputs = np.asarray(INPUTS, np.float64)
        chip.save(tmp_path / "chip")
        assert np.array_equal(chip(inputs), amsim.load_chip(tmp_path / "chip", network)(inputs))
    with pytest.raises(ValueError, match="jax_enable_x64"):
        amsim.load_chip(tmp_path / "chip", network)
