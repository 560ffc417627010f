"""A chip: a network deployed on one die of an accelerator."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.extend import core
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.circuits.checks import finite, one_key, one_of, part_of
from amsim.circuits.contract.macro import Die
from amsim.deployment.mapping.mapper import (
    RULE_REPLACED,
    MappedSite,
    Mapping,
    check_calibrated,
    lasting_rules,
    map_program,
)
from amsim.deployment.mapping.site_table import SiteTable
from amsim.deployment.running.run import Deployment, report_program, run_program
from amsim.deployment.site_ranges import Calibration
from amsim.deployment.tracing.flattening import flatten
from amsim.deployment.tracing.steps import Program
from amsim.noise.gradients import NOISY_DECISION_RULES
from amsim.results.labelled import labelled
from amsim.system.accelerator import Accelerator
from amsim.system.cost import labelled_cost, system_cost
from amsim.workloads import Layer, Workload

_TRACING_NOTE = (
    "This was raised while amsim traced `fn` ({name}) with inputs {inputs}. What works under "
    "`jax.jit(fn)(params, *inputs)` works here: parameters of the structure that `fn` takes, no `if` on values of an "
    "array, no conversion to NumPy."
)


class _LastInputs:
    """Shapes of the inputs a chip last saw, for `Chip.sites()`; all are equal, so that no compilation depends on it."""

    def __init__(self) -> None:
        self.shapes: tuple[Any, ...] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _LastInputs)

    def __hash__(self) -> int:
        return 0


class TracedChip(NamedTuple):
    """A chip's network as a program, its sites on macros, its parameter leaves and the structure of its outputs."""

    program: Program
    mapping: Mapping
    leaves: list[Any]
    outputs: Any

    def arguments(self, inputs: tuple[Any, ...]) -> list[Any]:
        """Of the program, for these inputs of the network."""
        return [*self.leaves, *map(jnp.asarray, jax.tree.leaves(inputs))]


class Chip(eqx.Module):
    """A network on one die of an accelerator; call it like the network.

    A pytree of arrays if its parameters are: it then passes through `jit`, `grad` and `vmap` as any argument does.

    Attributes:
        function: The network, `function(params, *inputs)`.
        params: Its parameters.
        accelerator: The hardware.
        dies: Static errors of each macro; None is a nominal macro.
        calibration: Codes and readout ranges that were chosen for its sites; None where nothing was.
        decision_rule: Derivative of the decisions of fused neurons, by name; None is the network's own (static).
    """

    function: Callable[..., Any]
    params: PyTree
    accelerator: Accelerator
    dies: tuple[Die, ...]
    _last_inputs: _LastInputs = eqx.field(static=True)
    calibration: Calibration | None = None
    decision_rule: str | None = eqx.field(static=True, default=None)

    def __hash__(self) -> int:
        """By identity, so that `jax.jit(chip)` works."""
        return id(self)

    def __call__(self, *inputs: Any, key: PRNGKeyArray | None = None) -> Any:
        """Outputs of the network on this chip.

        Args:
            *inputs: As the network takes them.
            key: Draws the dynamic noise of this read; None is no dynamic noise.

        Raises:
            ValueError: `key` is not one typed key.
            amsim.DeploymentError: A site cannot be done by its macro; the text says what would work.
        """
        check_key("key", key)
        self._last_inputs.shapes = jax.tree.map(_shape_of, inputs)
        return run_deployed_chip(self, inputs, key)

    def prepared(self) -> "Chip":
        """The same chip with its static errors folded into weights once, for a loop over many inputs.

        Derivatives by the parameters of its macros go through the die's errors only when taken of this call too.
        """
        pairs = zip(self.accelerator.macros, self.dies, strict=True)
        return dataclasses.replace(self, dies=tuple(macro.prepare(die) for macro, die in pairs))

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
        from amsim.deployment.chip_file import save_chip  # which needs this class

        save_chip(self, path)

    def workload(self, *inputs: Any) -> Workload:
        """What one inference asks of any accelerator: the sites, with the activity that these inputs cause on this one.

        Args:
            *inputs: A batch as the network takes it; its leading axis counts inferences.

        Raises:
            ValueError: Nothing of the network is a product with a weight.
        """
        return Workload(getattr(self.function, "__name__", "network"), _layers(self, inputs))

    def cost(self, *inputs: Any) -> xr.Dataset:
        """Energy, latency and area of one inference, with the activity that these inputs cause.

        Args:
            *inputs: A batch as the network takes it; its leading axis counts inferences.

        Returns:
            Dataset of `amsim.system.cost.labelled_cost`, and one `clipped_...` (site) for each thing that can clip or
            saturate.

        Raises:
            ValueError: As `Accelerator.cost`.
        """
        self._last_inputs.shapes = jax.tree.map(_shape_of, inputs)
        layers = _layers(self, inputs)
        return _with_clipping(labelled_cost(self.accelerator, layers), layers)

    def energy(self, *inputs: Any) -> Array:
        """Total energy of one inference, J, differentiable in parameters and hardware."""
        return jnp.sum(system_cost(self.accelerator, _layers(self, inputs)).energy)

    def sites(self, *inputs: Any) -> SiteTable:
        """What landed where, and what did not and why; below the rows, how many products have no weight at all.

        Args:
            *inputs: Inputs or their shapes (`jax.ShapeDtypeStruct`). May be left out once the chip has been called.

        Raises:
            ValueError: No inputs are given and the chip has not been called yet.
        """
        shapes = jax.tree.map(_shape_of, inputs) if inputs else self._last_inputs.shapes
        if shapes is None:
            raise ValueError("Argument `inputs` must be given, since the chip has not been called yet.")
        return traced_chip(self, shapes).mapping.table


def deploy(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    *,
    key: PRNGKeyArray | None = None,
    calibration: Calibration | None = None,
    decision_rule: str | None = None,
) -> Chip:
    """Deploy a JAX function on hardware.

    Args:
        fn: Network `fn(params, *inputs)`: any traceable function of any framework.
        params: Parameters; products with a weight that depends on them alone are what the macros take over.
        hardware: A macro, an `Accelerator`, or rules `{site name pattern: macro}` tried in order.
        key: Draws the die of each macro; None deploys the nominal macros.
        calibration: Codes and readout ranges by site, as `amsim.calibrate` chooses them; None takes the ranges that the
            program fixes, and else those of each sample.
        decision_rule: What stands in for the derivative of a fused neuron's decision: one of
            `amsim.noise.gradients.NOISY_DECISION_RULES`, of which "physical" is that of the average over the noise of
            the macro's reads, in its parameters too; None leaves the rule of the network's own sign. No output depends
            on it. A neuron compared with a threshold other than 0 has no derivative under any rule.

    Returns:
        The chip.

    A `jax.custom_vjp` or `custom_jvp` keeps its rule. Where products inside are on a macro, the rule gives derivatives
    by what goes into it, of the plain call, and the macro those by the circuit's parameters. The macro gives all where
    a neuron is fused with a decision behind the rule, or `decision_rule` is given; `Chip.sites` counts such rules.

    Raises:
        ValueError: `fn` is not callable, a parameter is NaN or infinite, hardware is none of the above, calibration is
            none, or there is no such rule.
    """
    if not callable(fn):
        raise ValueError(f"Argument `fn` must be a function fn(params, *inputs), but is {fn!r}.")
    check_key("key", key)
    part_of("calibration", calibration, Calibration, optional=True)
    if decision_rule is not None:
        one_of("decision_rule", decision_rule, NOISY_DECISION_RULES)
    accelerator = Accelerator.of(hardware)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if eqx.is_inexact_array(leaf) and not isinstance(leaf, jax.core.Tracer):
            finite(f"params{jax.tree_util.keystr(path)}", leaf)
    dies: tuple[Die, ...] = (None,) * len(accelerator.macros)
    if key is not None and not accelerator.deterministic:
        keys = jax.random.split(key, len(accelerator.macros))
        dies = tuple(macro.fabricate(k) for macro, k in zip(accelerator.macros, keys, strict=True))
    return chip_of(fn, params, accelerator, dies, calibration, decision_rule)


def chip_of(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    dies: tuple[Die, ...],
    calibration: Calibration | None,
    decision_rule: str | None = None,
) -> Chip:
    """A chip of parts that are already checked."""
    # A plain function as part of the structure, not as a leaf, leaves arrays only.
    function = fn if jax.tree.leaves(eqx.filter(fn, eqx.is_array)) else jax.tree_util.Partial(fn)
    return Chip(function, params, accelerator, dies, _LastInputs(), calibration, decision_rule)


def check_key(name: str, key: Any) -> None:
    """Raise ValueError unless key is one typed key or None."""
    if key is not None:
        one_key(name, key)


def _shape_of(leaf: Any) -> Any:
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    if not jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    weak = getattr(leaf, "weak_type", isinstance(leaf, int | float | complex))
    return jax.ShapeDtypeStruct(np.shape(leaf), dtype, weak_type=weak)


def traced_chip(chip: Chip, inputs: tuple[Any, ...]) -> TracedChip:
    """Program and sites of a chip for inputs of these shapes."""
    arrays, static = eqx.partition(chip.params, eqx.is_array)

    def function(arrays: Any, *inputs: Any) -> Any:
        return chip.function(eqx.combine(arrays, static), *inputs)

    try:
        closed, outputs = jax.make_jaxpr(function, return_shape=True)(arrays, *inputs)
    except Exception as error:
        named = getattr(chip.function, "func", chip.function)
        error.add_note(_TRACING_NOTE.format(name=getattr(named, "__name__", "a network"), inputs=inputs))
        raise
    paths = jax.tree_util.tree_leaves_with_path(arrays)
    program, mapping = _mapped(chip, closed, [leaf_name(path) for path, _ in paths])
    if chip.calibration is not None:
        check_calibrated(mapping, chip.calibration, chip.accelerator)
    return TracedChip(program, mapping, [leaf for _, leaf in paths], jax.tree.structure(outputs))


def _mapped(chip: Chip, closed: core.ClosedJaxpr, names: list[str]) -> tuple[Program, Mapping]:
    """Flat program and its sites, with the custom derivatives around them that can stay in force."""
    flat = partial(flatten, closed, len(names), activation_products=chip.accelerator.activation_products)
    program = flat()
    mapping = map_program(program, chip.accelerator, names)
    lasting = lasting_rules(program, mapping, chip.decision_rule)
    if lasting:
        program = flat(ruled=lasting)
        mapping = map_program(program, chip.accelerator, names)
    replaced = len({id(region.equation) for region in program.regions} - lasting)
    table = SiteTable(mapping.table, mapping.table.others | {RULE_REPLACED: replaced})
    return program, mapping._replace(table=table)


def deployment_of(chip: Chip) -> Deployment:
    """What the sites of a chip run on."""
    choices = Calibration() if chip.calibration is None else chip.calibration
    return Deployment(chip.accelerator.macros, chip.dies, choices, chip.decision_rule)


def leaf_name(path: tuple[Any, ...]) -> str:
    """Name of a parameter leaf by its path, such as `conv1.kernel`; a site bears that of its weight."""
    in_variable = len(path) > 1 and isinstance(path[-2], jax.tree_util.DictKey)
    if in_variable and path[-1] == jax.tree_util.GetAttrKey("value"):
        # Flax NNX keeps an array in a variable of the module; the variable is the weight.
        path = path[:-1]
    parts = [str(getattr(entry, "key", getattr(entry, "idx", getattr(entry, "name", entry)))) for entry in path]
    return ".".join(parts) or "weight"


@eqx.filter_jit
def run_deployed_chip(chip: Chip, inputs: tuple[Any, ...], key: PRNGKeyArray | None) -> Any:
    """Outputs of a chip; a call of this name (`CHIP_CALL`) inside a network that is deployed is known as a chip's."""
    traced = traced_chip(chip, inputs)
    outputs = run_program(traced.program, traced.mapping, deployment_of(chip), traced.arguments(inputs), key)
    return jax.tree.unflatten(traced.outputs, outputs)


@eqx.filter_jit
def _layers(chip: Chip, inputs: tuple[Any, ...]) -> tuple[Layer, ...]:
    traced = traced_chip(chip, inputs)
    sites, inferences = traced.mapping.sites, _inferences(jax.tree.leaves(inputs))
    reports = report_program(traced.program, traced.mapping, deployment_of(chip), traced.arguments(inputs))
    return tuple(_layer(mapped, *report, inferences) for mapped, report in zip(sites, reports, strict=True))


def _layer(mapped: MappedSite, activity: dict[str, Array], runs: Array, inferences: int) -> Layer:
    site, (work, repeats, real) = mapped.site, mapped.share(inferences)
    by_data = mapped.runs_by_data or real != 1.0
    return Layer(
        site.name,
        work,
        activity=activity | ({"runs": runs * (real / mapped.turns)} if by_data else {}),
        weights=mapped.weight_name,
        repeats=repeats,
        weight_slices=mapped.weight_slices,
        weights_are_activations=site.weight.data,
        input_size=site.layout.input_size(site.data.shape),
        padding=site.layout.padding,
    )


def _inferences(leaves: list[Any]) -> int:
    shape = np.shape(leaves[0]) if leaves else ()
    if not shape or shape[0] < 1:
        raise ValueError("Argument `inputs` must have a leading axis that counts inferences, of at least 1.")
    return int(shape[0])


def _with_clipping(cost: xr.Dataset, layers: tuple[Layer, ...]) -> xr.Dataset:
    names = sorted({name for layer in layers for name in layer.activity if name.startswith("clipped_")})
    rows = cost.sizes["site"]
    clipped: dict[str, Any] = {}
    for name in names:
        values = [float(layer.activity.get(name, jnp.nan)) for layer in layers]
        clipped[name] = (("site",), np.array(values + [np.nan] * (rows - len(values))))
    return cost.merge(labelled(clipped, {"site": cost["site"].values}, {})).assign_attrs(cost.attrs)
