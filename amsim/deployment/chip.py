"""A chip: a network deployed on one die of an accelerator."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import xarray as xr
from jax.extend import core
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.circuits.checks import one_key
from amsim.circuits.contract.macro import Die
from amsim.deployment.chip_file import ChipRecord, write_chip_file
from amsim.deployment.compilation import compiled
from amsim.deployment.input_shapes import LastShapes, shapes_of
from amsim.deployment.mapping.calibrated_sites import check_calibrated
from amsim.deployment.mapping.mapper import (
    RULE_REPLACED,
    MappedProgram,
    MappedSite,
    lasting_rules,
    map_program,
)
from amsim.deployment.mapping.site_table import SiteTable
from amsim.deployment.mapping.stored_weights import stored_weights
from amsim.deployment.running.chip_cost import site_layer, with_clipping
from amsim.deployment.running.inferences import Shares, batch_of
from amsim.deployment.running.run import Deployment, report_program, run_program
from amsim.deployment.running.unit_filling import with_filled_units
from amsim.deployment.site_ranges import Calibration
from amsim.deployment.tracing.flattening import flatten
from amsim.deployment.tracing.leaf_names import leaf_name
from amsim.noise.loops import differing_like
from amsim.system.accelerator import Accelerator
from amsim.system.cost import labelled_cost, system_cost
from amsim.workloads import Layer, Workload

_TRACING_NOTE = (
    "This was raised while amsim traced `fn` ({name}) with inputs {inputs}. What works under "
    "`jax.jit(fn)(params, *inputs)` works here: parameters of the structure that `fn` takes, no `if` on values of an "
    "array, no conversion to NumPy."
)
_LAST_SHAPES = LastShapes()
"""For `Chip.sites()` without inputs."""


class TracedChip(NamedTuple):
    """A chip's network as a program with its sites on macros.

    Attributes:
        network: The program and its sites.
        leaves: Parameter leaves, the first arguments of the program.
        names: Their names.
        outputs: Structure of the network's outputs.
    """

    network: MappedProgram
    leaves: list[Any]
    names: list[str]
    outputs: Any

    @property
    def sites(self) -> tuple[MappedSite, ...]:
        """Products on macros."""
        return self.network.sites

    def arguments(self, inputs: tuple[Any, ...]) -> list[Any]:
        """Arguments of the program for these inputs of the network."""
        return [*self.leaves, *map(jnp.asarray, jax.tree.leaves(inputs))]


class Chip(eqx.Module):
    """A network on one die of an accelerator; call it like the network.

    A pytree of arrays if its parameters are: it then passes through `jit`, `grad` and `vmap` as any argument does.

    Attributes:
        function: The network, `function(params, *inputs)`.
        params: Its parameters.
        accelerator: The hardware.
        dies: Static errors of each macro; None for a nominal macro.
        calibration: Codes and readout ranges chosen for its sites; None without calibration.
        decision_rule: Name of the derivative of fused neurons' decisions; None is the network's own (static).
    """

    function: Callable[..., Any]
    params: PyTree
    accelerator: Accelerator
    dies: tuple[Die, ...]
    calibration: Calibration | None = None
    decision_rule: str | None = eqx.field(static=True, default=None)

    def __repr__(self) -> str:
        given = getattr(self.function, "func", self.function)  # what a `Partial` holds
        called = getattr(given, "__name__", type(given).__name__)
        macros = ", ".join(dict.fromkeys(type(macro).__name__ for macro in self.accelerator.macros))
        die = "one die" if any(die is not None for die in self.dies) else "nominal macros"
        choice = "" if self.calibration is None else f", {len(self.calibration.sites)} sites calibrated"
        return f"Chip({called} on {macros}; {die}{choice})"

    def __hash__(self) -> int:
        """By identity, so that `jax.jit(chip)` works."""
        return id(self)

    def __call__(self, *inputs: Any, key: PRNGKeyArray | None = None) -> Any:
        """Outputs of the network on this chip.

        Args:
            *inputs: As the network takes them.
            key: Draws the dynamic noise of this read; None for no dynamic noise.

        Raises:
            ValueError: `key` is not one typed key.
            amsim.DeploymentError: A macro cannot compute its site; the text says what would work.
        """
        check_key("key", key)
        _LAST_SHAPES.keep(self, shapes_of(inputs))
        return run_deployed_chip(self, inputs, key)

    def prepared(self) -> "Chip":
        """The same chip with its static errors folded into weights once, for a loop over many inputs.

        Derivatives with respect to its macros' parameters include those of the die's errors only where this call is
        differentiated too.
        """
        pairs = zip(self.accelerator.macros, self.dies, strict=True)
        chip = dataclasses.replace(self, dies=tuple(macro.prepare(die) for macro, die in pairs))
        _LAST_SHAPES.keep(chip, _LAST_SHAPES.of(self))
        return chip

    def plain(self) -> Callable[..., Any]:
        """The network without hardware: a function of the inputs with this chip's parameters."""
        return jax.tree_util.Partial(self.function, self.params)

    def save(self, path: str | Path) -> None:
        """Write parameters, hardware and dies to a file that `amsim.load_chip(path, fn)` reads.

        Args:
            path: File to write, which appears whole or not at all.

        Raises:
            ValueError: Its hardware has parts that are not of amsim, or it is traced, as inside `jit`.
        """
        record = ChipRecord(self.params, self.accelerator, self.dies, self.calibration, self.decision_rule)
        write_chip_file(path, record)

    def workload(self, *inputs: Any, in_axes: Any = 0) -> Workload:
        """Workload of one inference for any accelerator: the sites, with the activity of these inputs on this one.

        Args:
            *inputs: A batch as the network takes it.
            in_axes: As in `cost`.

        Raises:
            ValueError: As `cost`, or the network has no product with a weight.
        """
        # Another accelerator writes the weights in its own digits.
        layers = (
            dataclasses.replace(layer, work=dataclasses.replace(layer.work, weight_columns=None))
            for layer in _layers(self, inputs, in_axes)
        )
        return Workload(getattr(self.function, "__name__", "network"), tuple(layers))

    def cost(self, *inputs: Any, in_axes: Any = 0) -> xr.Dataset:
        """Energy, latency and area of one inference, with the activity that these inputs cause.

        Args:
            *inputs: A batch as the network takes it.
            in_axes: Which axis of each input counts inferences, as in `jax.vmap`: a number, or one for each input, with
                None for an input that all inferences share, such as a mask or a table of positions. What is computed
                from shared inputs alone counts in full for each inference. None takes all inputs as one inference.

        Returns:
            Dataset of `amsim.system.cost.labelled_cost`, and one `clipped_...` (site) for each thing that can clip or
            saturate.

        Raises:
            ValueError: As `Accelerator.cost`; the inputs differ in the size of these axes; or a site takes several of
                the inferences together, so that the axis counts something else, such as frames.
        """
        _LAST_SHAPES.keep(self, shapes_of(inputs))
        layers = _layers(self, inputs, in_axes)
        return with_clipping(labelled_cost(self.accelerator, layers), layers)

    def energy(self, *inputs: Any, in_axes: Any = 0) -> Array:
        """Total energy of one inference, J, differentiable in parameters and hardware; arguments as `cost`."""
        return jnp.sum(system_cost(self.accelerator, _layers(self, inputs, in_axes)).energy)

    def sites(self, *inputs: Any) -> SiteTable:
        """Where each product landed, or why it stays digital; below the rows, how many products have no weight.

        Products that stay digital cost nothing in `cost`. Below the rows stands what no setting shows: why a macro
        with comparators reads a site as a number, what defaults do to figures that one states, such as the trim, and
        where a lumped reading is not sound.

        Units that a processor may fill with pixels, filters or input channels are shown with the loops that it chooses
        at each site and with their utilisation, in one inference of many along the first axis of the inputs.

        Args:
            *inputs: Inputs or their shapes (`jax.ShapeDtypeStruct`). May be left out once this chip has been called;
                a call of a copy, as inside `jit` of a function that takes the chip, does not count.

        Raises:
            ValueError: No inputs are given and the chip has not been called yet.
        """
        shapes = _shapes_seen(self, inputs)
        traced, choices = traced_chip(self, shapes), deployment_of(self).calibration
        table = SiteTable(traced.network.table, traced.network.table.others, _remarks(self, traced.sites))
        table = table if self.calibration is None else table.calibrated(choices)
        table = table.with_notes(_reading_notes(self, traced.sites, choices))
        return with_filled_units(table, traced.network, traced.names, self.accelerator, choices, shapes)

    def mapped_sites(self, *inputs: Any) -> tuple[MappedSite, ...]:
        """Products on macros, with the circuit that reads each; arguments and errors as `sites`."""
        return traced_chip(self, _shapes_seen(self, inputs)).sites


def _shapes_seen(chip: Chip, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    shapes = shapes_of(inputs) if inputs else _LAST_SHAPES.of(chip)
    if shapes is None:
        raise ValueError("Argument `inputs` must be given, since the chip has not been called yet.")
    return shapes


def chip_of(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    dies: tuple[Die, ...],
    calibration: Calibration | None,
    decision_rule: str | None = None,
) -> Chip:
    """Chip of parts that are already checked."""
    # A plain function as part of the structure, not as a leaf, leaves arrays only.
    function = fn if jax.tree.leaves(eqx.filter(fn, eqx.is_array)) else jax.tree_util.Partial(fn)
    return Chip(function, params, accelerator, dies, calibration, decision_rule)


def check_key(name: str, key: Any) -> None:
    """Raise ValueError unless key is one typed key or None."""
    if key is not None:
        one_key(name, key)


def traced_chip(chip: Chip, inputs: tuple[Any, ...]) -> TracedChip:
    """Program and sites of a chip for inputs of these shapes; shapes stand for its parameters as well."""
    arrays, static = eqx.partition(chip.params, _has_shape)

    def function(arrays: Any, *inputs: Any) -> Any:
        return chip.function(eqx.combine(arrays, static), *inputs)

    try:
        closed, outputs = jax.make_jaxpr(function, return_shape=True)(arrays, *inputs)
    except Exception as error:
        named = getattr(chip.function, "func", chip.function)
        error.add_note(_TRACING_NOTE.format(name=getattr(named, "__name__", "a network"), inputs=inputs))
        raise
    paths = jax.tree_util.tree_leaves_with_path(arrays)
    names = [leaf_name(path) for path, _ in paths]
    network = _map_sites(chip, closed, names)
    if chip.calibration is not None:
        check_calibrated(network, chip.calibration, chip.accelerator, names)
    return TracedChip(network, [leaf for _, leaf in paths], names, jax.tree.structure(outputs))


def _has_shape(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _map_sites(chip: Chip, closed: core.ClosedJaxpr, names: list[str]) -> MappedProgram:
    """Flat program and its sites, with the custom derivatives around them that can stay in force."""
    flat = partial(flatten, closed, len(names), activation_products=chip.accelerator.activation_products)
    network = map_program(flat(), chip.accelerator, names)
    lasting = lasting_rules(network, chip.decision_rule)
    if lasting:
        network = map_program(flat(ruled=lasting), chip.accelerator, names)
    replaced = len({id(region.equation) for region in network.program.regions} - lasting)
    return network._replace(table=SiteTable(network.table, network.table.others | {RULE_REPLACED: replaced}))


def _reading_notes(chip: Chip, sites: tuple[MappedSite, ...], choices: Calibration) -> dict[str, str]:
    """Where the reading of a site is not sound with the ranges chosen for it, by its name."""
    names = {one.site.name: one for one in sites if one.chain is None}
    macros = {name: choices.of(name).macro(chip.accelerator.macros[one.macro]) for name, one in names.items()}
    return {name: macros[name].reading_note(one.site.product) for name, one in names.items()}


def _remarks(chip: Chip, sites: tuple[MappedSite, ...]) -> list[str]:
    """What defaults and the decision rule do that no row of the site table shows."""
    found = list(chip.accelerator.remarks)
    if chip.decision_rule is not None and all(one.chain is None for one in sites):
        found.append(f"The decision rule {chip.decision_rule!r} changes nothing: no site is decided by a comparator.")
    return found


def deployment_of(chip: Chip) -> Deployment:
    """Hardware that the sites of a chip run on."""
    choices = Calibration() if chip.calibration is None else chip.calibration
    return Deployment(chip.accelerator.macros, chip.dies, choices, chip.decision_rule)


@compiled(lambda chip, *_: chip.function)
def run_deployed_chip(chip: Chip, inputs: tuple[Any, ...], key: PRNGKeyArray | None) -> Any:
    """Outputs of a chip; a call of this name (`CHIP_CALL`) inside a network that is deployed is known as a chip's."""
    # With a die or a read of its own on each device, outputs differ even where the inputs do not.
    inputs = differing_like(inputs, (chip.accelerator, chip.dies, key))
    traced = traced_chip(chip, inputs)
    outputs = run_program(traced.network, deployment_of(chip), traced.arguments(inputs), key)
    return jax.tree.unflatten(traced.outputs, outputs)


@compiled(lambda chip, *_: chip.function)
def _layers(chip: Chip, inputs: tuple[Any, ...], in_axes: Any) -> tuple[Layer, ...]:
    inputs = differing_like(inputs, (chip.accelerator, chip.dies))
    batch = batch_of(inputs, in_axes)
    traced = traced_chip(chip, inputs)
    shares = Shares(traced.network, len(traced.leaves), batch)
    deployment = deployment_of(chip)
    reports = report_program(traced.network, deployment, traced.arguments(inputs))
    activities = [report.averages() for report in reports]
    weights = stored_weights(traced.network, traced.names)
    layers = []
    for mapped, weight, activity, report in zip(traced.sites, weights, activities, reports, strict=True):
        code = deployment.calibration.of(mapped.site.name).weights
        columns = mapped.weight_columns(deployment.macros[mapped.macro], code)
        layers.append(site_layer(mapped, weight, shares.of(mapped), activity, report.runs, columns))
    return tuple(layers)
