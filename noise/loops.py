"""Loops and branches of JAX that also run inside `jax.shard_map`, whatever a state starts from or a branch returns.

There JAX asks that a state differs over the same axes of the mesh before and after a turn, and the results of branches
likewise. A constant, such as a sum's 0, differs over none; here it becomes a value that differs over the axes that the
turn or the other branches bring in. Outside `shard_map` these are the functions of `jax.lax`.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.extend import core

State = TypeVar("State")
Result = TypeVar("Result")


def scan(
    step: Callable[[State, Any], tuple[State, Any]], start: State, along: Any, **options: Any
) -> tuple[State, Any]:
    """`jax.lax.scan` of `step(state, slice) -> (state, result)` along the first axis of arrays.

    Args:
        step: One turn.
        start: State before the first turn.
        along: Arrays of one length, or None with `length=`.
        options: Further arguments of `jax.lax.scan`.

    Returns:
        State after the last turn, and all results.
    """

    def turn(state: State) -> State:
        return step(state, jax.tree.map(lambda array: array[0], along))[0]

    some = all(len(array) for array in jax.tree.leaves(along))
    return jax.lax.scan(step, _alike_after(turn, start) if some else start, along, **options)


def sum_along(contribution: Callable[[Any], Result], along: Any, **options: Any) -> Result:
    """Sum of `contribution(slice)` over the first axis of arrays, one slice after another.

    Args:
        contribution: What one slice adds, arrays in any structure; it is traced once.
        along: Arrays of one length, at least 1.
        options: Further arguments of `jax.lax.scan`.

    Returns:
        The sum.
    """
    traced, shapes = jax.make_jaxpr(contribution, return_shape=True)(jax.tree.map(lambda array: array[0], along))
    start, structure = jax.tree.flatten(jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), shapes))
    again = core.jaxpr_as_fun(traced)

    def step(total: list[jax.Array], one: Any) -> tuple[list[jax.Array], None]:
        return [before + more for before, more in zip(total, again(*jax.tree.leaves(one)), strict=True)], None

    return jax.tree.unflatten(structure, scan(step, start, along, **options)[0])


def fori_loop(lower: int, upper: int, body: Callable[[Any, State], State], start: State) -> State:
    """`jax.lax.fori_loop` of `body(turn, state) -> state`.

    Args:
        lower: Number of the first turn.
        upper: One more than that of the last turn.
        body: One turn.
        start: State before the first turn.

    Returns:
        State after the last turn.
    """
    return jax.lax.fori_loop(lower, upper, body, _alike_after(lambda state: body(lower, state), start))


def while_loop(test: Callable[[State], Any], body: Callable[[State], State], start: State) -> State:
    """`jax.lax.while_loop` of `body(state) -> state` as long as `test(state)`.

    Args:
        test: Whether there is another turn.
        body: One turn.
        start: State before the first turn.

    Returns:
        State after the last turn.
    """
    return jax.lax.while_loop(test, body, _alike_after(body, start))


def switch(index: Any, branches: Sequence[Callable[..., Result]], *operands: Any) -> Result:
    """`jax.lax.switch`: the result of one of several functions of these operands.

    Args:
        index: Which one.
        branches: The functions, with results of equal shapes and types.
        *operands: Their arguments.

    Returns:
        Its result.
    """
    if not _in_shard_map():
        return jax.lax.switch(index, branches, *operands)
    found = [_axes_of_results(branch, operands) for branch in branches]
    union = [frozenset().union(*axes) for axes in zip(*found, strict=True)]

    def alike(branch: Callable[..., Result]) -> Callable[..., Result]:
        return lambda *operands: _differing_over(branch(*operands), union)

    return jax.lax.switch(index, [alike(branch) for branch in branches], *operands)


def computed_once(values: jax.Array) -> jax.Array:
    """The same values, of which XLA on a CPU keeps one copy for all that use them.

    Otherwise it computes anew for every use what it takes for cheap, noise with its polynomials too; barriers are gone
    before it decides. A division is not cheap, unless it is by a number that it knows or that many elements share,
    which becomes a product: this is one by 1s that it cannot know.
    """
    words = jax.lax.bitcast_convert_type(values, f"int{8 * values.dtype.itemsize}")
    sign = jnp.right_shift(words, 8 * values.dtype.itemsize - 1)  # 0 or -1
    return values / jnp.maximum(sign, 1).astype(values.dtype)


def differing_like(values: Result, others: Any) -> Result:
    """The same values, as values that differ over all axes of the mesh over which any of the others does.

    Args:
        values: Arrays in any structure.
        others: Arrays in any structure.

    Returns:
        The values; outside `shard_map` as they are.
    """
    if not _in_shard_map():
        return values
    arrays = [one for one in jax.tree.leaves(others) if isinstance(one, jax.Array)]
    axes = frozenset().union(*(_axes(jax.typeof(one)) for one in arrays))
    return _differing_over(values, [axes] * len(jax.tree.leaves(values)))


def _alike_after(turn: Callable[[State], State], start: State) -> State:
    """A state that differs over all axes over which the state after a turn does."""
    if not _in_shard_map():
        return start
    axes = [_axes(jax.typeof(value)) for value in jax.tree.leaves(start)]
    while True:
        start = _differing_over(start, axes)
        before, axes = axes, [one | more for one, more in zip(axes, _axes_of_results(turn, (start,)), strict=True)]
        if axes == before:
            return start


def _in_shard_map() -> bool:
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def _axes_of_results(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[frozenset[str]]:
    return [_axes(aval) for aval in jax.make_jaxpr(function)(*arguments).out_avals]


def _axes(aval: Any) -> frozenset[str]:
    """Axes of the mesh over which a value differs."""
    # JAX up to 0.9 has `vma`, later versions `mat`.
    return aval.vma if hasattr(aval, "vma") else getattr(getattr(aval, "mat", None), "varying", frozenset())


def _differing_over(values: Result, axes: Sequence[frozenset[str]]) -> Result:
    """The same values, as values that differ over at least these axes."""
    leaves, structure = jax.tree.flatten(values)
    new = [tuple(sorted(wanted - _axes(jax.typeof(leaf)))) for leaf, wanted in zip(leaves, axes, strict=True)]
    cast = [_differing(leaf, more) if more else leaf for leaf, more in zip(leaves, new, strict=True)]
    return jax.tree.unflatten(structure, cast)


def _differing(value: Any, axes: tuple[str, ...]) -> Any:
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(value, axes, to="varying")
    return jax.lax.pvary(value, axes)  # type: ignore[attr-defined]  # of earlier versions
