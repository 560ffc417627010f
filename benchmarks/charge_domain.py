"""Cost of the charge-domain effects: one array of 1024 rows at batch 256 against the plain product.

Prints ratios of medians; both sides of a ratio are measured in this run, in turn, after compilation.

    python benchmarks/charge_domain.py [--rounds 200] [--batch 256] [--columns 64]
"""

import argparse
import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from speed import ratio, report

from amsim import circuits
from amsim.circuits import DenseProduct, Neuron, Operands, ValueRange

AIM = 2.0
BATCHES = 8
SIGNS = ValueRange(-1.0, 1.0)
STATIC = {
    "drivers": circuits.Drivers(),
    "reset": circuits.ResetSwitch(),
    "leakage": circuits.Leakage(),
    "layout": circuits.Layout(linear_gradient=0.01, correlated_sigma=0.01),
    "faults": circuits.Faults(stuck_high=1e-3),
}
EVERYTHING = STATIC | {"drivers": circuits.Drivers(supply_resistance=100.0), "supply_noise": 5e-3}


def decided(macro: Any, inputs: Any, weights: Any, die: Any, key: Any) -> Any:
    product = DenseProduct(*weights.shape)
    neuron = Neuron(jnp.ones(product.columns), jnp.zeros(product.columns))
    return macro.margin(Operands(product, inputs, weights, SIGNS, SIGNS), neuron, die=die, key=key)


def read(macro: Any, inputs: Any, weights: Any, die: Any, key: Any) -> Any:
    product = DenseProduct(*weights.shape)
    return macro.multiply(Operands(product, inputs, weights, SIGNS, SIGNS), die=die, key=key)


def many(function: Any) -> Any:
    """The function on several batches in one call, as inside a network: a call from Python costs a product."""

    @jax.jit
    def on_all(macro: Any, batches: Any, weights: Any, die: Any, keys: Any) -> Any:
        return jax.lax.map(lambda item: function(macro, item[0], weights, die, item[1]), (batches, keys))

    return on_all


def without_noise(function: Any) -> Any:
    return lambda macro, inputs, weights, die, key: function(macro, inputs, weights, die, None)


def prepared(macro: Any, die: Any) -> Any:
    return macro.prepare(die)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--columns", type=int, default=64)
    options = parser.parse_args()
    die_key, read_key, x_key, w_key = jax.random.split(jax.random.key(0), 4)
    inputs = jax.random.rademacher(x_key, (BATCHES, options.batch, 1024), float)
    keys = jax.random.split(read_key, BATCHES)
    weights = jax.random.rademacher(w_key, (1024, options.columns), float)
    plain = partial(many(lambda macro, x, w, die, key: x @ w), None, inputs, weights, None, keys)
    base = circuits.SwitchedCapacitor(rows=1024, columns=options.columns)
    settled = {
        name: dataclasses.replace(base, **parts)
        for name, parts in (("off", {}), ("static", STATIC), ("all", EVERYTHING))
    }
    sar = dataclasses.replace(settled["all"], adc=circuits.SarAdc(bits=8))
    for label, macro, function in (
        ("comparator, effects off", settled["off"], decided),
        ("comparator, effects that fold into weights", settled["static"], decided),
        ("comparator, all effects", settled["all"], decided),
        ("ideal ADC, effects off", settled["off"], read),
        ("ideal ADC, all effects", settled["all"], read),
        ("8-bit SAR with mismatch, all effects", sar, read),
    ):
        die = jax.jit(prepared)(macro, macro.fabricate(die_key))
        simulated = partial(many(function), macro, inputs, weights, die, keys)
        report(label, ratio(simulated, plain, options.rounds), AIM)
        silent = partial(many(without_noise(function)), macro, inputs, weights, die, keys)
        report(f"  {label}, static errors alone", ratio(silent, plain, options.rounds), AIM)
    macro = settled["all"]
    die = macro.fabricate(die_key)
    report(f"folding a die once, for {BATCHES} batches", ratio(partial(jax.jit(prepared), macro, die), plain, 20), AIM)


if __name__ == "__main__":
    main()
