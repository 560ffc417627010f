"""Families of networks: counts against plain loops, deployment at every word length, files, wrong settings."""

import itertools
import json

import jax
import numpy as np
import pytest

from amsim import Accelerator, chips, deploy, workloads
from amsim.circuits import DigitalBinary, Exact, MultiPrecision, SwitchedCapacitor
from amsim.deployment import network_workload
from amsim.networks import NETWORKS, ImageConfiguration, ImageNetwork, SequenceNetwork, load_network, save_network
from amsim.networks.image_configuration import IMAGE_TOPOLOGIES
from amsim.networks.registry import REFERENCES
from amsim.networks.sequence_network import SEQUENCE_TOPOLOGIES

WORDS = (1, 2, 3, 4, 8, 16, 32)
SIDE, COLOURS, WIDTH, CLASSES = 9, 3, 4, 5
FRAMES, FEATURES, UNITS = 8, 6, 5


ARRAY = SwitchedCapacitor(rows=64, columns=16, weight_coding="auto", input_coding="auto").ideal()


def member(topology, **settings):
    """A small member of either family."""
    if topology in SEQUENCE_TOPOLOGIES:
        given = {"width": UNITS, "depth": 2, "classes": CLASSES, "input_shape": (FRAMES, FEATURES)}
        return SequenceNetwork(topology, **given | settings)
    given = {"width": WIDTH, "depth": (2, 1), "classes": CLASSES, "input_shape": (SIDE, SIDE, COLOURS)}
    if topology == "reference":
        given |= {"width": 2, "depth": 1, "input_shape": (28, 28)}
    return ImageConfiguration(topology, **given | settings).network


def trained_shapes(network):
    return jax.eval_shape(network.initial_params, jax.random.key(0))


def items(network, count):
    return np.random.default_rng(0).uniform(size=(count, *network.input_shape)).astype(np.float32)


def workload_of(network):
    return network_workload(
        network, trained_shapes(network), jax.ShapeDtypeStruct((2, *network.input_shape), "float32")
    )


def products(macs_and_weights):
    macs, weights = zip(*macs_and_weights, strict=True)
    return sum(macs), sum(weights)


def convolved(side, kernel, channels, filters, same=True, stride=1, depthwise=False):
    """Side of the outputs, MACs and weights of one convolution, one output at a time."""
    outputs = -(-side // stride) if same else (side - kernel) // stride + 1
    weights = kernel**2 * (filters if depthwise else channels * filters)
    return outputs, outputs**2 * weights, weights


def plain_count(topology, stride=1):
    """MACs and weights of the small member, written out layer by layer."""
    first, second, third = COLOURS, WIDTH, WIDTH
    if topology in ("plain", "residual"):
        a = convolved(SIDE, 3, first, WIDTH)
        b = convolved(a[0], 3, WIDTH, WIDTH, stride=stride)
        side = b[0] if stride == 2 else b[0] // 2
        c = convolved(side, 3, WIDTH, WIDTH, stride=stride)
        side = c[0] if stride == 2 else c[0] // 2
        return products([a[1:], b[1:], c[1:], (side**2 * WIDTH * CLASSES,) * 2])
    if topology == "depthwise-separable":
        a = convolved(SIDE, 3, first, WIDTH)
        found, side = [a[1:]], a[0]
        for _ in (second, third):
            deep = convolved(side, 3, WIDTH, WIDTH, stride=stride, depthwise=True)
            point = convolved(deep[0], 1, WIDTH, WIDTH)
            side = point[0] if stride == 2 else point[0] // 2
            found += [deep[1:], point[1:]]
        return products([*found, (side**2 * WIDTH * CLASSES,) * 2])
    if topology == "binary-2x2":
        a = convolved(SIDE, 2, first, WIDTH, same=False)
        b = convolved(a[0], 2, WIDTH, WIDTH, same=False, stride=stride)
        c = convolved(b[0] if stride == 2 else b[0] // 2, 2, WIDTH, WIDTH, same=False)
        return products([a[1:], b[1:], c[1:], (c[0] ** 2 * WIDTH * CLASSES,) * 2])
    if topology == "reference":
        sides, found, channels = [(28, 3, 2), (13, 2, 1), (6, 3, 1), (4, 2, 1), (3, 2, 1)], [], 1
        for (side, kernel, step), filters in zip(sides, (2, 2, 4, 4, 8), strict=True):
            found.append(convolved(side, kernel, channels, filters, same=False, stride=step)[1:])
            channels = filters
        return products([*found, (4 * 8 * CLASSES,) * 2])
    if topology == "dense":
        sizes = [FRAMES * FEATURES, UNITS, UNITS, CLASSES]
        return products([(rows * columns,) * 2 for rows, columns in itertools.pairwise(sizes)])
    if topology == "temporal-convolution":
        a, b = 3 * FEATURES * UNITS, 3 * UNITS * UNITS
        return products([(FRAMES * a, a), (FRAMES // 2 * b, b), (FRAMES // 4 * UNITS * CLASSES,) * 2])
    gates = {"gru": 3, "lstm": 4}[topology] * UNITS
    weights = [FEATURES * gates, UNITS * gates, UNITS * gates, UNITS * gates]
    return products([*((FRAMES * words, words) for words in weights), (UNITS * CLASSES,) * 2])


@pytest.mark.parametrize("topology", [*IMAGE_TOPOLOGIES, *SEQUENCE_TOPOLOGIES])
def test_counts_are_those_of_a_plain_loop(topology):
    network = member(topology)
    workload = workload_of(network)
    assert [layer.name for layer in workload.layers] == list(network.layer_names)
    assert (workload.macs, workload.weight_words) == plain_count(topology)
    for bits in WORDS:
        assert member(topology, bits=bits).kernel_shapes == network.kernel_shapes
    params = trained_shapes(network)
    assert {name: layer["kernel"].shape for name, layer in params.items()} == network.kernel_shapes
    assert jax.eval_shape(network, params, items(network, 3)).shape == (3, CLASSES)


@pytest.mark.parametrize("topology", ["plain", "residual", "depthwise-separable", "binary-2x2"])
def test_counts_with_strides_in_place_of_pooling(topology):
    workload = workload_of(member(topology, pooling="stride"))
    assert (workload.macs, workload.weight_words) == plain_count(topology, stride=2)


def test_members_that_are_published_networks():
    asilomar = ImageConfiguration("plain", (64, 128, 128), (2, 3, 3), input_shape=(32, 32, 3)).network
    published = workloads.quantised_image_network((2, 3, 3), (64, 128, 128))
    chip = ImageConfiguration("binary-2x2", 6, (4, 2, 2), bits=1, input_maps=2, input_shape=(32, 32, 3)).network
    for network, layers in ((asilomar, published.layers), (chip, workloads.binary_image_network(6).layers)):
        own = workload_of(network).layers
        assert [layer.macs for layer in own] == [layer.macs for layer in layers]
        assert [layer.work.input_words for layer in own] == [layer.work.input_words for layer in layers]


def test_reference_networks_are_members():
    assert {name: configuration.network for name, configuration in REFERENCES.items()} == NETWORKS
    assert NETWORKS["binary-fashion"] == ImageNetwork(bits=1, input_maps=16)
    assert NETWORKS["8-bit-fashion"] == ImageNetwork(bits=8, input_maps=1)


def test_shapes_cost_what_the_deployed_network_costs():
    network = member("gru")
    accelerator = chips.envision2017(4)
    chip = deploy(network, network.initial_params(jax.random.key(0)), accelerator)
    found, deployed = workload_of(network), chip.workload(items(network, 2))
    bare = [layer.work for layer in deployed.layers]
    for layer, work in zip(found.layers, bare, strict=True):
        for field in ("macs", "positions", "input_words", "window_fetches"):
            assert getattr(layer.work, field) == getattr(work, field)
    for part in ("repeats", "weight_parts", "weights"):
        assert [getattr(one, part) for one in found.layers] == [getattr(one, part) for one in deployed.layers]
    assert float(accelerator.cost(found)["energy"].sum()) > 0


MIXED = {"bits": 2, "activation_bits": 3, "first_bits": 8, "last_bits": 4}
EACH_ONCE = [
    ("plain", {"bits": 1}),
    ("plain", {"bits": 16}),
    ("residual", {"bits": 4, "activation_bits": 1, "input_bits": 8, "pooling": "average"}),
    ("depthwise-separable", {"bits": 3}),
    ("binary-2x2", {"bits": 1, "activation_bits": 8, "input_maps": 2}),
    ("dense", {"bits": 4}),
    ("temporal-convolution", MIXED),
    ("gru", {"bits": 2, "last_bits": 8}),
    ("lstm", {"bits": 1}),
]
GRID = [(one, {"bits": bits}) for one in (*IMAGE_TOPOLOGIES, *SEQUENCE_TOPOLOGIES) for bits in WORDS[:-1]]
# 54 compilations; each topology and each word length stands among those that always run.
SLOW_GRID = [pytest.param(*case, marks=pytest.mark.slow) for case in GRID if case not in EACH_ONCE]


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("topology", "settings"), [*EACH_ONCE, *SLOW_GRID], ids=str)
def test_deployed_codes_are_exact(topology, settings):
    network = member(topology, **settings)
    params, given = network.initial_params(jax.random.key(1)), items(network, 2)
    # Without shifts sums of integers are 0 at times, where round-off would decide.
    keys = jax.random.split(jax.random.key(2), len(params))
    for key, layer in zip(keys, params.values(), strict=True):
        if "shift" in layer:
            layer["shift"] = layer["shift"] + jax.random.uniform(key, layer["shift"].shape, maxval=0.1)
    chip = deploy(network, params, chips.with_word_lengths(chips.envision2017(), network.word_lengths))
    # An operand without a word of its own would be off by a step, 1/255 or more; at 16 bits by 2e-5 of many terms.
    np.testing.assert_allclose(chip(given), network(params, given), atol=2e-3 if settings["bits"] == 16 else 1e-5)
    assert {row.name: (row.weight_bits, row.input_bits) for row in chip.sites()} == network.word_lengths


@pytest.mark.parametrize("macro", [ARRAY, DigitalBinary()], ids=lambda macro: type(macro).__name__)
def test_arrays_without_errors_compute_mixed_word_lengths_exactly(macro):
    network = member("gru", **MIXED, depth=1)
    params, given = network.initial_params(jax.random.key(1)), items(network, 2)
    chip = deploy(network, params, chips.with_word_lengths(Accelerator.of(macro), network.word_lengths))
    np.testing.assert_allclose(chip(given), network(params, given), atol=1e-5)


def test_float_members_are_deployed_as_they_are():
    network = member("residual", bits=32)
    params, given = network.initial_params(jax.random.key(1)), items(network, 3)
    np.testing.assert_allclose(deploy(network, params, Exact())(given), network(params, given), atol=1e-5)
    with pytest.raises(ValueError, match=r"`word_lengths\['conv1'\]` must be an integer from 1 to 16, but is 32"):
        chips.with_word_lengths(chips.envision2017(), network.word_lengths)
    only_first = chips.with_word_lengths(chips.envision2017(), {"conv1": (4, 4)})
    with pytest.raises(ValueError, match="must have sites that the rules conv1 take, but has 'conv2'"):
        chips.with_word_lengths(only_first, member("plain").word_lengths)


@pytest.mark.parametrize(
    ("topology", "settings"),
    [
        ("residual", {"bits": 3, "activation_bits": 16, "last_bits": 12}),
        ("depthwise-separable", {"bits": 32, "pooling": "average"}),
        ("gru", {"bits": 1, "last_bits": 8}),
        ("temporal-convolution", {"bits": 32, "activation_bits": 2}),
    ],
)
def test_files_round_trip_bit_for_bit(tmp_path, topology, settings):
    network = member(topology, **settings)
    params, given = network.initial_params(jax.random.key(2)), items(network, 2)
    save_network(tmp_path / "net.npz", network, params)
    again, loaded = load_network(tmp_path / "net.npz")
    assert again == network
    np.testing.assert_array_equal(network(params, given), again(loaded, given))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ImageConfiguration("residul"), r"`topology` must be one of .*Did you mean 'residual'"),
        (lambda: ImageConfiguration(pooling="mean"), "`pooling` must be one of average, max, stride"),
        (lambda: ImageConfiguration(bits=17), "`bits` must be an integer from 1 to 16, or 32 for float32, but is 17"),
        (lambda: ImageConfiguration(last_bits=0), "`last_bits` must be an integer from 1 to 16"),
        (lambda: ImageConfiguration(width=0), "`width` must be an integer of at least 1, but is 0"),
        (
            lambda: ImageConfiguration(width=(8, 8), depth=(1, 1, 1)),
            r"`width` must be one number or one for each block",
        ),
        (lambda: ImageConfiguration(depth=()), "`width` must be one number or one for each block"),
        (lambda: ImageConfiguration("reference", 64, 2), "`topology` must be another one than 'reference'"),
        (lambda: ImageConfiguration("binary-2x2", 8, (20, 10)), "`layers` must leave maps of at least 1 x 1"),
        (lambda: ImageConfiguration(input_shape=(28,)), "`input_shape` must be a height and a width"),
        (lambda: ImageConfiguration(depth=10**9), "`depth` must be an integer from 1 to 1000"),
        (lambda: ImageConfiguration(width=10**8), "`layers` must make a network of at most 67108864 weights"),
        (lambda: SequenceNetwork("gru", depth=10**9), "`depth` must be an integer from 1 to 1000"),
        (lambda: SequenceNetwork(width=10**8), "`width` must make a network of at most 67108864 weights"),
        (lambda: SequenceNetwork(input_maps=10**6), "`input_maps` must be an integer from 1 to 1024"),
        (lambda: SequenceNetwork("rnn"), "`topology` must be one of dense, gru, lstm, temporal-convolution"),
        (lambda: SequenceNetwork(depth=6), "`depth` must be at most 5"),
        (lambda: SequenceNetwork(input_range=0.0), "`input_range` must be a number from"),
        (lambda: SequenceNetwork(activation_bits=True), "`activation_bits` must be an integer from 1 to 16"),
        (
            lambda: SequenceNetwork("gru")({}, np.zeros((1, 4, 4))),
            r"shape \(batch, 32, 13\), but has shape \(1, 4, 4\)",
        ),
    ],
)
def test_wrong_configurations_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_groups_and_shortcuts_that_do_not_fit():
    one = ImageConfiguration("residual", 4, (2,), input_shape=(8, 8)).network.layers
    with pytest.raises(ValueError, match="layer 2 makes 8 x 8 x 6 of 8 x 8 x 4"):
        ImageNetwork(4, 1, (one[0], one[1]._replace(filters=6)), input_shape=(8, 8))
    with pytest.raises(ValueError, match="groups that divide 1 input and 4 output maps, but layer 1 has 2"):
        ImageNetwork(4, 1, (one[0]._replace(groups=2),), input_shape=(8, 8))


def test_a_hostile_header_is_refused(tmp_path):
    path = tmp_path / "net.npz"
    network = member("gru", bits=2)
    save_network(path, network, network.initial_params(jax.random.key(0)))
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    for change in ({"depth": 10**6}, {"width": 10**9}, {"topology": "x"}, {"more": 1}, {"input_shape": [1] * 9}):
        settings = header["settings"] | change
        np.savez(path, **arrays | {"header": np.asarray(json.dumps(header | {"settings": settings}))})
        with pytest.raises(ValueError, match=r"net\.npz cannot be used"):
            load_network(path)


def test_mac_energy_of_a_mode_is_what_a_pair_of_words_has():
    accelerator = chips.with_word_lengths(chips.envision2017(), {"conv1": (8, 8), "dense": (2, 4)})
    assert [type(macro) for macro in accelerator.macros] == [MultiPrecision, MultiPrecision]
    assert [accelerator.macro_for(name) for name in ("conv1", "dense")] == [0, 1]
