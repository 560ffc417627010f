"""Two ways to write one convolution read the same inputs: strides and dilations against the elements they leave."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from amsim.circuits import DigitalBinary, Exact, MultiPrecision, SwitchedCapacitor, Work
from amsim.deployment.mapping.mapper import map_program
from amsim.deployment.tracing.flattening import flatten
from amsim.system.accelerator import Accelerator
from amsim.workloads import Layer, convolution, dense

FAMILIES = (
    DigitalBinary(rows=128, columns=16, weight_bits=2, input_bits=3),
    SwitchedCapacitor(rows=128, columns=16, weight_bits=2, input_bits=3),
    MultiPrecision(rows=4, columns=4),
)


def work_of(
    sizes: tuple[int, ...], kernel: tuple[int, ...], channels: int = 3, filters: int = 5, **options: Any
) -> Work:
    """What a deployed convolution over maps of these sizes asks for, channels last."""
    letters = "HWD"[: len(sizes)]
    layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    options = {"window_strides": (1,) * len(sizes), "padding": "VALID"} | options

    def network(weight: jax.Array, x: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, weight, dimension_numbers=layout, **options)

    # Counts need no values, and without them nothing is compiled.
    weight = jax.ShapeDtypeStruct((*kernel, channels, filters), jnp.float32)
    images = jax.ShapeDtypeStruct((2, *sizes, channels), jnp.float32)
    program = flatten(jax.make_jaxpr(network)(weight, images), 1)
    return map_program(program, Accelerator.of(Exact()), ["conv"]).sites[0].site.work(2)


def check_alike(one: Work, other: Work) -> None:
    """All that a cost is made from, on each family."""
    names = ("positions", "input_words", "window_fetches", "macs")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    for macro in FAMILIES:
        costs = [macro.cost(work, {}) for work in (one, other)]
        for field in dataclasses.fields(costs[0]):
            assert float(getattr(costs[0], field.name)) == float(getattr(costs[1], field.name)), field.name


@pytest.mark.parametrize("stride", [2, 3])
def test_a_strided_1x1_reads_the_subsampled_map(stride: int) -> None:
    left = -(-13 // stride), -(-10 // stride)
    whole = work_of((13, 10), (1, 1), window_strides=(stride, stride))
    check_alike(whole, work_of(left, (1, 1)))
    assert convolution("c", 13, 10, 3, 5, 1, stride, 0).work == whole


@pytest.mark.parametrize(
    ("size", "stride", "left"),
    [(16, 3, 10), (11, 3, 8), (17, 5, 8), (9, 2, 8), (7, 2, 6)],
    ids=["less than the stride", "rest", "much less", "last row", "odd"],
)
def test_rows_that_no_window_covers_are_not_read(size: int, stride: int, left: int) -> None:
    # Windows of two rows do not overlap, and what lies between them may as well not be there.
    whole = work_of((size, size), (2, 2), window_strides=(stride, stride))
    check_alike(whole, work_of((left, left), (2, 2), window_strides=(2, 2)))


@pytest.mark.parametrize("kernel", [2, 3])
def test_a_dilated_convolution_with_its_stride_is_one_of_the_subsampled_map(kernel: int) -> None:
    whole = work_of((15, 13), (kernel, kernel), window_strides=(2, 2), rhs_dilation=(2, 2))
    check_alike(whole, work_of((8, 7), (kernel, kernel)))
    # A stride of twice the dilation.
    whole = work_of((15, 13), (kernel, kernel), window_strides=(4, 4), rhs_dilation=(2, 2))
    check_alike(whole, work_of((8, 7), (kernel, kernel), window_strides=(2, 2)))


def test_padding_is_not_read_and_cropping_is_not_either() -> None:
    causal = work_of((20,), (3,), padding=[(2, 0)])
    assert causal.input_words == work_of((20,), (3,), padding="SAME").input_words == 20 * 3
    check_alike(work_of((20, 9), (3, 3), padding=[(-4, 0), (0, -2)]), work_of((16, 7), (3, 3)))


def test_axes_of_one_place_change_nothing() -> None:
    frames = work_of((20,), (5,), window_strides=(2,))
    for sizes, kernel in (((20, 1), (5, 1)), ((1, 20), (1, 5))):
        strides = tuple(2 if size > 1 else 1 for size in sizes)
        check_alike(work_of(sizes, kernel, window_strides=strides), frames)
    check_alike(work_of((9, 1, 7), (3, 1, 2)), work_of((9, 7), (3, 2)))
    # A window of all bands slides along the frames: bands are as good as channels.
    bands = work_of((20, 4), (5, 4), channels=3)
    check_alike(
        dataclasses.replace(bands, product=frames.product),
        dataclasses.replace(work_of((20,), (5,), channels=12), product=frames.product),
    )


def test_a_window_as_large_as_the_map_is_a_dense_layer() -> None:
    work, layer = work_of((6, 5), (6, 5), filters=7), dense("dense", 6 * 5 * 3, 7)
    check_alike(dataclasses.replace(work, product=layer.work.product), layer.work)
    assert work.macs == layer.macs


@pytest.mark.parametrize("spacing", [2, 3])
def test_zeros_between_the_elements_of_a_map_are_not_read(spacing: int) -> None:
    work = work_of(
        (6, 5), (spacing, spacing), lhs_dilation=(spacing, spacing), padding=[(spacing - 1, spacing - 1)] * 2
    )
    assert work.input_words == 6 * 5 * 3
    # Each row of the map is in as many rows of outputs as windows have.
    assert work.window_fetches == spacing


def test_output_sizes_of_dilated_layers_are_those_of_jax() -> None:
    work = work_of((15, 13), (3, 2), rhs_dilation=(2, 3))
    layer = Layer("dilated", work, input_size=(15, 13), padding=((0, 0), (0, 0)))
    assert layer.output_size == (11, 10)
    assert layer.output_words == 11 * 10 * 5
