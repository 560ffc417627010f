"""Runs the bodies of loops and branches: one turn after another, one of several branches, with what each turn tells.

Loops stay loops: what runs and what is counted inside does not grow with the number of turns.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jaxtyping import Array

from amsim.deployment.tracing.steps import Program, Step


class Largest(eqx.Module):
    """What a site tells of which the largest of all runs counts, where of a plain array the sum does."""

    value: Array


Turns = tuple[Array, ...]
"""Which turn it is of each loop around a program, the outermost first."""
Tallies = dict[int, tuple[dict[str, Array | Largest], Array]]
"""By site, the number of its product: what it tells, merged over its runs, and how many these were."""
Run = Callable[[Program, Sequence[Any], Turns], tuple[list[Any], Tallies]]
"""Outputs of a program on some arguments, at some turn, and what its sites tell."""


def run_bodies(step: Step, values: dict[int, Any], run: Run, turns: Turns, counted: Container[int] = ()) -> Tallies:
    """Run a loop or branch with these programs as its bodies; its results join the values.

    Args:
        step: The loop or branch.
        values: Values by number.
        run: Runs a body.
        turns: Which turn it is of the loops around it.
        counted: Sites of which `run` tells, wherever they are.
    """
    arguments = [_typed(atom, values[value.number]) for atom, value in zip(_atoms(step), step.inputs, strict=True)]
    tells = tuple(_holds(body, counted) for body in step.bodies)
    results, tallies = _CONTROL_FLOW[step.primitive](step, arguments, run, turns, tells)
    values |= {value.number: found for value, found in zip(step.outputs, results, strict=True)}
    return tallies


def _holds(program: Program, counted: Container[int]) -> bool:
    return any(
        any(value.number in counted for value in step.outputs) or any(_holds(body, counted) for body in step.bodies)
        for step in program.steps
    )


def _atoms(step: Step) -> Sequence[Any]:
    return step.equation.invars


def _typed(atom: Any, value: Any) -> Any:
    """A constant in the type that it has where it stands, which a loop must keep."""
    aval: Any = atom.aval
    return jnp.asarray(value, aval.dtype) if isinstance(atom, core.Literal) else value


def _scan(
    step: Step, arguments: list[Any], run: Run, turns: Turns, tells: tuple[bool, ...]
) -> tuple[list[Any], Tallies]:
    params: dict[str, Any] = step.equation.params
    constants, carried = params["num_consts"], params["num_carry"]
    fixed, start = arguments[:constants], arguments[constants : constants + carried]

    def body(state: tuple[Array, list[Any]], slices: list[Any]) -> tuple[Any, Any]:
        turn, carry = state
        found, tallies = run(step.bodies[0], [*fixed, *carry, *slices], (*turns, turn))
        return (turn + 1, found[:carried]), (found[carried:], tallies)

    (_, last), (stacked, tallies) = lax.scan(
        body,
        (jnp.zeros((), jnp.int32), start),
        arguments[constants + carried :],
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*last, *stacked], _map_tallies(_over_turns, tallies)


def _while(
    step: Step, arguments: list[Any], run: Run, turns: Turns, tells: tuple[bool, ...]
) -> tuple[list[Any], Tallies]:
    params: dict[str, Any] = step.equation.params
    first, condition, body = params["cond_nconsts"], *step.bodies
    start = first + params["body_nconsts"]
    # Under `vmap` each member of a batch may stop at a turn of its own; the others go on without it.
    batched = bool(params["cond_jaxpr"].out_avals[0].shape)

    def tested(turn: Array, carry: list[Any]) -> tuple[Array, Tallies]:
        found, tallies = run(condition, [*arguments[:first], *carry], (*turns, turn))
        return found[0], tallies

    def one_turn(turn: Array, carry: list[Any]) -> tuple[list[Any], Tallies]:
        found, tallies = run(body, [*arguments[first:start], *carry], (*turns, turn))
        # The loop keeps nothing of its condition but the answer: what else it tells has to be asked for again.
        going, more = tested(turn, carry) if tells[0] or batched else (jnp.ones((), bool), {})
        return _of_active(going, found, carry), _told_by_active(going, tallies | (more if tells[0] else {}))

    def turned(state: tuple[Array, list[Any], Tallies]) -> tuple[Array, list[Any], Tallies]:
        turn, carry, tallies = state
        found, more = one_turn(turn, carry)
        return turn + 1, found, merged(tallies, more)

    initial = (jnp.zeros((), jnp.int32), arguments[start:])
    nothing = _zeros(lambda: one_turn(*initial)[1]) if any(tells) else {}
    turn, carry, tallies = lax.while_loop(lambda state: jnp.any(tested(*state[:2])[0]), turned, (*initial, nothing))
    last = tested(turn, carry)[1] if tells[0] else {}
    return carry, tallies | {site: merged(tallies[site], last[site]) for site in last}


def _of_active(going: Array, found: list[Any], before: list[Any]) -> list[Any]:
    """What a turn found for the members of a batch that are still going, which lie along the leading axes."""
    if going.ndim == 0:
        return found
    return [
        lax.select(lax.broadcast_in_dim(going, new.shape, tuple(range(going.ndim))), new, old)
        for new, old in zip(found, before, strict=True)
    ]


def _told_by_active(going: Array, tallies: Tallies) -> Tallies:
    """What sites tell of a turn that only a part of a batch still takes; whole numbers, of values seen, are kept."""
    if going.ndim == 0:
        return tallies

    def part(one: Any) -> Any:
        scales = not isinstance(one, Largest) and jnp.issubdtype(one.dtype, jnp.floating)
        return one * jnp.mean(going, dtype=one.dtype) if scales else one

    return _map_tallies(part, tallies)


def _cond(
    step: Step, arguments: list[Any], run: Run, turns: Turns, tells: tuple[bool, ...]
) -> tuple[list[Any], Tallies]:
    index, *operands = arguments

    def told(body: Program) -> Callable[[], Tallies]:
        return lambda: run(body, operands, turns)[1]

    telling = [body for body, tells_of in zip(step.bodies, tells, strict=True) if tells_of]
    nothing = {site: none for body in telling for site, none in _zeros(told(body)).items()}

    def branch(body: Program) -> Callable[..., tuple[list[Any], Tallies]]:
        def taken(*operands: Any) -> tuple[list[Any], Tallies]:
            found, tallies = run(body, operands, turns)
            return found, nothing | tallies

        return taken

    found, tallies = lax.switch(index, [branch(body) for body in step.bodies], *operands)
    return found, tallies


def merged(tallies: Any, more: Any) -> Any:
    """What sites tell of the runs of both."""
    return _map_tallies(_of_both, tallies, more)


def _of_both(one: Any, other: Any) -> Any:
    if isinstance(one, Largest):
        return Largest(jnp.maximum(one.value, other.value))
    return one + other


def _over_turns(each: Any) -> Any:
    if isinstance(each, Largest):
        return Largest(jnp.max(each.value, axis=0, initial=-jnp.inf))
    return jnp.sum(each, axis=0)


def _of_nothing(one: Any) -> Any:
    if isinstance(one, Largest):
        return Largest(jnp.full(one.value.shape, -jnp.inf, one.value.dtype))
    return jnp.zeros(one.shape, one.dtype)


def _map_tallies(function: Callable[..., Any], *tallies: Any) -> Any:
    return jax.tree.map(function, *tallies, is_leaf=lambda one: isinstance(one, Largest))


def _zeros(tallies: Callable[[], Tallies]) -> Tallies:
    return _map_tallies(_of_nothing, jax.eval_shape(tallies))


_CONTROL_FLOW = {"scan": _scan, "while": _while, "cond": _cond}
