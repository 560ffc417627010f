"""Studies: axes, compilations, batches, common random numbers, labels."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.stats import qmc

import amsim
from amsim import circuits
from amsim.studies.front_door import check_options
from amsim.studies.measured import checked_labels
from amsim.studies.program import peak_bytes

MACRO = circuits.SwitchedCapacitor(rows=8, columns=4, comparator=circuits.Comparator(noise=1e-3))
KEY = jax.random.key(3)


class Counted:
    """A function of hardware and keys that counts how often it is traced."""

    def __init__(self):
        self.traces = 0

    def __call__(self, hardware, die_key, read_key):
        self.traces += 1
        return {
            "error": hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key)
            + hardware.comparator.noise * jax.random.normal(read_key),
            "levels": hardware.adc.levels,
        }


@pytest.fixture(scope="module")
def grid():
    """Three continuous values by two static ones by two continuous ones, and how often the function was traced."""
    measure = Counted()
    axes = {
        "macro.unit_capacitance": [1e-15, 2e-15, 4e-15],
        "macro.adc.bits": [3, 5],
        "macro.comparator.noise": [0.0, 1e-3],
    }
    labels = {"error": ("V", "error of a read")}
    return amsim.sweep(measure, axes, hardware=MACRO, key=KEY, dies=4, reads=3, labels=labels), measure.traces


def test_equals_a_plain_loop(grid):
    result, _ = grid
    die_key, read_key = jax.random.split(KEY)
    for (i, c), bits, (k, noise) in itertools.product(enumerate([1.0, 2.0, 4.0]), (3, 5), enumerate([0.0, 1e-3])):
        for die, read in itertools.product(range(4), range(3)):
            static = float(jax.random.normal(jax.random.fold_in(die_key, die)))
            dynamic = float(jax.random.normal(jax.random.fold_in(jax.random.fold_in(read_key, die), read)))
            at = {"macro.unit_capacitance": i, "macro.comparator.noise": k, "die": die, "read": read}
            one = result.isel(at).sel({"macro.adc.bits": bits})
            assert float(one["error"]) == pytest.approx(c * static + noise * dynamic, rel=1e-5, abs=1e-9)
            assert float(one["levels"]) == 2**bits


def test_compiles_once_for_each_static_setting(grid):
    assert grid[1] == 2


def test_labels_and_attributes(grid, tmp_path):
    result, _ = grid
    assert result["error"].dims == ("macro.unit_capacitance", "macro.adc.bits", "macro.comparator.noise", "die", "read")
    assert result["macro.unit_capacitance"].attrs == {"units": "F", "long_name": "unit capacitance"}
    assert result["error"].attrs == {"units": "V", "long_name": "error of a read"}
    assert result["levels"].attrs["units"] == "unit not given"
    assert all({"units", "long_name"} <= set(result[name].attrs) for name in [*result.coords, *result.data_vars])
    assert result.attrs["key"] == [0, 3]
    assert json.loads(result.attrs["axes"])["macro.adc.bits"] == [3, 5]
    assert "comparator" in result.attrs["hardware"]
    result.to_netcdf(tmp_path / "study.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "study.nc", engine="h5netcdf"), result)


def test_dies_and_reads_do_not_depend_on_their_number_or_the_axes(grid):
    result, _ = grid
    axes = {"macro.comparator.noise": [1e-3]}
    few = amsim.sweep(Counted(), axes, hardware=MACRO, key=KEY, dies=2, reads=2)["error"]
    same = result["error"].sel({"macro.adc.bits": 3}).isel({"macro.unit_capacitance": 0, "macro.comparator.noise": [1]})
    np.testing.assert_allclose(few, same[:, :2, :2], rtol=1e-5)


@pytest.mark.parametrize("limit", [30, 3000, 1e5])
def test_memory_limit_changes_batches_not_results(limit):
    axes = {"macro.unit_capacitance": np.linspace(1e-15, 2e-15, 5)}

    def measure(hardware, die_key, read_key):
        del hardware
        return {"error": jax.random.normal(die_key) + jax.random.normal(read_key)}

    if limit < 100:
        with pytest.raises(ValueError, match="`memory_limit` must be at least"):
            amsim.sweep(measure, axes, hardware=MACRO, key=KEY, dies=3, reads=4, memory_limit=limit / 30)
        return
    found = amsim.sweep(measure, axes, hardware=MACRO, key=KEY, dies=3, reads=4, memory_limit=limit)["error"]
    die_key, read_key = jax.random.split(KEY)
    static = float(jax.random.normal(jax.random.fold_in(die_key, 2)))
    dynamic = float(jax.random.normal(jax.random.fold_in(jax.random.fold_in(read_key, 2), 3)))
    np.testing.assert_allclose(found[:, 2, 3], static + dynamic, rtol=1e-5)


def test_scope_follows_the_arguments():
    axes = {"macro.supply": [0.6, 0.7]}
    area = amsim.sweep(lambda hardware: {"area": hardware.area}, axes, hardware=MACRO)["area"]
    assert area.dims == ("macro.supply",)
    assert area.attrs == {"units": "m2", "long_name": "chip area"}
    np.testing.assert_allclose(area, float(MACRO.area), rtol=1e-6)
    by_die = amsim.sweep(
        lambda hardware, die: {"z": jax.random.normal(die, (2,)) * hardware.supply},
        axes,
        hardware=MACRO,
        key=KEY,
        dies=3,
    )["z"]
    assert by_die.dims == ("macro.supply", "die", "z_0")
    keys = [jax.random.fold_in(jax.random.split(KEY)[0], die) for die in range(3)]
    np.testing.assert_allclose(by_die[1], [0.7 * jax.random.normal(key, (2,)) for key in keys], rtol=1e-5)


def test_hardware_axis_with_a_conditional_one():
    designs = {"analog": MACRO, "digital": circuits.DigitalBinary(rows=8, columns=4)}
    axes = {
        "hardware": designs,
        "macro.adc.bits": amsim.only_where([4, 6], {"hardware": "analog"}),
        "macro.supply": [0.6, 0.7],
    }
    result = amsim.sweep(
        lambda hardware: {
            "bits": float(getattr(hardware, "adc", None).levels if hasattr(hardware, "adc") else 1),
            "volts": hardware.operating_supply,
        },
        axes,
    )
    assert result["bits"].dims == ("hardware", "macro.adc.bits", "macro.supply")
    np.testing.assert_array_equal(result["macro.adc.bits"], [4, 6, np.nan])
    expected = np.array([[16, 64, np.nan], [np.nan, np.nan, 1]])
    np.testing.assert_array_equal(result["bits"].isel({"macro.supply": 1}), expected)
    np.testing.assert_allclose(
        result["volts"].sel(hardware="digital").isel({"macro.adc.bits": 2}), [0.6, 0.7], rtol=1e-6
    )


def test_points_change_together_and_parts_have_names():
    axes = [
        amsim.points({"macro.supply": [0.5, 0.6, 0.7], "macro.adc.bits": [3, 3, 4]}),
        {"macro.comparator": {"quiet": circuits.Comparator(noise=0.0), "loud": circuits.Comparator(noise=2e-3)}},
    ]
    result = amsim.sweep(
        lambda hardware: {"x": hardware.supply * hardware.adc.levels + hardware.comparator.noise}, axes, hardware=MACRO
    )
    expected = np.array([[0.5 * 8], [0.6 * 8], [0.7 * 16]]) + np.array([[0.0, 2e-3]])
    np.testing.assert_allclose(result["x"], expected, rtol=1e-6)
    assert result["macro.supply"].dims == ("point",)
    assert list(result["macro.comparator"].values) == ["quiet", "loud"]


def test_none_is_an_effect_that_is_left_out(tmp_path):
    def kicked(hardware):
        kickback = hardware.comparator.kickback
        return {"x": -1.0 if kickback is None else kickback}

    axes = [amsim.points({"macro.comparator.kickback": [1e-3, None, 4e-3, None], "macro.supply": [0.6] * 4})]
    axes += [{"macro.supply_noise": [None, 1e-3]}, {"macro.drivers": [None]}]
    amsim.sweep(kicked, axes, hardware=MACRO).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    result = xr.load_dataset(tmp_path / "x.nc", engine="h5netcdf")
    expected = np.broadcast_to(np.array([[1e-3], [-1.0], [4e-3], [-1.0]]), (4, 2))
    np.testing.assert_allclose(result["x"].squeeze("macro.drivers"), expected, rtol=1e-6)
    assert list(result["macro.comparator.kickback"].values) == ["0.001", "none", "0.004", "none"]
    assert list(result["macro.supply_noise"].values) == ["none", "0.001"]
    assert list(result["macro.drivers"].values) == ["none"]


def test_samples_fill_their_ranges():
    sample = amsim.samples({"macro.supply": (0.5, 0.9), "macro.noise": (1e-4, 1e-2)}, 64, logarithmic=["macro.noise"])
    first, second = np.array(sample.values["macro.supply"]), np.array(sample.values["macro.noise"])
    assert np.all((first > 0.5) & (first < 0.9))
    unit = np.stack([(first - 0.5) / 0.4, np.log(second / 1e-4) / np.log(100)], axis=1)
    # One point in each of 64 equal parts of either range, and far more even than random points.
    assert sorted(np.floor(64 * unit[:, 0]).astype(int)) == pytest.approx(range(64), abs=1)
    assert qmc.discrepancy(unit) < 0.3 * qmc.discrepancy(np.random.default_rng(0).random((64, 2)))
    shorter = amsim.samples({"macro.supply": (0.5, 0.9), "macro.noise": (1e-4, 1e-2)}, 5, logarithmic=["macro.noise"])
    np.testing.assert_array_equal(shorter.values["macro.supply"], first[:5])
    chosen = amsim.samples({"macro.adc.bits": [4, 6, 8]}, 64).values["macro.adc.bits"]
    assert [list(chosen).count(bits) for bits in (4, 6, 8)] == pytest.approx([64 / 3] * 3, abs=1.5)


def test_live_memory_of_a_program():
    def chain(x):
        y = jnp.sin(x)
        return jnp.sum(jnp.cos(y) * 2.0)

    # Never more than two intermediate vectors of 1000 float32 live at the same time.
    peak = peak_bytes(jax.make_jaxpr(chain)(jnp.zeros(1000)).jaxpr)
    assert 8000 <= peak <= 8100


MEASURE = Counted()


def nothing():
    return {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axes": {}}, "`axes` must have at least one axis"),
        ({"axes": {"macro.supply": []}}, "at least one value for 'macro.supply'"),
        ({"axes": {"macro.suply": [0.6]}}, "no setting 'macro.suply'.*Did you mean 'macro.supply'"),
        (
            {"axes": {"macro.supply": [0.6, -1.0]}},
            "'macro.supply' allows. .*`supply` must be finite and above 0, but is -1",
        ),
        (
            {"axes": {"macro.supply": [0.6, 0.7, 0.6]}},
            "different values for 'macro.supply', but has 0.6 more than once",
        ),
        ({"axes": {"macro.supply": [0.6, float("nan")]}}, "finite numbers, words or None for 'macro.supply'"),
        (
            {"axes": {"macro.adc.bits": [4, 40]}},
            "'macro.adc.bits' allows. .*`bits` must be an integer from 1 to 16, but is 40",
        ),
        ({"axes": {"macro.supply": 0.6}}, "a list of values for 'macro.supply'"),
        ({"axes": {"macro.supply": [0.6, "high"]}}, "labels of one kind"),
        ({"axes": {"macro.supply": [None, 0.6]}}, "'macro.supply' a value: it cannot be left out"),
        ({"axes": {"macro.comparator.kickback": [None, 1e-3, "high"]}}, "labels of one kind"),
        ({"axes": {"macro.comparator.kickback": [None, 1e-3, None]}}, "has 'none' more than once"),
        ({"axes": [{"macro.supply": [0.6]}, {"macro.supply": [0.7]}]}, "nothing twice.*macro.supply"),
        ({"axes": {"network": ["binary-fashion"]}}, "an axis `network` needs a study"),
        ({"axes": {"macro.adc.bits": amsim.only_where([4], {"macro.supply": 0.6})}}, "an axis 'macro.supply' before"),
        ({"axes": {"macro.supply": [0.6]}, "hardware": None}, "`hardware` must be given"),
        ({"axes": {"macro.supply": [0.6]}, "hardware": "chip"}, "`hardware` must be a macro"),
        ({"axes": {"macro.supply": [0.6]}, "key": None}, "`key` must be given"),
        ({"axes": {"macro.supply": [0.6]}, "attributes": {"dies": "3"}}, "`attributes` must not have dies, which a"),
        ({"axes": {"macro.supply": [0.6]}, "dies": 0}, "`dies` must be an integer of at least 1"),
        ({"axes": {"macro.supply": [0.6]}, "function": 3}, "`function` must be `amsim.study"),
        ({"axes": {"macro.supply": [0.6]}, "function": nothing}, "takes 0 arguments"),
        ({"axes": {"macro.supply": [0.6]}, "function": lambda hardware: 1.0}, "must give a dict of named arrays"),
        ({"axes": {"macro.supply": [0.6]}, "memory_limit": 0.0}, "`memory_limit` must be a number of bytes above 0"),
        ({"axes": {"macro.supply": [0.6]}, "client": "host:8786"}, "`client` must be a dask.distributed.Client"),
        ({"axes": {"macro.supply": [0.6]}, "function": dict}, "`function` must have a signature"),
    ],
)
def test_mistakes_are_told_before_anything_runs(arguments, message):
    given = {"function": MEASURE, "hardware": MACRO, "key": KEY, "dies": 2} | arguments
    before = MEASURE.traces
    with pytest.raises(ValueError, match=message):
        amsim.sweep(**given)
    assert MEASURE.traces == before


def test_wrong_samples_and_points():
    with pytest.raises(ValueError, match="equally many"):
        amsim.points({"a": [1, 2], "b": [1]})
    with pytest.raises(ValueError, match=r"\(low, high\) with low < high and above 0"):
        amsim.samples({"a": (0.0, 1.0)}, 4, logarithmic=True)
    with pytest.raises(ValueError, match="`logarithmic` must name paths"):
        amsim.samples({"a": (0.0, 1.0)}, 4, logarithmic=["b"])
    with pytest.raises(ValueError, match=r"but has \['ab'\]"):
        amsim.samples({"a": (0.0, 1.0)}, 4, logarithmic="ab")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((3, None, None, False), "`store` must be the path of a folder, but is 3"),
        ((None, None, "1 GB", False), "`memory_limit` must be a number of bytes above 0, but is '1 GB'"),
        ((None, None, True, False), "`memory_limit` must be a number of bytes above 0, but is True"),
        ((None, None, None, "yes"), "`progress` must be True, False or a function .* but is 'yes'"),
    ],
)
def test_options_of_the_wrong_kind_are_told(options, message):
    # Behind the type checker of the tests, which a user does not have.
    with pytest.raises(ValueError, match=message):
        check_options(*options)


@pytest.mark.parametrize("label", ["V", ("V",), (None, None)])
def test_labels_are_a_unit_and_a_name(label):
    with pytest.raises(ValueError, match=r"`labels` must have \(unit, long name\) per output, but has .* for 'a'"):
        checked_labels({"a": label})


SUPPLY = {"macro.supply": [0.5, 0.6]}


@pytest.mark.parametrize(
    ("axes", "outputs", "message"),
    [
        (SUPPLY, {"a": 1j}, "must give arrays, but gave 'a' as complex"),
        (SUPPLY, {"a": jnp.ones(2, jnp.complex64)}, "must give real numbers, but gave 'a' of type complex64"),
        (SUPPLY, {"a": jax.random.key(0)}, "must give real numbers, but gave 'a' of type key"),
        (SUPPLY, {"a": jnp.ones((2, 0))}, r"must give values, but gave 'a' of shape \(2, 0\)"),
        (SUPPLY, {"a": jnp.ones(3), "a_0": 1.0}, "must not name an output 'a_0'"),
        (SUPPLY, {"macro.supply": 1.0}, "must not name an output 'macro.supply'"),
        (SUPPLY, {"study": 1.0}, "`function` must have names that are allowed in files, .* but has 'study'"),
        (SUPPLY, {"a/b": 1.0}, "`function` must have names that are allowed in files, .* but has 'a/b'"),
        (SUPPLY, {"a": 1.0}, "`labels` must be of the outputs a, but has 'other'"),
        (
            amsim.points(SUPPLY, dim="a/b"),
            {"a": 1.0},
            "`axes` must have names that are allowed in files, .* but has 'a/b'",
        ),
    ],
)
def test_outputs_that_no_result_can_hold_are_refused(axes, outputs, message, tmp_path):
    labels = {"other": ("V", "else")} if "labels" in message else None
    with pytest.raises(ValueError, match=message):
        amsim.sweep(lambda hardware: outputs, axes, hardware=MACRO, labels=labels, store=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_outputs_of_any_word_length_are_kept(tmp_path):
    outputs = {"half": jnp.asarray(0.5, jnp.bfloat16), "large": 2**40, "true": True, "counts": jnp.arange(3)}
    found = amsim.sweep(lambda hardware: outputs, SUPPLY, hardware=MACRO, store=tmp_path / "study")
    again = amsim.sweep(lambda hardware: outputs, SUPPLY, hardware=MACRO, store=tmp_path / "study")
    xr.testing.assert_identical(found, again)
    assert {name: found[name].values[0].tolist() for name in outputs} == {
        "half": 0.5, "large": 2.0**40, "true": 1.0, "counts": [0.0, 1.0, 2.0],
    }  # fmt: skip
