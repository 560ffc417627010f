"""Workloads: counts against deployed networks, plain loops and published numbers."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import workloads
from amsim.circuits import DigitalBinary, Exact, MultiPrecision, Work
from amsim.deployment.mapping.mapper import map_program
from amsim.deployment.tracing.flattening import flatten
from amsim.system.accelerator import Accelerator
from amsim.workloads import Layer, Workload, convolution, dense

LAYOUT = ("NHWC", "HWIO", "NHWC")
BATCH = 3


def array(*shape: int) -> jax.ShapeDtypeStruct:
    """Counts need no values, and without them nothing is compiled."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def deployed_works(network: Any, params: dict[str, Any], inputs: Any) -> dict[str, Work]:
    """What the sites of a deployed network ask for, by site name."""
    closed = jax.make_jaxpr(network)(params, inputs)
    names = [str(path[0].key) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    mapping = map_program(flatten(closed, len(names)), Accelerator.of(Exact()), names)
    return {mapped.site.name: mapped.site.work(inputs.shape[0]) for mapped in mapping.sites}


def check_same_work(got: Work, want: Work) -> None:
    assert type(got.product) is type(want.product)
    for field in dataclasses.fields(got.product):
        assert getattr(got.product, field.name) == getattr(want.product, field.name), field.name
    for name in ("positions", "input_words", "window_fetches", "macs"):
        assert getattr(got, name) == getattr(want, name), name


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"),
    [(3, 1, "SAME", 1), (2, 1, "VALID", 1), (5, 2, "SAME", 1), (4, 3, "VALID", 2), (3, 2, 1, 1), (5, 1, 2, 4),
     (1, 1, 0, 1), (1, 2, "SAME", 1)],
)  # fmt: skip
def test_a_convolution_counts_as_the_deployed_one(
    kernel: int, stride: int, padding: workloads.Padding, groups: int
) -> None:
    height, width, channels, filters = 13, 10, 8, 12
    around = padding if isinstance(padding, str) else [(padding, padding)] * 2

    def network(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x, params["conv"], (stride, stride), around, dimension_numbers=LAYOUT, feature_group_count=groups
        )

    params = {"conv": array(kernel, kernel, channels // groups, filters)}
    images = array(BATCH, height, width, channels)
    layer = convolution("conv", height, width, channels, filters, kernel, stride, padding, groups)
    check_same_work(layer.work, deployed_works(network, params, images)["conv"])
    outputs = jax.eval_shape(network, params, images).shape
    assert (*layer.output_size, filters) == outputs[1:]
    assert layer.output_words == np.prod(outputs[1:])
    assert layer.weight_words == params["conv"].size


def test_padding_stands_where_jax_puts_it() -> None:
    # An odd number of zeros: the position of the larger half shows in the result.
    layer = convolution("conv", 6, 9, 1, 1, 4, 1, "SAME")
    image, kernel = jnp.arange(54.0).reshape(1, 6, 9, 1), jnp.arange(16.0).reshape(4, 4, 1, 1)
    own, from_layer = (
        jax.lax.conv_general_dilated(image, kernel, (1, 1), around, dimension_numbers=LAYOUT)
        for around in ("SAME", layer.padding)
    )
    np.testing.assert_array_equal(own, from_layer)


def test_a_dense_layer_over_frames_counts_as_the_deployed_one() -> None:
    params = {"projection": array(13, 20)}
    works = deployed_works(lambda params, x: x @ params["projection"], params, array(BATCH, 31, 13))
    check_same_work(dense("projection", 13, 20, 31).work, works["projection"])


def test_the_binary_image_network_counts_as_the_deployed_one() -> None:
    filters = 4
    workload = workloads.binary_image_network(filters)
    params = {f"conv{i}": array(2, 2, filters, filters) for i in range(1, 9)} | {"dense": array(16 * filters, 10)}

    def network(params: dict[str, jax.Array], values: jax.Array) -> jax.Array:
        for i in range(1, 9):
            values = jax.lax.conv_general_dilated(values, params[f"conv{i}"], (1, 1), "VALID", dimension_numbers=LAYOUT)
            if i in (4, 6):
                values = jax.lax.reduce_window(values, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return values.reshape(values.shape[0], -1) @ params["dense"]

    works = deployed_works(network, params, array(BATCH, 32, 32, filters))
    assert [layer.name for layer in workload.layers] == list(works)
    for layer in workload.layers:
        check_same_work(layer.work, works[layer.name])


@pytest.mark.parametrize(
    ("filters", "millions", "kilobytes"), [(64, 62.9, 17.25), (128, 251.7, 66.5), (256, 1006.6, 261)]
)
def test_published_counts_of_the_binary_image_network(filters: int, millions: float, kilobytes: float) -> None:
    workload = workloads.binary_image_network(filters)
    convolutions = [layer for layer in workload.layers if layer.name != "dense"]
    assert [layer.work.positions for layer in convolutions] == [961, 900, 841, 784, 169, 144, 25, 16]
    assert sum(layer.macs for layer in convolutions) / 1e6 == pytest.approx(millions, abs=0.05)
    assert workload.weight_words / 8 / 1024 == pytest.approx(kilobytes, rel=1e-3)


@pytest.mark.parametrize(
    ("depths", "filters", "mega_macs", "kilo_weights", "kilo_activations"),
    [
        ((1, 1, 1), (64, 64, 64), 13.58, 85.7, 86.0),
        ((2, 3, 3), (64, 128, 128), 162.2, 870, 254),
        ((3, 3, 3), (256, 256, 256), 1781, 4770, 1032),
    ],
)
def test_published_counts_of_the_quantised_image_networks(
    depths: tuple[int, int, int],
    filters: tuple[int, int, int],
    mega_macs: float,
    kilo_weights: float,
    kilo_activations: float,
) -> None:
    workload = workloads.quantised_image_network(depths, filters)
    assert len(workload.layers) == sum(depths) + 1
    assert workload.macs / 1e6 == pytest.approx(mega_macs, rel=5e-4)
    assert workload.weight_words / 1e3 == pytest.approx(kilo_weights, rel=1e-3)
    maps = sum(layer.output_words for layer in workload.layers[:-1])
    assert maps / 1e3 == pytest.approx(kilo_activations, rel=1e-3)


def test_published_counts_of_alexnet() -> None:
    convolutions = workloads.alexnet()
    assert [layer.output_size for layer in convolutions.layers] == [(55, 55), (27, 27), (13, 13), (13, 13), (13, 13)]
    assert convolutions.macs == pytest.approx(666e6, rel=1e-3)
    # 60 965 224 parameters with biases.
    biases = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000
    assert workloads.alexnet(classifier=True).weight_words + biases == 60_965_224
    # One tower sees all maps: twice the MACs in the three grouped layers.
    grouped = sum(convolutions.layers[index].macs for index in (1, 3, 4))
    assert workloads.alexnet(groups=1).macs == convolutions.macs + grouped


def test_published_counts_of_vgg16() -> None:
    assert len(workloads.vgg16().layers) == 13
    assert 15.3e9 < workloads.vgg16().macs < 15.5e9
    whole = workloads.vgg16(classifier=True)
    assert whole.macs == pytest.approx(15.5e9, rel=3e-3)
    # 138 357 544 parameters with biases.
    assert whole.weight_words + 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512 + 2 * 4096 + 1000 == 138_357_544


def test_the_keyword_spotter_against_a_plain_loop() -> None:
    inputs, units, classes, frames = 7, 5, 3, 4
    workload = workloads.lstm_keyword_spotter(inputs, units, classes, frames)
    rng = np.random.default_rng(0)
    kernel = {gate: rng.normal(size=(inputs + units, units)) for gate in ("input", "forget", "cell", "output")}
    macs, state = 0, np.zeros(units)
    for features in rng.normal(size=(frames, inputs)):
        joined = np.concatenate([features, state])
        macs += sum(joined.size * weights.shape[1] for weights in kernel.values())
        state = np.tanh(joined @ kernel["cell"])
    assert workload.macs == macs + units * classes
    assert workload.weight_words == sum(weights.size for weights in kernel.values()) + units * classes


def test_the_default_keyword_spotter_fills_its_memory_and_rate() -> None:
    workload = workloads.lstm_keyword_spotter()
    assert 28 * 1024 < workload.weight_words <= 32 * 1024
    assert workload.macs == pytest.approx(2e6, rel=0.1)


def test_shared_weights_are_stored_once() -> None:
    first, second = dense("step1", 8, 6, weights="cell"), dense("step2", 8, 6, weights="cell")
    workload = Workload("unrolled", (first, second, dense("out", 6, 2)))
    assert (workload.weight_words, workload.macs) == (48 + 12, 48 + 48 + 12)
    assert first.weights == "cell"
    assert dense("own", 8, 6).weights == "own"


def test_activation_words_are_those_of_the_largest_layer() -> None:
    workload = Workload("two", (convolution("conv", 8, 8, 2, 4, 3), dense("dense", 256, 10)))
    assert workload.activation_words == 8 * 8 * 2 + 8 * 8 * 4


def test_activity_reaches_every_layer_and_is_differentiable() -> None:
    macro = DigitalBinary()
    workload = workloads.binary_image_network(16).with_activity(high_cells=3)

    def energy(toggling: jax.Array) -> jax.Array:
        layers = workload.with_activity(toggling=toggling).layers
        return sum((macro.cost(layer.work, layer.activity).energy for layer in layers), start=jnp.zeros(()))

    half, slope = jax.jit(jax.value_and_grad(energy))(jnp.asarray(0.5))
    # Digital energy is proportional to the switching activity.
    np.testing.assert_allclose(slope, half / 0.5, rtol=1e-5)
    active = workload.with_activity(toggling=0.25)
    assert {(*layer.activity,) for layer in active.layers} == {("high_cells", "toggling")}
    np.testing.assert_allclose(energy(jnp.asarray(0.25)), half / 2, rtol=1e-5)


def test_activity_keeps_its_type() -> None:
    layer = dense("dense", 4, 2)
    half = dataclasses.replace(layer, activity={"nonzero": jnp.asarray(0.5, jnp.bfloat16), "toggling": 1})
    assert [value.dtype for value in half.activity.values()] == [jnp.bfloat16, jnp.asarray(1.0).dtype]


def test_a_workload_needs_no_data_to_have_a_cost() -> None:
    for macro in (DigitalBinary(), MultiPrecision()):
        for layer in workloads.quantised_image_network().layers:
            assert float(macro.cost(layer.work, layer.activity).energy) > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dense("d", 0, 4), "`rows` must be an integer of at least 1, but is 0"),
        (lambda: dense("d", 4, 4, positions=0), "`positions` must be"),
        (lambda: convolution("c", 8, 8, 6, 4, 3, groups=4), "`groups` must divide 6 `channels` and 4 `filters`"),
        (lambda: convolution("c", 2, 8, 1, 1, 3, padding="VALID"), "`kernel` must be at most 2"),
        (lambda: convolution("c", 8, 8, 1, 1, 3, padding="SMAE"), "`padding` must be one of SAME, VALID"),
        (lambda: convolution("c", 8, 8, 1, 1, 3, padding=-1), "`padding` must be an integer of at least 0"),
        (lambda: convolution("c", 8, 8, 1, 1, 3, stride=0), "`stride` must be"),
        (lambda: Workload("w", ()), "`layers` must have at least one layer"),
        (lambda: Workload("w", (dense("d", 4, 4), dense("d", 4, 4))), "two are 'd'"),
        (lambda: Workload("w", (dense("a", 4, 4), dense("b", 4, 5, weights="a"))), "'a' has the shapes"),
        (lambda: workloads.vgg16().with_activity(nonzero=-0.1), "`nonzero` must be finite and at least 0"),
        (lambda: workloads.vgg16().with_activity(nonzero=[0.1, 0.2]), "`nonzero` must be a single number"),
        (lambda: workloads.quantised_image_network((1, 0, 1)), "`layers` must be an integer of at least 1, but is 0"),
        (lambda: workloads.binary_image_network(0), "`filters` must be"),
        (lambda: workloads.lstm_keyword_spotter(units=-1), "`units` must be"),
    ],
)  # fmt: skip
def test_bad_input_is_named(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_layer_is_a_pytree_whose_leaves_are_its_activity() -> None:
    layer = dataclasses.replace(dense("dense", 4, 2), activity={"nonzero": 0.5})
    assert [float(leaf) for leaf in jax.tree.leaves(layer)] == [0.5]
    assert isinstance(jax.tree.map(lambda leaf: leaf * 2, layer), Layer)
