"""A chip inside `jax.shard_map` computes what it computes outside; a mesh of one device asks the same of its loops."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import amsim
from amsim import circuits

INPUTS = jnp.sign(jax.random.normal(jax.random.key(0), (4, 8)))
PARAMS = {"w": jnp.sign(jax.random.normal(jax.random.key(1), (8, 2)))}
SMALL: dict[str, Any] = {"rows": 8, "columns": 4}
MACROS = {
    "digital, several bits": circuits.DigitalBinary(**SMALL, weight_bits=4, input_bits=4),
    "several input bits": circuits.SwitchedCapacitor(**SMALL, input_bits=2),
    "two tiles": circuits.SwitchedCapacitor(rows=4, columns=4),
    "SAR converter": circuits.SwitchedCapacitor(**SMALL, adc=circuits.SarAdc(bits=4)),
    "single-slope converter": circuits.SwitchedCapacitor(**SMALL, adc=circuits.SingleSlopeAdc(bits=4)),
}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", MACROS)
def test_a_chip_runs_inside_shard_map(name: str) -> None:
    chip = amsim.deploy(lambda p, x: x @ p["w"], PARAMS, MACROS[name], key=jax.random.key(2))
    mesh, along = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,)), PartitionSpec("batch")
    split = jax.shard_map(lambda x: chip(x), mesh=mesh, in_specs=along, out_specs=along)
    np.testing.assert_array_equal(split(INPUTS), chip(INPUTS))
