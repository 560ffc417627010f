"""Products of a weight with data inside a call, loop or branch, found before it is opened."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend import core

from amsim.deployment.tracing.primitives import PRODUCTS, bodies
from amsim.deployment.tracing.steps import Value


class Mark(NamedTuple):
    """What a value inside a call or loop depends on.

    Attributes:
        weights: Inputs of the outermost call or loop that are weights.
        data: Whether it depends on data.
    """

    weights: frozenset[int] = frozenset()
    data: bool = False


def products_inside(
    equation: core.JaxprEqn, inputs: Sequence[Value], *, of_activations: bool = False
) -> list[frozenset[int]]:
    """Products of a weight with data inside a call or loop; for each, the inputs that its weight is made from.

    Args:
        equation: The call or loop.
        inputs: What it reads.
        of_activations: Whether products of two activations count too, with no such inputs.
    """
    marks = [Mark(frozenset({i} if value.is_weight else ()), value.data) for i, value in enumerate(inputs)]
    found = _through(equation, marks)[0]
    return found if of_activations else [weights for weights in found if weights]


def _through(equation: core.JaxprEqn, marks: list[Mark]) -> tuple[list[frozenset[int]], list[Mark]]:
    """Products inside an operation and marks of its outputs; products of two activations have no weights."""
    params: dict[str, Any] = equation.params
    if equation.primitive.name == "scan":
        return _follow_loop(params["jaxpr"].jaxpr, marks, params["num_consts"], params["num_carry"])
    if equation.primitive.name == "while":
        own, body = params["cond_nconsts"], params["body_nconsts"]
        found, carried = _follow_loop(params["body_jaxpr"].jaxpr, marks[own:], body, len(marks) - own - body)
        return found + _follow(params["cond_jaxpr"].jaxpr, marks[:own] + carried)[0], carried
    found = []
    for body, _ in bodies(equation):
        # A branch of a `cond` takes all inputs but the first; a body with more inputs has others than the operation.
        if len(body.invars) <= len(marks):
            found += _follow(body, marks[len(marks) - len(body.invars) :])[0]
    return found, [_union(marks)] * len(equation.outvars)


def _follow(body: core.Jaxpr, marks: list[Mark]) -> tuple[list[frozenset[int]], list[Mark]]:
    found: list[frozenset[int]] = []
    known: dict[Any, Mark] = dict(zip(body.invars, marks, strict=True))
    for equation in body.eqns:
        read = [_mark_of(atom, known) for atom in equation.invars]
        if equation.primitive.name in PRODUCTS and any(mark.data for mark in read):
            found += [mark.weights for mark in read if mark.weights and not mark.data]
            found += [frozenset()] if all(mark.data for mark in read) else []
        inside, outputs = _through(equation, read)
        found += inside
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return found, [_mark_of(atom, known) for atom in body.outvars]


def _mark_of(atom: Any, known: dict[Any, Mark]) -> Mark:
    return Mark() if isinstance(atom, core.Literal) else known.get(atom, Mark())


def _follow_loop(
    body: core.Jaxpr, marks: list[Mark], constants: int, carried: int
) -> tuple[list[frozenset[int]], list[Mark]]:
    """Products and output marks of a loop body, once the marks it carries no longer change from turn to turn."""
    while True:
        found, outputs = _follow(body, marks)
        carry = slice(constants, constants + carried)
        after = [_union(pair) for pair in zip(marks[carry], outputs[:carried], strict=True)]
        if after == marks[carry]:
            return found, outputs
        marks = [*marks[:constants], *after, *marks[constants + carried :]]


def _union(marks: Sequence[Mark]) -> Mark:
    return Mark(frozenset().union(*(mark.weights for mark in marks)), any(mark.data for mark in marks))
