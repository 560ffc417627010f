"""The program of a deployed network does not grow with bits, tiles, converter resolution, dies or reads."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.extend import core

import amsim
from amsim import circuits
from amsim.evaluation.accuracy import correct_reads

IMAGES = jnp.ones((2, 6, 6, 12))
PARAMS = {"conv": jnp.ones((3, 3, 12, 4))}
READ = jax.random.key(1)


def network(params: Any, images: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        images, params["conv"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def bodies(parameter: Any) -> Iterator[core.Jaxpr]:
    if isinstance(parameter, tuple | list):
        for item in parameter:
            yield from bodies(item)
    elif isinstance(parameter, core.ClosedJaxpr):
        yield parameter.jaxpr
    elif isinstance(parameter, core.Jaxpr):
        yield parameter


def equations(jaxpr: core.Jaxpr) -> int:
    """Equations of a program, those of its inner programs included."""
    inner = [body for one in jaxpr.eqns for value in one.params.values() for body in bodies(value)]
    return len(jaxpr.eqns) + sum(map(equations, inner))


def size(function: Callable[..., Any], *arguments: Any) -> int:
    return equations(jax.make_jaxpr(function)(*arguments).jaxpr)


def chip_size(macro: circuits.Macro) -> int:
    die = None if macro.deterministic else jax.random.key(0)
    chip = amsim.deploy(network, PARAMS, macro, key=die)
    return size(lambda images: chip(images, key=None if die is None else READ), IMAGES)


ANALOG = circuits.SwitchedCapacitor(rows=27, columns=8, weight_bits=3, input_bits=3)
COUNTS = jnp.arange(-64.0, 65.0)[None]
TABLE = circuits.Measured(
    counts=tuple(range(-64, 65)), mean=COUNTS, sigma=jnp.full_like(COUNTS, 0.1), evaluation_energy=0.0,
    evaluation_time=1e-7, array_area=0.0, supply=0.6, rows=27, columns=1, weight_bits=3, input_bits=3,
)  # fmt: skip
FAMILIES: dict[str, circuits.Macro] = {
    "digital binary": circuits.DigitalBinary(rows=27, columns=8, weight_bits=3, input_bits=3),
    "multi-precision": circuits.MultiPrecision(rows=27, columns=8, weight_bits=3, input_bits=3),
    "ideal ADC": ANALOG,
    "SAR": dataclasses.replace(ANALOG, adc=circuits.SarAdc(bits=4)),
    "flash": dataclasses.replace(ANALOG, adc=circuits.FlashAdc(levels=8)),
    "single-slope": dataclasses.replace(ANALOG, adc=circuits.SingleSlopeAdc(bits=4)),
    "measured": TABLE,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_bits_and_tiles_add_no_equation(name: str) -> None:
    """From 4 tiles of 3-bit operands on."""
    macro = FAMILIES[name]
    expected = chip_size(macro)
    for bits, rows in ((8, 18), (16, 9)):
        assert chip_size(dataclasses.replace(macro, weight_bits=bits, input_bits=bits, rows=rows)) == expected
    # One slice needs no loop; the code of a sign takes a few operations more than that of a number.
    assert chip_size(dataclasses.replace(macro, weight_bits=1, input_bits=1)) <= expected + 3


CONVERTERS: dict[str, list[circuits.Converter]] = {
    "ideal": [circuits.Adc(bits=bits) for bits in (3, 7, 12)],
    "SAR": [circuits.SarAdc(bits=bits) for bits in (3, 7, 12)],
    "flash": [circuits.FlashAdc(levels=levels) for levels in (8, 64)],
    "single-slope": [circuits.SingleSlopeAdc(bits=bits) for bits in (3, 7, 12)],
}


@pytest.mark.parametrize("name", CONVERTERS)
def test_converter_bits_add_no_equation(name: str) -> None:
    assert len({chip_size(dataclasses.replace(ANALOG, adc=adc)) for adc in CONVERTERS[name]}) == 1


def test_dies_and_reads_add_no_equation() -> None:
    def population(keys: jax.Array) -> jax.Array:
        return jax.vmap(lambda key: amsim.deploy(network, PARAMS, ANALOG, key=key)(IMAGES, key=READ))(keys)

    assert size(population, jax.random.split(READ, 2)) == size(population, jax.random.split(READ, 50))

    def pooled(params: Any, images: jax.Array) -> jax.Array:
        return jnp.mean(network(params, images), (1, 2))

    def reads(keys: jax.Array, batches: int) -> int:
        inputs, labels = jnp.stack([IMAGES] * batches), jnp.zeros((batches, 2), int)
        accelerator = amsim.Accelerator(ANALOG)
        return size(lambda keys: correct_reads(pooled, PARAMS, accelerator, None, READ, keys, inputs, labels), keys)

    assert reads(jax.random.split(READ, 2), 2) == reads(jax.random.split(READ, 30), 7)


def test_the_count_sees_inside_calls_and_loops() -> None:
    def unrolled(x: jax.Array) -> jax.Array:
        return jax.jit(lambda x: x * 2.0 * 2.0 * 2.0)(x)

    def looped(x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda x, _: (x * 2.0, None), x, None, 3)[0]

    assert (size(unrolled, 1.0), size(looped, 1.0)) == (4, 2)


def test_padding_stays_in_the_convolution():
    def padded(params: Any, images: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(images, params["conv"], (1, 1), "SAME", dimension_numbers=numbers)

    def convolutions(jaxpr: core.Jaxpr) -> Iterator[Any]:
        for one in jaxpr.eqns:
            if one.primitive.name == "conv_general_dilated":
                yield one.params["padding"]
            for value in one.params.values():
                for body in bodies(value):
                    yield from convolutions(body)

    # An array that is padded before takes XLA on a CPU several times as long.
    chip = amsim.deploy(padded, PARAMS, FAMILIES["digital binary"])
    assert list(convolutions(jax.make_jaxpr(chip)(IMAGES).jaxpr)) == [((1, 1), (1, 1))]
