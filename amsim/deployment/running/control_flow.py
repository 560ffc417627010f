"""Runs the bodies of loops and branches, turn after turn or one of several, with the observations of their sites.

Loops stay loops: what runs and what is counted inside does not grow with the number of turns.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jaxtyping import Array

from amsim.deployment.running.site_observation import SiteObservation
from amsim.deployment.tracing.steps import Program, Step
from amsim.noise.loops import scan, switch, while_loop

Turns = tuple[Array, ...]
"""Which turn it is of each loop around a program, the outermost first."""
Tallies = dict[int, SiteObservation]
"""Observation of each site over its runs, by the number of its product."""
Run = Callable[[Program, Sequence[Any], Turns], tuple[list[Any], Tallies]]
"""Function from a program, its arguments and its turn to the outputs and the observations of its sites."""


def run_bodies(step: Step, values: dict[int, Any], run: Run, turns: Turns, counted: Container[int] = ()) -> Tallies:
    """Run a loop or branch with these programs as its bodies; its results join the values.

    Args:
        step: The loop or branch.
        values: Values by number.
        run: Runs a body.
        turns: Which turn it is of the loops around it.
        counted: Sites that `run` observes, by number, wherever they are.
    """
    arguments = [_typed(atom, values[value.number]) for atom, value in zip(_atoms(step), step.inputs, strict=True)]
    observed = tuple(_holds(body, counted) for body in step.bodies)
    results, tallies = _CONTROL_FLOW[step.primitive](step, arguments, run, turns, observed)
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
    step: Step, arguments: list[Any], run: Run, turns: Turns, observed: tuple[bool, ...]
) -> tuple[list[Any], Tallies]:
    params: dict[str, Any] = step.equation.params
    constants, carried = params["num_consts"], params["num_carry"]
    fixed, start = arguments[:constants], arguments[constants : constants + carried]

    def body(state: tuple[Array, list[Any]], slices: list[Any]) -> tuple[Any, Any]:
        turn, carry = state
        found, tallies = run(step.bodies[0], [*fixed, *carry, *slices], (*turns, turn))
        return (turn + 1, found[:carried]), (found[carried:], tallies)

    (_, last), (stacked, tallies) = scan(
        body,
        (jnp.zeros((), jnp.int32), start),
        arguments[constants + carried :],
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*last, *stacked], _each_site(SiteObservation.over_turns, tallies)


def _while(
    step: Step, arguments: list[Any], run: Run, turns: Turns, observed: tuple[bool, ...]
) -> tuple[list[Any], Tallies]:
    params: dict[str, Any] = step.equation.params
    first, condition, body = params["cond_nconsts"], *step.bodies
    start = first + params["body_nconsts"]
    # Under `vmap` each member of a batch may stop at a turn of its own; the others go on without it.
    batched = bool(params["cond_jaxpr"].out_avals[0].shape)

    def test(turn: Array, carry: list[Any]) -> tuple[Array, Tallies]:
        found, tallies = run(condition, [*arguments[:first], *carry], (*turns, turn))
        return found[0], tallies

    def one_turn(turn: Array, carry: list[Any]) -> tuple[list[Any], Tallies]:
        found, tallies = run(body, [*arguments[first:start], *carry], (*turns, turn))
        # The loop keeps nothing of its condition but the answer: its sites have to be observed again.
        going, more = test(turn, carry) if observed[0] or batched else (jnp.ones((), bool), {})
        return _of_active(going, found, carry), _tallies_of_active(going, tallies | (more if observed[0] else {}))

    def take_turn(state: tuple[Array, list[Any], Tallies]) -> tuple[Array, list[Any], Tallies]:
        turn, carry, tallies = state
        found, more = one_turn(turn, carry)
        return turn + 1, found, _merge(tallies, more)

    initial = (jnp.zeros((), jnp.int32), arguments[start:])
    nothing = _zeros(lambda: one_turn(*initial)[1]) if any(observed) else {}
    turn, carry, tallies = while_loop(lambda state: jnp.any(test(*state[:2])[0]), take_turn, (*initial, nothing))
    last = test(turn, carry)[1] if observed[0] else {}
    return carry, tallies | {site: tallies[site].merge(last[site]) for site in last}


def _of_active(going: Array, found: list[Any], before: list[Any]) -> list[Any]:
    """What a turn found for the members of a batch that are still going, which lie along the leading axes."""
    if going.ndim == 0:
        return found
    return [
        lax.select(lax.broadcast_in_dim(going, new.shape, tuple(range(going.ndim))), new, old)
        for new, old in zip(found, before, strict=True)
    ]


def _tallies_of_active(going: Array, tallies: Tallies) -> Tallies:
    """Observations of a turn that only a part of a batch still takes."""
    if going.ndim == 0:
        return tallies
    return _each_site(lambda one: one.of_active(lambda dtype: jnp.mean(going, dtype=dtype)), tallies)


def _cond(
    step: Step, arguments: list[Any], run: Run, turns: Turns, observed: tuple[bool, ...]
) -> tuple[list[Any], Tallies]:
    index, *operands = arguments

    def observe(body: Program) -> Callable[[], Tallies]:
        return lambda: run(body, operands, turns)[1]

    holding = [body for body, holds in zip(step.bodies, observed, strict=True) if holds]
    nothing = {site: none for body in holding for site, none in _zeros(observe(body)).items()}

    def branch(body: Program) -> Callable[..., tuple[list[Any], Tallies]]:
        def taken(*operands: Any) -> tuple[list[Any], Tallies]:
            found, tallies = run(body, operands, turns)
            return found, nothing | tallies

        return taken

    found, tallies = switch(index, [branch(body) for body in step.bodies], *operands)
    return found, tallies


def _merge(tallies: Tallies, more: Tallies) -> Tallies:
    """Observations of the runs of both, of the same sites."""
    return _each_site(SiteObservation.merge, tallies, more)


def _zeros(tallies: Callable[[], Tallies]) -> Tallies:
    return _each_site(SiteObservation.of_no_run, jax.eval_shape(tallies))


def _each_site(function: Callable[..., SiteObservation], *tallies: Tallies) -> Tallies:
    return jax.tree.map(function, *tallies, is_leaf=lambda one: isinstance(one, SiteObservation))


_CONTROL_FLOW = {"scan": _scan, "while": _while, "cond": _cond}
