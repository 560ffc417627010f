"""Calibration of a trained float network end to end: loops, storage, transforms, steps, batch statistics, errors."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

import amsim
from amsim import Calibration, SiteRanges, circuits
from amsim.datasets import Split

ARRAY = circuits.SwitchedCapacitor(
    rows=80, columns=32, weight_bits=4, input_bits=4, adc=circuits.Adc(bits=7), unit_capacitance=20e-15
)
DIGITAL = circuits.MultiPrecision(weight_bits=4, input_bits=4)


def net(params: Any, x: Array) -> Array:
    x = jax.nn.leaky_relu(x @ params["hidden"]["w"] + params["hidden"]["b"].reshape(1, -1), 0.1)
    return x @ params["out"]["w"] + params["out"]["b"].reshape(1, -1)


def prepared(split: Split) -> Split:
    """Pictures at half the resolution, some pixels far brighter than the rest, as sensors have them."""
    pixels = split.inputs[:, ::2, ::2].reshape(len(split), -1).astype(np.float32) / 255 - 0.3
    pixels[:, ::50] *= 6
    return Split(pixels, split.labels)


@pytest.fixture(scope="module")
def case() -> tuple[Any, Split, Split]:
    data = amsim.load_dataset("fashion-mnist-mini")
    train, test = prepared(data.train), prepared(data.test[:500])
    keys = jax.random.split(jax.random.key(0), 2)
    params = {
        "hidden": {"w": jax.random.normal(keys[0], (196, 24)) * 0.1, "b": jnp.zeros(24)},
        "out": {"w": jax.random.normal(keys[1], (24, 10)) * 0.3, "b": jnp.zeros(10)},
    }
    optimiser = optax.adam(5e-3)

    @jax.jit
    def train_all(params: Any, orders: Array) -> Any:
        def step(state: Any, order: Array) -> tuple[Any, None]:
            params, moments = state
            x, labels = jnp.asarray(train.inputs)[order], jnp.asarray(train.labels)[order]

            def loss(params: Any) -> Array:
                return optax.softmax_cross_entropy_with_integer_labels(net(params, x), labels).mean()

            updates, moments = optimiser.update(jax.grad(loss)(params), moments)
            return (optax.apply_updates(params, updates), moments), None

        return jax.lax.scan(step, (params, optimiser.init(params)), orders)[0][0]

    random = np.random.default_rng(0)
    orders = np.concatenate([random.permutation(4000).reshape(40, 100) for _ in range(5)])
    with jax.numpy_dtype_promotion("standard"):  # for the optimiser
        trained = train_all(params, jnp.asarray(orders))
    return trained, train[:300], test


@pytest.fixture(scope="module")
def result(case: Any) -> Any:
    params, train, test = case
    options: dict[str, Any] = {"symmetric": False, "dies": 2, "batch": 250}
    return amsim.calibrate(net, params, ARRAY, train, key=jax.random.key(1), test=test[:250], **options)


def test_steps_add_up_to_the_whole_loss(case: Any, result: Any) -> None:
    params, _, test = case
    steps = result.steps
    assert list(steps["step"].values) == ["float", "quantise", "tile", "ADC", "mismatch", "noise"]
    means = steps["accuracy_mean"].values
    np.testing.assert_allclose(steps["accuracy_loss"].values[1:], means[:-1] - means[1:], atol=1e-12)
    assert float(steps["accuracy_loss"].sum()) == pytest.approx(means[0] - means[-1], abs=1e-12)
    plain = np.argmax(np.asarray(net(params, jnp.asarray(test.inputs[:250]))), axis=-1) == test.labels[:250]
    assert means[0] == plain.mean()
    # Splitting integer sums over tiles costs nothing.
    assert means[1] == means[2]
    # The last step is what `evaluate` measures with this choice and this key.
    same = amsim.evaluate(net, params, ARRAY, test[:250], key=jax.random.key(1), dies=2, calibration=result.calibration)
    np.testing.assert_allclose(steps["accuracy"].sel(step="noise"), same["accuracy"][:, 0], atol=1e-12)
    assert same.attrs["calibration"] != "null"
    assert np.isfinite(steps["accuracy_loss_low"].values).all()
    assert float(steps["accuracy_loss_low"].sel(step="ADC")) == float(steps["accuracy_loss_high"].sel(step="ADC"))


def test_calibration_loses_less_than_none_at_four_bits(case: Any) -> None:
    params, train, test = case
    plain = np.asarray(net(params, jnp.asarray(test.inputs)))
    chips = {"none": amsim.deploy(net, params, DIGITAL)}
    for method in ("min-max", "minimum-error"):
        chips[method] = amsim.calibrate(net, params, DIGITAL, train, method=method, steps=False).chip
    outputs = {name: np.asarray(chip(test.inputs)) for name, chip in chips.items()}
    errors = {name: np.mean((found - plain) ** 2) for name, found in outputs.items()}
    right = {name: np.mean(np.argmax(found, axis=-1) == test.labels) for name, found in outputs.items()}
    assert np.mean(np.argmax(plain, axis=-1) == test.labels) > 0.7
    assert errors["minimum-error"] < 0.7 * min(errors["min-max"], errors["none"])
    # Without calibration each input vector has a range of its own, which no fixed range could have.
    assert right["minimum-error"] > right["min-max"] + 0.05
    assert right["minimum-error"] > right["none"] - 0.03


def test_choice_is_what_the_chip_uses(case: Any, result: Any) -> None:
    params, train, _ = case
    choice = result.choice
    assert list(choice["site"].values) == ["hidden", "out"]
    for name in [*choice.data_vars, *choice.coords]:
        assert choice[name].attrs["units"]
    ranges = result.calibration.of("hidden")
    x = train.inputs.astype(np.float64)
    scale, zero = float(ranges.inputs.scale), float(ranges.inputs.zero)
    words = np.clip(np.round(x / scale), -zero, 15 - zero)
    snr = 10 * np.log10(np.mean(x**2) / np.mean((words * scale - x) ** 2))
    assert float(choice["input_snr"].sel(site="hidden")) == pytest.approx(snr, rel=1e-3)
    clipped = np.mean((x / scale > 15.5 - zero) | (x / scale < -zero - 0.5))
    assert float(choice["clipped_inputs"].sel(site="hidden")) == pytest.approx(clipped, abs=1e-5)
    assert float(choice["input_low"].sel(site="hidden")) == pytest.approx(-zero * scale, rel=1e-6)
    assert float(choice["zero_point"].sel(site="hidden")) == zero > 0
    assert ranges.weights.scale.shape == (1, 24)
    # The converter's range is that which the macro alone chooses for the same operands.
    x_code, w_code = ranges.inputs, ranges.weights
    product, matrix = circuits.DenseProduct(196, 24), params["hidden"]["w"]
    operands = circuits.Operands(product, jnp.asarray(train.inputs), matrix, x_code, w_code)
    counts = ARRAY.line_counts(operands)
    alone = ARRAY.selected_readout_range(product, counts, method="minimum-error", coverage=1.0)
    assert float(ranges.readout) == pytest.approx(float(alone), rel=1e-5)
    want = ARRAY.with_readout_range(ranges.readout).multiply(operands)
    only = amsim.deploy(
        lambda p, x: x @ p["hidden"]["w"], params, ARRAY, calibration=result.calibration.only(["hidden"])
    )
    np.testing.assert_allclose(only(train.inputs), want, rtol=1e-5, atol=1e-5)


def test_min_max_clips_nothing_and_all_samples_share_it(case: Any) -> None:
    params, train, _ = case
    found = amsim.calibrate(net, params, DIGITAL, train.inputs, method="min-max", weights="tensor", batch=130)
    assert found.steps is None
    assert float(found.choice["clipped_inputs"].max()) == 0
    limit = float(found.choice["input_scale"].sel(site="hidden")) * 7
    assert limit == pytest.approx(np.abs(train.inputs).max(), rel=1e-6)
    assert found.calibration.of("hidden").weights.scale.shape == (1, 1)


def test_chip_passes_through_transforms_and_files(case: Any, result: Any, tmp_path: Any) -> None:
    train = case[1]
    chip, x = result.chip, train.inputs[:4]
    outputs = np.asarray(chip(x))
    np.testing.assert_allclose(jax.jit(lambda c, x: c(x))(chip, x), outputs, rtol=1e-5, atol=1e-5)
    each = jax.vmap(lambda one: chip(one[None])[0])(jnp.asarray(x))
    np.testing.assert_allclose(each, outputs, rtol=1e-5, atol=1e-5)
    slopes = eqx.filter_grad(lambda c: jnp.sum(c(x) ** 2))(chip)
    assert float(slopes.calibration.of("out").readout) != 0
    assert float(jnp.sum(jnp.abs(slopes.calibration.of("hidden").weights.scale))) > 0
    assert float(jnp.sum(jnp.abs(slopes.params["hidden"]["w"]))) > 0
    chip.save(tmp_path / "chip.npz")
    loaded = amsim.load_chip(tmp_path / "chip.npz", net)
    assert jax.tree.structure(loaded.calibration) == jax.tree.structure(chip.calibration)
    key = jax.random.key(3)
    np.testing.assert_array_equal(loaded(x, key=key), chip(x, key=key))
    assert "clipped_adc" in chip.cost(x)


def test_loops_count_every_turn_and_batch() -> None:
    weights = jax.random.normal(jax.random.key(0), (3, 8, 8)) * jnp.asarray([0.2, 0.4, 0.3]).reshape(3, 1, 1)

    def stacked(params: Any, x: Array) -> Array:
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w) - 0.2, None), x, params["w"])[0]

    x = np.random.default_rng(0).uniform(-2, 1, (50, 8)).astype(np.float32)
    found = amsim.calibrate(stacked, {"w": weights}, DIGITAL, x, method="min-max", symmetric=False, batch=20)
    states, h = [], x.astype(np.float64)
    for w in np.asarray(weights, np.float64):
        states.append(h)
        h = np.tanh(h @ w) - 0.2
    low, high = min(s.min() for s in states), max(s.max() for s in states)
    (name,) = found.choice["site"].values
    assert float(found.choice["input_scale"][0]) == pytest.approx((high - low) / 15, rel=1e-5)
    widest = np.abs(np.asarray(weights)).max(axis=(0, 1)) / 7
    np.testing.assert_allclose(found.calibration.of(name).weights.scale[0], widest, rtol=1e-6)


def normalised(params: Any, x: Array, train: bool = False) -> tuple[Array, Any]:
    sums = x @ params["hidden"]["w"]
    mean, variance = params["stats"]["mean"], params["stats"]["variance"]
    if train:
        mean, variance = jnp.mean(sums, axis=0), jnp.var(sums, axis=0)
    hidden = jax.nn.relu((sums - mean.reshape(1, -1)) / jnp.sqrt(variance.reshape(1, -1) + 1e-3))
    return hidden @ params["out"]["w"], params | {"stats": {"mean": mean, "variance": variance}}


def with_own_statistics(params: Any, x: Array) -> Any:
    return normalised(params, x, train=True)[1]


def test_batch_statistics_on_the_chip_are_those_of_a_plain_loop(case: Any) -> None:
    params, train, _ = case
    params = {name: {"w": params[name]["w"]} for name in ("hidden", "out")}
    params |= {"stats": {"mean": jnp.zeros(24), "variance": jnp.ones(24)}}

    def network(params: Any, x: Array) -> Array:
        return normalised(params, x)[0]

    leaky = dataclasses.replace(ARRAY, leakage=circuits.Leakage(hold_time=1e-6), reference_tracking=0.5)
    options: dict[str, Any] = {"key": jax.random.key(1), "steps": False, "batch": 100}
    found = amsim.calibrate(network, params, leaky, train, statistics=with_own_statistics, **options)
    without = amsim.calibrate(network, params, leaky, train, **options)
    hidden = amsim.deploy(
        lambda p, x: x @ p["hidden"]["w"],
        params,
        leaky,
        key=jax.random.key(1),
        calibration=without.calibration.only(["hidden"]),
    )
    sums = [np.asarray(hidden(train.inputs[i : i + 100]), np.float64) for i in range(0, 300, 100)]
    got = found.chip.params["stats"]
    np.testing.assert_allclose(got["mean"], np.mean([s.mean(axis=0) for s in sums], axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got["variance"], np.mean([s.var(axis=0) for s in sums], axis=0), rtol=1e-4)
    np.testing.assert_array_equal(found.chip.params["hidden"]["w"], params["hidden"]["w"])
    with pytest.raises(ValueError, match="`statistics` must return parameters"):
        amsim.reestimate_statistics(without.chip, lambda p, x: normalised(p, x)[0], train)
    comparators = circuits.SwitchedCapacitor(adc=None)
    binary = amsim.deploy(network, params, comparators)
    with pytest.raises(amsim.DeploymentError, match="Batch statistics cannot be measured on this hardware"):
        amsim.reestimate_statistics(binary, with_own_statistics, train)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"data": np.zeros((0, 196), np.float32)}, "`data` must have at least one item"),
        ({"data": np.full((2, 196), np.nan, np.float32)}, "`data` must be finite"),
        ({"data": np.full((2, 196), 3e38, np.float32)}, "inputs of site `out` are not"),
        ({"data": np.full((2, 196), 1e20, np.float32)}, "must give inputs of a size .* site `hidden` reach 1e\\+20"),
        ({"data": np.full((2, 196), 1e-20, np.float32)}, "must give inputs of a size .* site `hidden` reach 1e-20"),
        ({"method": "best"}, "`method` must be one of"),
        ({"method": {"adc": "min-max"}}, "`method` must be one of inputs, readout, weights"),
        ({"method": {"readout": "min-max"}}, "no site has a converter whose range to choose"),
        ({"coverage": 0.0}, "`coverage` must be above 0"),
        ({"weights": "row"}, "`weights` must be one of channel, tensor"),
        ({"hardware": circuits.Exact()}, "all sites keep their product"),
    ],
)
def test_bad_arguments_are_refused(case: Any, change: dict[str, Any], match: str) -> None:
    params, train, _ = case
    arguments = {"hardware": DIGITAL, "data": train[:4]} | change
    hardware, data = arguments.pop("hardware"), arguments.pop("data")
    with pytest.raises(ValueError, match=match):
        amsim.calibrate(net, params, hardware, data, **arguments)


def test_choices_of_other_sites_are_refused(case: Any) -> None:
    params, train, _ = case
    code = circuits.IntegerCode(jnp.ones(()), 4, True)
    chip = amsim.deploy(net, params, DIGITAL, calibration=Calibration({"hiden": SiteRanges(code)}))
    with pytest.raises(amsim.DeploymentError, match="must be of the sites hidden, out, but has hiden"):
        chip(train.inputs[:2])
    chip = amsim.deploy(net, params, DIGITAL, calibration=Calibration({"out": SiteRanges(readout=0.5)}))
    with pytest.raises(ValueError, match="no converter whose range to choose"):
        chip(train.inputs[:2])
