"""The generic platform against its equations in plain Python, and against the published headline."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import workloads
from amsim.chips.asilomar import asilomar2017
from amsim.circuits import Dram
from amsim.system.cost import system_cost

SMALL = ((1, 1, 1), (64, 64, 64))
MIDDLE = ((2, 3, 3), (64, 128, 128))
LARGE = ((3, 3, 3), (256, 256, 256))
WORD_LENGTHS = (1, 2, 4, 8, 16)
DRAM_BIT = 20.3e-12


# Ratios throughout: pytest.approx has an absolute tolerance of 1e-12, which is a picojoule.


class Counted(NamedTuple):
    """A layer: multiply-accumulates, weights, inputs and outputs, words."""

    macs: int
    weights: int
    inputs: int
    outputs: int


def counted(depths: tuple[int, ...], widths: tuple[int, ...]) -> list[Counted]:
    """Layers of facts 4.1 by hand."""
    found, side, channels = [], 32, 3
    for depth, width in zip(depths, widths, strict=True):
        for _ in range(depth):
            weights = 9 * channels * width
            found.append(Counted(side**2 * weights, weights, side**2 * channels, side**2 * width))
            channels = width
        side //= 2
    weights = side**2 * channels * 10
    return [*found, Counted(weights, weights, side**2 * channels, 10)]


def by_the_equations(bits: int, layers: list[Counted], memory: float, mac: float = 3.7e-12) -> dict[str, float]:
    """Facts 4.2, J; half of the memory each for weights and activations."""
    e_mac = mac * (bits / 16) ** 1.25
    e_l, e_m, e_d, p, half = e_mac, 2 * e_mac, DRAM_BIT * bits, 64 * 16 / bits, memory / 2 / bits
    n_c, n_s, a_s = (sum(getattr(one, name) for one in layers) for name in ("macs", "weights", "outputs"))
    w_r = max(n_s - half, 0)
    f_r = sum(min(max(one.inputs + one.outputs - half, 0), one.outputs) for one in layers)
    return {
        "mac": e_mac * (n_c + 3 * a_s),
        "registers": 2 * e_l * n_c / math.sqrt(p),
        # Beyond the equations: what comes from DRAM is written on chip once.
        "weight_memory": e_m * (n_s + w_r),
        "activation_memory": 2 * e_m * a_s,
        "global_memory": 0.0,
        "dram": e_d * (2 * f_r + w_r),
        "control": e_d * 32**2 * 3 * 8 / bits,
        "leakage": 0.0,
    }


@functools.cache
def energies(bits: int, network: tuple, memory: float = 2.0**24) -> dict[str, float]:
    cost = asilomar2017(bits, memory=memory).cost(workloads.quantised_image_network(*network))
    return {str(name): float(value) for name, value in cost["energy"].sum("site").to_series().items()}


def total(bits: int, network: tuple) -> float:
    return sum(energies(bits, network).values())


def test_counts_by_hand_are_those_of_the_source() -> None:
    # Facts 4.1: multiply-accumulates, weights and activations of three logged networks.
    for network, published in (
        (SMALL, (13.58e6, 85.7e3, 86.0e3)),
        (MIDDLE, (162.2e6, 870e3, 254e3)),
        (LARGE, (1781e6, 4.77e6, 1.032e6)),
    ):
        layers = counted(*network)
        sums = [sum(getattr(one, name) for one in layers) for name in ("macs", "weights", "outputs")]
        assert sums == pytest.approx(published, rel=1e-3)


@pytest.mark.parametrize("bits", WORD_LENGTHS)
@pytest.mark.parametrize("memory", [2.0**24, 2.0**20])
def test_every_word_length_follows_the_equations(bits: int, memory: float) -> None:
    found, expected = energies(bits, MIDDLE, memory=memory), by_the_equations(bits, counted(*MIDDLE), memory)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-18), name
    assert sum(found.values()) == pytest.approx(sum(expected.values()), rel=1e-5)
    assert (found["dram"] > 0) == (bits * 870e3 > memory / 2 or memory == 2.0**20)


def test_feature_maps_that_do_not_fit_go_out_and_back() -> None:
    # 64 kbit for maps: those of block A do not fit at 4 bit.
    found, expected = energies(4, SMALL, memory=2.0**17), by_the_equations(4, counted(*SMALL), 2.0**17)
    weights = 85_720 - 2**16 / 4
    assert expected["dram"] > 1.5 * DRAM_BIT * 4 * weights
    assert found["dram"] == pytest.approx(expected["dram"], rel=1e-5)


def test_headline_against_eight_bit_at_equal_accuracy_is_predicted() -> None:
    # Best and last logged CIFAR-10 accuracies (facts 4.1). No 8-bit run was logged: its accuracy is taken as that of
    # the same network at 4 bit, interpolated in the logarithm of the energy.
    four_bit = {"best": (79.2, 88.3, 90.0), "last": (76.4, 83.5, 89.4)}
    binary = {"best": 89.2, "last": 87.7}
    eight = [total(8, network) for network in (SMALL, MIDDLE, LARGE)]
    four = [total(4, network) for network in (SMALL, MIDDLE, LARGE)]
    gains = [wide / narrow for wide, narrow in zip(eight, four, strict=True)]
    for log, accuracy in binary.items():
        same = math.exp(np.interp(accuracy, four_bit[log], np.log(eight)))
        gains.append(same / total(1, LARGE))
    assert 2 < min(gains) < 3
    assert 5 < max(gains) < 10
    # The order at high accuracy: binary of 11 times the multiply-accumulates is not far above 4 bit, 8 bit is.
    assert four[1] < total(1, LARGE) < eight[1]


def test_skipped_products_save_multiply_accumulates_only() -> None:
    workload = workloads.quantised_image_network(*SMALL)
    chip = asilomar2017(4)
    dense, sparse = (chip.cost(one)["energy"].sum("site") for one in (workload, workload.with_activity(nonzero=0.25)))
    layers = counted(*SMALL)
    saved = 0.75 * sum(one.macs for one in layers) * 3.7e-12 * 0.25**1.25
    assert float(dense.sum() - sparse.sum()) == pytest.approx(saved, rel=1e-4)
    assert float((dense - sparse).sel(component="mac")) == pytest.approx(saved, rel=1e-4)


def test_energy_is_differentiable_in_its_parameters() -> None:
    layers = workloads.quantised_image_network(*SMALL).layers

    def joules(mac: jax.Array, access: jax.Array, memory: jax.Array) -> jax.Array:
        chip = asilomar2017(4, mac_energy=mac, dram=Dram(access_energy=access), memory=memory)
        return 1e6 * jnp.sum(system_cost(chip, layers).energy)

    point = (jnp.asarray(3.7e-12), jnp.asarray(DRAM_BIT), jnp.asarray(1.9 * 2.0**17))
    value, slopes = jax.jit(jax.value_and_grad(joules, argnums=(0, 1, 2)))(*point)
    # Linear in both energies; each bit more of weight memory saves its transfer and its write.
    assert float(slopes[0] * point[0] + slopes[1] * point[1]) == pytest.approx(float(value), rel=1e-5)
    spilled = sum(one.inputs + one.outputs > 1.9 * 2**14 for one in counted(*SMALL))
    assert spilled == 2
    write = 2 * 3.7e-12 * 0.25**1.25 / 4
    assert float(slopes[2]) == pytest.approx(-0.5e6 * (DRAM_BIT + write + 2 * spilled * DRAM_BIT), rel=1e-4)


def test_units_fill_a_fixed_datapath() -> None:
    for bits in WORD_LENGTHS:
        macro = asilomar2017(bits).macros[-1]
        assert macro.rows * macro.columns == 64 * 16 // bits
        assert float(macro.area / asilomar2017(16).macros[-1].area) == pytest.approx(1, rel=1e-5)


def test_other_word_lengths_are_errors() -> None:
    with pytest.raises(ValueError, match="`bits` must be one of"):
        asilomar2017(3)
    with pytest.raises(ValueError, match="`mac_energy`"):
        asilomar2017(4, mac_energy=-1.0)
