"""One compiled program for all points of a group: settings, dies and reads are its arguments, batched within memory."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array

from amsim.circuits.contract.macro import Macro
from amsim.deployment.tracing.primitives import bodies
from amsim.files.program_digest import program_digest
from amsim.studies.measured import Measurement, named_arrays
from amsim.system.accelerator import Accelerator
from amsim.system.settings import with_numbers

CACHE_BYTES = 16 * 2**20
"""Intermediate results batched together on a CPU, bytes: enough to amortise a call, small enough to stay near cache."""

MEMORY_SHARE = 0.5
"""Fraction of the free memory that a study uses where no limit is given."""


@dataclasses.dataclass(frozen=True)
class Population:
    """Dies and reads, the same at every point.

    Attributes:
        die_keys: Key data, shape (dies, words).
        read_keys: Key data, shape (dies, reads, words).
        key_kind: Name of the generator.
    """

    die_keys: np.ndarray
    read_keys: np.ndarray
    key_kind: str

    def first(self) -> "Population":
        """The first read of the first die."""
        return Population(self.die_keys[:1], self.read_keys[:1, :1], self.key_kind)


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """A measured function as a program of arrays, for one point, die and read.

    Attributes:
        closed: The program.
        shapes: Shape and dtype of each output by name.
        peak: Peak working set, bytes, without fusion of operations.
        paths: Continuous settings that are its arguments, in order.
        scope: One of `amsim.studies.measured.SCOPES`.
        repeats: Whether dies and reads do not differ.
    """

    closed: ClosedJaxpr
    shapes: Mapping[str, jax.ShapeDtypeStruct]
    peak: int
    paths: tuple[str, ...]
    scope: str
    repeats: bool

    def fingerprint(self) -> str:
        """Digest of the program and of all data that it holds."""
        return program_digest(self.closed, derivatives=False)


def trace(measurement: Measurement, hardware: Any, paths: tuple[str, ...], key_kind: str) -> Traced:
    """Trace a measured function once, with its continuous settings, die and read as arguments."""

    def one(values: tuple[Array, ...], die: Array, read: Array) -> dict[str, Array]:
        changed = hardware
        if paths:
            # Unchecked: their ends were checked before, and a check at run time costs a call to the host.
            changed = with_numbers(Accelerator.of(hardware), dict(zip(paths, values, strict=True)))
            changed = changed.macros[0] if isinstance(hardware, Macro) else changed
        keys = [jax.random.wrap_key_data(data, impl=key_kind) for data in (die, read)]
        wanted = {"point": 0, "die": 1, "read": 2}[measurement.scope]
        return named_arrays(measurement.function(changed, *keys[:wanted]))

    number = jax.ShapeDtypeStruct((), jnp.result_type(float))
    words = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=key_kind)))
    closed, shapes = jax.make_jaxpr(one, return_shape=True)((number,) * len(paths), words, words)
    return Traced(closed, shapes, peak_bytes(closed.jaxpr), paths, measurement.scope, measurement.repeats)


@dataclasses.dataclass(frozen=True)
class Lanes:
    """Work of one call of a program.

    Attributes:
        items: Pairs of a point and a die.
        reads: Reads per item at the same time.
        devices: Devices that share the items.
    """

    items: int
    reads: int
    devices: int = 1


def choose_lanes(traced: Traced, points: int, population: Population, memory_limit: int | float | None) -> Lanes:
    """Items and reads per call: as many as fit the memory, and on a CPU the cache."""
    limit = free_memory() * MEMORY_SHARE if memory_limit is None else memory_limit
    devices = len(jax.local_devices())
    budget = min(limit, CACHE_BYTES * devices) if jax.default_backend() == "cpu" else limit
    fitting = max(int(budget // max(traced.peak, 1)), 1)
    dies, reads = population.read_keys.shape[:2]
    together = min(reads, max(fitting // devices, 1))
    items = points * dies
    lanes = min(max(fitting // together, 1), items)
    # Calls of equal size, so that the last one is not mostly padding.
    lanes = math.ceil(items / math.ceil(items / lanes))
    return Lanes(math.ceil(lanes / devices) * devices, together, devices)


class Program:
    """A compiled function of many points, dies and reads.

    Attributes:
        traced: The function of one point, die and read.
        population: Its dies and reads.
        lanes: Work of one call.
        count: Items in all: pairs of a point and a die.
    """

    def __init__(
        self, traced: Traced, values: Mapping[str, np.ndarray], points: int, population: Population, lanes: Lanes
    ) -> None:
        """Keep the program; it is compiled when first needed."""
        self.traced, self.population, self.lanes = traced, population, lanes
        self.count = points * len(population.die_keys)
        self._values = [np.asarray(values[path]) for path in traced.paths]
        self._compiled: Callable[..., Any] | None = None

    @property
    def shapes(self) -> Mapping[str, jax.ShapeDtypeStruct]:
        """Shape and dtype of each output by name, for one point, die and read."""
        return self.traced.shapes

    @property
    def calls(self) -> int:
        """Number of calls for all items."""
        return -(-self.count // self.lanes.items)

    def call(self, number: int) -> dict[str, np.ndarray]:
        """Outputs of one call by name, shape (items, reads, ...)."""
        compiled = self.compiled()
        outputs = compiled(self._constants, *self._arguments(number))
        return {name: np.asarray(value) for name, value in outputs.items()}

    def compiled(self) -> Any:
        """The program for the machine, compiled once."""
        if self._compiled is None:
            consts = list(self.traced.closed.consts)
            self._constants = jax.device_put(consts, _everywhere()) if self.lanes.devices > 1 else consts
            self._compiled = jax.jit(self._batched).lower(self._constants, *self._arguments(0)).compile()
        return self._compiled

    def _arguments(self, number: int) -> tuple[Any, ...]:
        # The last call repeats the last item, so that all calls have one shape.
        chosen = np.minimum(np.arange(number * self.lanes.items, (number + 1) * self.lanes.items), self.count - 1)
        point, die = np.divmod(chosen, len(self.population.die_keys))
        dtype = jnp.result_type(float)
        values = tuple(of_path[point].astype(dtype) for of_path in self._values)
        arguments = (values, self.population.die_keys[die], self.population.read_keys[die])
        return jax.device_put(arguments, _over_devices()) if self.lanes.devices > 1 else arguments

    def _batched(self, constants: list[Any], values: Any, dies: Array, reads: Array) -> dict[str, Array]:
        closed, names = self.traced.closed, sorted(self.traced.shapes)

        def one(values: Any, die: Array, read: Array) -> tuple[Array, ...]:
            return tuple(map(jnp.asarray, jax.core.eval_jaxpr(closed.jaxpr, constants, *values, die, read)))

        def of_reads(values: Any, die: Array, reads: Array) -> tuple[Array, ...]:
            if reads.shape[0] == 1:
                return jax.tree.map(lambda value: value[None], one(values, die, reads[0]))
            if self.lanes.reads == reads.shape[0]:
                return jax.vmap(lambda read: one(values, die, read))(reads)
            return jax.lax.map(lambda read: one(values, die, read), reads, batch_size=self.lanes.reads)

        if self.lanes.items == 1:
            first = jax.tree.map(lambda value: value[0], (values, dies, reads))
            found = jax.tree.map(lambda value: value[None], of_reads(*first))
        else:
            found = jax.vmap(of_reads)(values, dies, reads)
        return dict(zip(names, found, strict=True))


def fitting_program(
    traced: Traced,
    values: Mapping[str, np.ndarray],
    points: int,
    population: Population,
    memory_limit: int | float | None,
) -> Program:
    """Program whose calls are as large as memory allows; with a limit, compiled and measured against it.

    Raises:
        ValueError: One read of one die needs more than the limit.
    """
    lanes = choose_lanes(traced, points, population, memory_limit)
    while True:
        program = Program(traced, values, points, population, lanes)
        needed = 0 if memory_limit is None else compiled_bytes(program.compiled())
        if memory_limit is None or needed <= memory_limit:
            return program
        if (lanes.items, lanes.reads) == (lanes.devices, 1):
            raise ValueError(
                f"Argument `memory_limit` must be at least {needed} bytes, which one read of one die needs, but is "
                f"{memory_limit:g}."
            )
        ways = math.ceil(needed / memory_limit)
        items = max(lanes.items // ways // lanes.devices, 1) * lanes.devices
        reads = lanes.reads if lanes.items > lanes.devices else max(lanes.reads // ways, 1)
        lanes = Lanes(items, reads, lanes.devices)


def free_memory() -> float:
    """Free memory of the device, bytes."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return float(statistics["bytes_limit"] - statistics.get("bytes_in_use", 0))
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return float(2**31)


def compiled_bytes(compiled: Any) -> int:
    """Bytes that a compiled program needs beside its arguments; 0 where the compiler does not report it."""
    found = compiled.memory_analysis()
    return 0 if found is None else int(found.temp_size_in_bytes + found.output_size_in_bytes)


def peak_bytes(jaxpr: Jaxpr) -> int:
    """Peak working set of a program, bytes, without fusion of operations."""
    last = {variable: index for index, step in enumerate(jaxpr.eqns) for variable in step.invars if _is_name(variable)}
    last |= {variable: len(jaxpr.eqns) for variable in jaxpr.outvars if _is_name(variable)}
    live: dict[Any, int] = {}
    now = peak = 0
    for index, step in enumerate(jaxpr.eqns):
        live |= {variable: _bytes(variable) for variable in step.outvars}
        now += sum(_bytes(variable) for variable in step.outvars)
        inner = max((peak_bytes(body.jaxpr) for body in bodies(step)), default=0)
        peak = max(peak, now + inner)
        for variable in dict.fromkeys([*filter(_is_name, step.invars), *step.outvars]):
            if last.get(variable, -1) <= index:
                now -= live.pop(variable, 0)
    return peak


def _is_name(variable: Any) -> bool:
    return not hasattr(variable, "val")


def _bytes(variable: Any) -> int:
    aval = variable.aval
    shape, dtype = getattr(aval, "shape", ()), getattr(aval, "dtype", None)
    return math.prod(shape) * getattr(dtype, "itemsize", 8)


def _over_devices() -> jax.sharding.Sharding:
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("item",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("item"))


def _everywhere() -> jax.sharding.Sharding:
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("item",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
