"""A macro from a table against NumPy interpolation, closed forms, and networks on it."""

import dataclasses
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import amsim
from amsim import circuits, networks
from amsim.characterisation.table import measured_macro
from amsim.characterisation.transfer import characterise
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.products import ConvolutionProduct, DenseProduct
from amsim.circuits.contract.work import Work
from amsim.circuits.measured import Measured, MeasuredDie
from amsim.datasets import Split
from amsim.noise.gradients import decision

COUNTS = np.array([-16, -14, -10, -2, 0, 6, 16])
SETTINGS = {"evaluation_energy": 2e-12, "evaluation_time": 3e-7, "array_area": 4e-8, "supply": 0.7}


def macro_of(mean, sigma=None, **changes):
    mean = np.asarray(mean, float)
    sigma = np.zeros_like(mean) if sigma is None else sigma
    settings = SETTINGS | {"rows": 16, "columns": mean.shape[-2]} | changes
    return Measured(counts=COUNTS, mean=mean, sigma=sigma, **settings)


def random_macro(dies=1, columns=3, **changes):
    generator = np.random.default_rng(0)
    shape = (dies, columns, len(COUNTS))
    mean = COUNTS + generator.normal(size=shape)
    return macro_of(mean, generator.uniform(0.1, 0.5, shape), **changes)


@eqx.filter_jit
def matmul(macro, x, w, die=None, key=None):
    return macro.matmul(x, w, die=die, key=key)


def signs(seed, *shape):
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape)


def test_reads_are_interpolated_in_the_table_of_their_column():
    """More rows than a line and more filters than columns; a 0 leaves a row undriven."""
    macro = random_macro()
    x, w = signs(1, 7, 40), signs(2, 40, 8)
    x[:, ::5] = 0
    expected = np.zeros((7, 8))
    for tile in range(3):
        rows = slice(16 * tile, 16 * tile + 16)
        for column in range(8):
            sums = x[:, rows] @ w[rows, column]
            expected[:, column] += np.interp(sums, COUNTS, np.asarray(macro.mean)[0, column % 3])
    np.testing.assert_allclose(matmul(macro, x, w), expected, atol=1e-4)


def test_one_measured_column_serves_all():
    macro = macro_of(COUNTS[None] + np.arange(7)[None] / 10, columns=5)
    x, w = signs(3, 4, 16), signs(4, 16, 6)
    expected = np.interp(x @ w, COUNTS, COUNTS + np.arange(7) / 10)
    np.testing.assert_allclose(matmul(macro, x, w), expected, atol=1e-5)


def test_slices_share_the_columns_in_turn():
    """A column that adds its number to every read shows where each weight digit was read."""
    shifts = np.array([1.0, 10.0, 100.0])
    macro = macro_of(COUNTS + shifts[:, None], weight_bits=2, input_bits=2)
    rng = np.random.default_rng(5)
    x, w = rng.integers(-1, 2, (4, 40)).astype(float), rng.integers(-1, 2, (40, 4)).astype(float)
    x[:, 0], w[0] = 1, 1
    read, ideal = matmul(macro, x, w), matmul(macro.ideal(), x, w)
    np.testing.assert_allclose(ideal, x @ w, atol=1e-4)
    # Half the digit weight for each operand; input digits of value 1 and 2 and 3 tiles add up.
    expected = [0.25 * 3 * 3 * (shifts[2 * c % 3] + 2 * shifts[(2 * c + 1) % 3]) for c in range(4)]
    np.testing.assert_allclose(read - ideal, np.broadcast_to(expected, (4, 4)), rtol=1e-4)


@pytest.mark.parametrize(("weight_bits", "input_bits"), [(1, 1), (3, 4)])
def test_ideal_table_is_the_ideal_array(weight_bits, input_bits):
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(5, 3, 40)), rng.normal(size=(40, 7))
    macro = random_macro(dies=2, weight_bits=weight_bits, input_bits=input_bits).ideal()
    digital = circuits.DigitalBinary(rows=16, columns=3, weight_bits=weight_bits, input_bits=input_bits)
    read = matmul(macro, x, w, die=macro.fabricate(jax.random.key(0)), key=jax.random.key(1))
    np.testing.assert_allclose(read, digital.matmul(x, w), rtol=1e-5, atol=1e-4)


def test_convolution_reads_the_same_lines_as_its_unfolded_product():
    macro = random_macro()
    product = ConvolutionProduct((2, 2), 6, 4, (1, 1), (1, 1))
    x, w = signs(7, 2, 5, 5, 6), signs(8, 24, 4)
    patches = np.stack([x[:, i : i + 4, j : j + 4] for i in range(2) for j in range(2)], axis=-1).reshape(2, 4, 4, 24)
    found = eqx.filter_jit(macro.multiply)(circuits.Operands(product, jnp.asarray(x, float), jnp.asarray(w, float)))
    np.testing.assert_allclose(found, matmul(macro, patches, w), atol=1e-4)


def test_noise_has_the_interpolated_sigma_and_is_new_at_every_read():
    macro = random_macro()
    x, w = np.ones((1, 16)), np.ones((16, 3))
    x[:, :5] = -1  # a sum of 6, in the table
    y = x.copy()
    y[:, 5] = 0  # a sum of 5, between 0 and 6
    both = np.concatenate([x, y])
    keys = jax.random.split(jax.random.key(9), 4000)
    reads = np.asarray(jax.jit(jax.vmap(lambda key: matmul(macro, both, w, key=key)))(keys), float)
    sigma, mean = np.asarray(macro.sigma, float)[0], np.asarray(macro.mean, float)[0]
    for row, total in enumerate((6, 5)):
        for column in range(3):
            want = np.interp(total, COUNTS, sigma[column])
            assert reads[:, row, column].std() == pytest.approx(want, rel=0.06, abs=0)
            centre = np.interp(total, COUNTS, mean[column])
            assert reads[:, row, column].mean() == pytest.approx(centre, abs=4 * want / np.sqrt(4000))
    np.testing.assert_array_equal(matmul(macro, x, w, key=keys[0]), matmul(macro, x, w, key=keys[0]))
    # Tiles are read one after another, each with noise of its own.
    two = np.ones((32, 3))
    several = jax.vmap(lambda key: matmul(macro, np.ones((1, 32)), two, key=key))(keys)[:, 0]
    np.testing.assert_allclose(np.std(several, axis=0), np.sqrt(2) * sigma[:, -1], rtol=0.06)


def test_a_die_is_one_of_those_measured():
    macro = random_macro(dies=4)
    x, w = signs(10, 3, 16), signs(11, 16, 3)
    alone = [np.asarray(matmul(macro_of(macro.mean[die]), x, w)) for die in range(4)]
    seen = np.zeros(4)
    run = jax.jit(lambda key: matmul(macro, x, w, die=macro.fabricate(key)))
    for seed in range(200):
        read = np.asarray(run(jax.random.key(seed)))
        (matches,) = np.nonzero([np.allclose(read, each, atol=1e-5) for each in alone])
        seen[matches] += 1
    assert seen.sum() == 200
    assert stats.chisquare(seen).pvalue > 1e-3
    np.testing.assert_allclose(matmul(macro, x, w), np.mean(alone, axis=0), atol=1e-5)
    keys = jax.random.split(jax.random.key(0), 4000)
    reads = jax.vmap(lambda key: matmul(macro, np.ones((1, 16)), np.ones((16, 3)), key=key))(keys)
    np.testing.assert_allclose(np.std(reads[:, 0], axis=0), np.sqrt(np.mean(macro.sigma[:, :, -1] ** 2, 0)), rtol=0.06)


def test_the_table_of_one_die_is_the_die():
    macro = random_macro()
    assert macro.fabricate(jax.random.key(0)) is None
    with pytest.raises(ValueError, match=r"Argument `die` must be a die of this macro.*has 1 dies"):
        matmul(macro, np.ones((1, 16)), np.ones((16, 3)), die=MeasuredDie(jnp.zeros(())))
    other = circuits.SwitchedCapacitor(rows=16, columns=3).fabricate(jax.random.key(0))
    with pytest.raises(ValueError, match=r"of type CapacitorDie; the table has 2 dies"):
        random_macro(dies=2).matmul(np.ones((1, 16)), np.ones((16, 3)), die=other)
    with pytest.raises(ValueError, match=r"Argument `key` must be one key"):
        random_macro().fabricate(jax.random.key_data(jax.random.key(0)))


def test_a_decision_compares_the_read_value_with_the_threshold():
    """Sums are even, so a threshold of 1 lies half way between 0 and 2: exact in the ideal table."""
    shift = np.array([0.0, 1.5, -3.5])
    macro = macro_of(COUNTS + shift[:, None])
    x, w = signs(12, 200, 16), signs(13, 16, 3)
    sums = x @ w
    for threshold in (-3.0, 0.0, 1.0, 2.0):
        # Half way between the last even sum below the threshold and the first that is not.
        middle = 2 * np.ceil(threshold / 2) - 1
        np.testing.assert_array_equal(macro.ideal().decide(x, w, threshold), np.where(sums >= threshold, 1, -1))
        np.testing.assert_array_equal(macro.decide(x, w, threshold), np.where(sums + shift >= middle, 1, -1))


def test_noisy_decisions_are_a_normal_distribution():
    macro = random_macro()
    macro = dataclasses.replace(macro, sigma=4 * macro.sigma)
    x = np.ones((1, 16))
    x[:, :8] = -1
    keys = jax.random.split(jax.random.key(14), 4000)
    decided = jax.jit(jax.vmap(lambda key: macro.decide(x, np.ones((16, 3)), key=key)))(keys)[:, 0]
    place = list(COUNTS).index(0)
    mean, sigma = np.asarray(macro.mean)[0, :, place], np.asarray(macro.sigma)[0, :, place]
    up = stats.norm.cdf((mean + 1) / sigma)
    np.testing.assert_allclose(np.mean(decided > 0, axis=0), up, atol=4 * 0.5 / np.sqrt(4000))


def test_multi_bit_operands_do_not_decide():
    macro = random_macro(weight_bits=2)
    assert not macro.decides
    assert random_macro().decides
    with pytest.raises(ValueError, match="Measured cannot decide"):
        macro.decide(np.ones((1, 16)), np.ones((16, 3)))


def test_gradients_are_those_of_finite_differences():
    with jax.enable_x64(True):
        macro = random_macro(dies=2)
        die, key = MeasuredDie(jnp.asarray(0.7)), jax.random.key(15)
        x, w = jnp.asarray(signs(16, 4, 16)), jnp.asarray(signs(17, 16, 5))
        weight = jnp.asarray(np.random.default_rng(18).normal(size=(4, 5)))

        def loss(mean, sigma):
            changed = dataclasses.replace(macro, mean=mean, sigma=sigma)
            return jnp.sum(weight * matmul(changed, x, w, die=die, key=key) ** 2)

        slopes = jax.jit(jax.grad(loss, (0, 1)))(macro.mean, macro.sigma)
        value = jax.jit(loss)
        way = [jnp.asarray(np.random.default_rng(seed).normal(size=macro.mean.shape)) for seed in (19, 20)]
        for index in (0, 1):
            values = [[macro.mean, macro.sigma] for _ in range(2)]
            values[0][index], values[1][index] = (
                values[0][index] + 1e-4 * way[index],
                values[1][index] - 1e-4 * way[index],
            )
            difference = (value(*values[0]) - value(*values[1])) / 2e-4
            assert float(jnp.sum(slopes[index] * way[index])) == pytest.approx(float(difference), rel=1e-6, abs=0)
            assert np.all(np.asarray(slopes[index])[0] == 0)  # the other die
        # By an input: the slope of the table between the neighbouring counts.
        one, unit = jnp.ones((1, 16)).at[0, :5].set(-1.0), circuits.ValueRange(-1.0, 1.0)

        def operands(x):
            return circuits.Operands(DenseProduct(16, 3), x, jnp.ones((16, 3)), unit, unit)

        slope = jax.grad(lambda x: macro.multiply(operands(x))[0, 1])(one)
        mean = np.asarray(macro.mean).mean(0)[1]
        np.testing.assert_allclose(slope, np.full((1, 16), (mean[-1] - mean[-2]) / 10), rtol=1e-9)
        neuron = Neuron(jnp.full((3,), -2.0), jnp.full((3,), 0.5))
        slope = jax.grad(lambda x: macro.margin(operands(x), neuron)[0, 1])(one)
        np.testing.assert_allclose(slope, np.full((1, 16), -2 * (mean[-1] - mean[-2]) / 10), rtol=1e-9)


def test_gradient_without_noise_is_finite():
    macro = random_macro(dies=2).ideal()
    x, w = signs(21, 4, 16), signs(22, 16, 5)
    slope = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(matmul(m, x, w, key=jax.random.key(0)) ** 2)))(macro)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slope))
    assert np.any(slope.mean != 0)


@pytest.mark.parametrize("x64", [False, True])
def test_results_keep_the_dtype_of_the_inputs(x64):
    macro = random_macro()
    with jax.enable_x64(x64):
        read = matmul(macro, signs(23, 2, 16), signs(24, 16, 3), key=jax.random.key(0))
        assert read.dtype == (jnp.float64 if x64 else jnp.float32)


def test_cost_by_hand():
    """40 rows are 3 tiles, 8 filters of 2 bits are 16 slices on 3 columns: 6 passes; 3 input bits."""
    macro = random_macro(weight_bits=2, input_bits=3, load_width=10.0)
    work = Work(DenseProduct(40, 8), positions=5, input_words=200, window_fetches=1.0)
    cost = macro.cost(work, {})
    assert float(cost.energy) == pytest.approx(5 * 3 * 3 * 16 * 2e-12, rel=1e-6, abs=0)
    assert float(cost.cycles) == pytest.approx(5 * 3 * 3 * 6 * 2 + 640 / 10)
    assert float(cost.seconds) == pytest.approx((5 * 3 * 3 * 6 + 32) * 3e-7, rel=1e-6, abs=0)
    assert (cost.weight_bits, cost.input_bits, cost.output_bits, cost.stored_bits) == (640, 200 * 3 * 6, 120, 640)
    assert (float(macro.area), float(macro.operating_supply)) == pytest.approx((4e-8, 0.7), rel=1e-6, abs=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 17}, r"`counts` must cover -17\.\.17, the sums of 17 rows, but covers -16\.\.16"),
        ({"counts": [3, 1]}, r"`counts` must be two or more integers in ascending order"),
        ({"counts": [0.5, 1.5]}, r"`counts` must be two or more integers"),
        ({"counts": np.arange(-20, 21, 2)}, r"`mean` must have 21 counts, but has 7"),
        ({"mean": np.zeros(7)}, r"`mean` must have shape .* but has shape \(7,\)"),
        ({"mean": np.full((3, 7), np.nan)}, r"`mean` must be finite"),
        ({"sigma": np.full((3, 7), -0.5)}, r"`sigma` must be at least 0, but has -0\.5"),
        ({"sigma": np.zeros((2, 7))}, r"`sigma` must have the shape of `mean`"),
        ({"columns": 5}, r"one column or 5, but has 1 dies and 3 columns"),
        ({"evaluation_energy": -1.0}, r"`evaluation_energy` must be finite and at least 0"),
        ({"evaluation_time": 0.0}, r"`evaluation_time` must be finite and above 0"),
        ({"supply": 0.0}, r"`supply` must be finite and above 0"),
        ({"weight_bits": 17}, r"`weight_bits` must be an integer from 1 to 16"),
    ],
)
def test_a_table_that_does_not_fit_raises(changes, message):
    arguments = SETTINGS | {"counts": COUNTS, "mean": np.zeros((3, 7)), "sigma": np.zeros((3, 7)), "rows": 16}
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(Measured)(**(arguments | {"columns": 3} | changes))


def test_a_traced_sigma_below_zero_raises_at_run_time():
    x, w = signs(25, 2, 16), signs(26, 16, 3)
    run = eqx.filter_jit(lambda sigma: macro_of(np.zeros((3, 7)), sigma).matmul(x, w, key=jax.random.key(0)))
    run(jnp.zeros((3, 7)))
    with pytest.raises(Exception, match="Argument `sigma` must be at least 0"):
        run(jnp.full((3, 7), -1.0))


def network(params, inputs):
    hidden = decision(inputs @ decision(params["hidden"]) + params["bias"][None])
    return hidden @ decision(params["out"])


def test_a_network_runs_on_it_like_on_any_macro():
    keys = jax.random.split(jax.random.key(27), 4)
    params = {
        "hidden": jax.random.normal(keys[0], (16, 12)),
        "bias": jnp.round(jax.random.normal(keys[1], (12,))),
        "out": jax.random.normal(keys[2], (12, 4)),
    }
    inputs = np.sign(np.asarray(jax.random.normal(keys[3], (60, 16))))
    data = Split(inputs, np.asarray(jnp.argmax(network(params, inputs), -1), np.int32))
    macro = random_macro(dies=3)
    ideal = amsim.deploy(network, params, macro.ideal(), key=jax.random.key(0))
    np.testing.assert_array_equal(ideal(inputs, key=jax.random.key(1)), network(params, inputs))
    chip = amsim.deploy(network, params, macro, key=jax.random.key(2))
    assert [row.macro for row in chip.sites(inputs)] == ["Measured", "Measured"]
    hidden = macro.decide(inputs, decision(params["hidden"]), -params["bias"], die=chip.dies[0])
    np.testing.assert_allclose(
        chip(inputs), matmul(macro, hidden, decision(params["out"]), die=chip.dies[0]), atol=1e-4
    )
    cost = chip.cost(inputs)
    np.testing.assert_allclose(cost["energy"].sel(component="mac"), [12 * 2e-12, 4 * 2e-12], rtol=1e-5)
    result = amsim.evaluate(network, params, macro, data, key=jax.random.key(3), dies=6)
    assert 0.3 < float(result["accuracy_mean"]) < 1
    assert len(np.unique(result["accuracy"])) > 1


@pytest.mark.slow  # characterises an array and compiles a trained network twice; above, a small one runs on a table
def test_the_reference_network_on_the_table_of_an_array_is_as_accurate_as_on_the_array():
    array = circuits.SwitchedCapacitor()
    table = characterise(array, key=jax.random.key(28), dies=2, reads=8)
    macro = measured_macro(table, **SETTINGS)
    net, params = networks.load("binary-fashion")
    images = amsim.load_dataset().test[:100]
    accuracy = {}
    for name, hardware in (("array", array), ("table", macro)):
        chip = amsim.deploy(net, params, hardware, key=jax.random.key(29))
        logits = np.asarray(chip(images.inputs, key=jax.random.key(30)))
        accuracy[name] = np.mean(np.argmax(logits, axis=-1) == images.labels)
    assert accuracy["table"] == pytest.approx(accuracy["array"], abs=0.06)
    assert accuracy["table"] > 0.8
