"""Elements of the parameters that a weight is made of, one by one, through all that moves, converts or scales them.

Every element of a parameter has a number. Operations that move elements are run on their numbers; in those that work
element by element, the operand that has an element of its own at each place is the weight, and what is the same along a
row or column is a scale of it. What comes out of any other operation, such as the product of two factors, is a new
array, equal where the same operation is done on the same elements again.
"""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from amsim.deployment.tracing.plain_step import distinct_operands, one_equation
from amsim.deployment.tracing.primitives import CALLS, ELEMENT_BY_ELEMENT, MOVES, SELECTIONS, call_body
from amsim.deployment.tracing.steps import Program, Step, Value

_NO_ELEMENT = -1
"""Number at a place that no parameter fills, such as padding with zeros."""

_LATER_MOVES = ("split", "stack", "tile", "unstack")
"""Moves that only some of the JAX versions have that amsim supports."""

_ONE_TO_ONE = ("reshape", "squeeze", "slice", "transpose", "rev", "pad", "dynamic_slice", "split", "unstack")
"""Moves that put no element at two places."""


class Elements(NamedTuple):
    """Elements of a value that depends on parameters.

    Attributes:
        numbers: Number of the element at each place, with leading axes for turns of loops in which they differ.
        distinct: Whether no element stands at two places.
    """

    numbers: np.ndarray
    distinct: bool

    @property
    def identity(self) -> Any:
        """Equal where the same elements stand at the same places."""
        return digest(self.numbers)


class Constant(NamedTuple):
    """A value that depends on no parameter.

    Attributes:
        identity: Equal where two are the same.
        number: Function that returns its numbers, or None where they are not known here.
    """

    identity: Any
    number: Callable[[], Any]


Made = Elements | Constant


class WeightElements:
    """Elements of the values of a program, each found when first asked for."""

    def __init__(self, program: Program, leaves: int) -> None:
        """Number the elements of the parameters.

        Args:
            program: The program.
            leaves: How many of its first inputs are parameters.
        """
        self.count = 0
        self._new: dict[Any, np.ndarray] = {}
        self._made: dict[int, Made] = {}
        self._constants: dict[int, Any] = {}
        self._steps: dict[int, Step] = {}
        self._entering: dict[int, Value] = {}
        for value in program.inputs[:leaves]:
            self._made[value.number] = Elements(self._numbers(value.number, value.shape), True)
        for part in _all_programs(program):
            self._constants |= part.constants
            self._steps |= {value.number: step for step in part.steps for value in step.outputs}
            for step in part.steps:
                self._entering |= {inner.number: outer for inner, outer in _entering(step)}

    def of(self, value: Value) -> Made:
        """Elements of a value; a constant where it depends on no parameter."""
        if value.number not in self._made:
            self._find(value)
        return self._made[value.number]

    def _find(self, value: Value) -> None:
        step = self._steps.get(value.number)
        if value.number in self._constants:
            self._made[value.number] = _constant(self._constants[value.number])
        elif value.number in self._entering:
            # The turns of a loop become leading axes, one slice behind the other.
            self._made[value.number] = self.of(self._entering[value.number])
        elif step is None or step.bodies:
            # A loop makes it anew at each turn.
            turns = (_turns(value) or 1,) if value.loops else ()
            self._made[value.number] = self._new_array(("value", value.number), turns + value.shape, bool(value.params))
        else:
            found = self._results(step.equation, [self.of(one) for one in step.inputs], _turns(step.outputs[0]))
            self._made |= {one.number: made for one, made in zip(step.outputs, found, strict=True)}

    def _results(self, equation: core.JaxprEqn, operands: list[Made], turns: int | None = 1) -> list[Made]:
        """Elements of an operation's results; `turns` are those of the loops in which it may select others."""
        name = equation.primitive.name
        if all(isinstance(one, Constant) for one in operands):
            return _constants(equation, [one for one in operands if isinstance(one, Constant)])
        if name in CALLS:
            return self._run(*call_body(equation), operands)
        if name == "scan" and not equation.params["num_carry"]:
            # Slices of what it steps through become leading axes, and what it stacks is behind them again.
            return self._run(equation.params["jaxpr"].jaxpr, equation.params["jaxpr"].consts, operands)
        found: list[Made] | None = None
        if name in ELEMENT_BY_ELEMENT:
            found = self._side_by_side(equation, operands)
        elif name in (*MOVES, *_LATER_MOVES):
            found = self._moved(equation, operands, turns)
        return self._new_arrays(equation, operands, turns) if found is None else found

    def _run(self, jaxpr: core.Jaxpr, consts: Sequence[Any], operands: Sequence[Made]) -> list[Made]:
        known: dict[Any, Made] = dict(zip(jaxpr.constvars, map(_constant, consts), strict=True))
        known |= dict(zip(jaxpr.invars, operands, strict=True))

        def read(atom: Any) -> Made:
            return _constant(atom.val) if isinstance(atom, core.Literal) else known[atom]

        for equation in jaxpr.eqns:
            results = self._results(equation, [read(atom) for atom in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _side_by_side(self, equation: core.JaxprEqn, operands: Sequence[Made]) -> list[Made] | None:
        """Elements of the operand that is the weight, the others being scales of it."""
        shape = _shape(equation.outvars[0])
        whole = [
            one
            for one, atom in zip(operands, equation.invars, strict=True)
            if isinstance(one, Elements) and _shape(atom) == shape
        ]
        candidates = [one for one in whole if one.distinct] or whole
        different = list({one.identity: one for one in candidates}.values())
        if len(different) == 1:
            return [different[0]]
        if len({one.numbers.shape for one in different}) != 1 or not all(one.distinct for one in different):
            return None
        # Several weights, such as one and its mask: pairs of elements, wherever they stand.
        order = np.argsort(different[0].numbers, axis=None)
        sorted_pairs = tuple(digest(one.numbers.ravel()[order]) for one in different)
        numbers = np.empty(order.size, np.int32)
        numbers[order] = self._numbers((_identity(equation), sorted_pairs), (order.size,))
        return [Elements(numbers.reshape(different[0].numbers.shape), True)]

    def _moved(self, equation: core.JaxprEqn, operands: Sequence[Made], turns: int | None) -> list[Made] | None:
        """The move, done on the numbers of the elements."""
        name, first = equation.primitive.name, operands[0]
        arguments = [self._argument(name, place, one, equation) for place, one in enumerate(operands)]
        if any(one is None for one in arguments):
            return self._selected(first, _shape(equation.outvars[0]), turns)
        ranks = [len(_shape(atom)) for atom in equation.invars]
        leading = {one.shape[: one.ndim - rank] for one, rank in zip(arguments, ranks, strict=True)} - {()}
        if len(leading) > 1:
            return None
        results = _moved_numbers(equation, arguments, ranks, leading.pop() if leading else ())
        kept = all(one.distinct for one in operands if isinstance(one, Elements))
        return [Elements(one, kept and (name in _ONE_TO_ONE or _all_differ(one))) for one in results]

    def _argument(self, name: str, place: int, made: Made, equation: core.JaxprEqn) -> Any:
        """Numbers of an operand's elements, or the places that it names; None where these are not known."""
        selects = name in SELECTIONS and place > 0
        if isinstance(made, Elements):
            return None if selects else made.numbers
        if selects:
            known = made.number()
            return None if known is None else np.asarray(known)
        shape = _shape(equation.invars[place])
        if name == "pad":
            return np.full(shape, _NO_ELEMENT, np.int32)
        return self._numbers(made.identity, shape)

    def _selected(self, first: Made, shape: tuple[int, ...], turns: int | None) -> list[Made] | None:
        """Elements at places that are not known here, because loops count them: as many parts as there are turns."""
        size = math.prod(shape)
        if isinstance(first, Constant) or not size or turns == 1:
            return None
        parts = -(-first.numbers.size // size)
        parts = parts if turns is None else min(parts, turns)
        whole = first.distinct and parts * size <= first.numbers.size
        return [Elements(np.resize(first.numbers, (parts, *shape)), whole)]

    def _new_arrays(self, equation: core.JaxprEqn, operands: Sequence[Made], turns: int | None) -> list[Made]:
        identity = _identity(equation), tuple(one.identity for one in operands)
        # One in each turn of the loops in which its operands differ.
        leading = max(
            (
                one.numbers.shape[: one.numbers.ndim - len(_shape(atom))]
                for one, atom in zip(operands, equation.invars, strict=True)
                if isinstance(one, Elements)
            ),
            key=len,
            default=(),
        )
        leading = leading or (() if turns in (1, None) else (turns,))
        return [
            self._new_array((*identity, place), (*leading, *_shape(variable)))
            for place, variable in enumerate(equation.outvars)
        ]

    def _new_array(self, identity: Any, shape: tuple[int, ...], of_parameters: bool = True) -> Made:
        return Elements(self._numbers(identity, shape), True) if of_parameters else Constant(identity, lambda: None)

    def _numbers(self, identity: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers of the elements of an array, the same ones for the same array."""
        if identity not in self._new:
            size = math.prod(shape)
            self._new[identity] = np.arange(self.count, self.count + size, dtype=np.int32)
            self.count += size
        return self._new[identity].reshape(shape)


def digest(numbers: np.ndarray) -> tuple[Any, ...]:
    """Shape and hash of an array."""
    return numbers.shape, hashlib.sha1(np.ascontiguousarray(numbers).data, usedforsecurity=False).digest()


def _all_programs(program: Program) -> Iterator[Program]:
    yield program
    for step in program.steps:
        for body in step.bodies:
            yield from _all_programs(body)


def _entering(step: Step) -> Iterator[tuple[Value, Value]]:
    """Values that a loop steps through or carries without change, each with the outer value that it comes from."""
    params: dict[str, Any] = step.equation.params
    if not step.bodies or step.primitive == "cond":
        return
    body, scans = step.bodies[-1], step.primitive == "scan"
    first = params["num_consts"] if scans else params["body_nconsts"]
    start = first if scans else first + params["cond_nconsts"]
    carried = params["num_carry"] if scans else len(body.inputs) - first
    for place, (inner, outer) in enumerate(zip(body.inputs[first:], step.inputs[start:], strict=True)):
        if place >= carried or body.outputs[place].number == inner.number:
            yield inner, outer


def _turns(value: Value) -> int | None:
    """Turns of the loops in which a value differs; None where data decide them."""
    turns = [loop.turns for loop in value.loops]
    return None if None in turns else math.prod(one for one in turns if one is not None)


def _shape(atom: Any) -> tuple[int, ...]:
    return tuple(getattr(atom.aval, "shape", ()))


def _identity(equation: core.JaxprEqn) -> tuple[str, str]:
    return equation.primitive.name, str(sorted(equation.params.items(), key=lambda item: item[0]))


def _all_differ(numbers: np.ndarray) -> bool:
    found = numbers[numbers != _NO_ELEMENT]
    return np.unique(found).size == found.size


def _constant(value: Any) -> Constant:
    dtype = getattr(value, "dtype", None)
    if isinstance(value, jax.core.Tracer) or (dtype is not None and jnp.issubdtype(dtype, jax.dtypes.extended)):
        return Constant(("object", id(value)), lambda: None)
    return Constant(digest(np.asarray(value)), lambda: value)


def _constants(equation: core.JaxprEqn, operands: Sequence[Constant]) -> list[Made]:
    """Results of an operation on constants, computed when they are asked for."""

    @functools.cache
    def results() -> list[Any]:
        known = [one.number() for one in operands]
        if any(one is None for one in known):
            return [None] * len(equation.outvars)
        with jax.ensure_compile_time_eval():
            return core.jaxpr_as_fun(one_equation(equation))(*(known[place] for place in distinct_operands(equation)))

    identity = _identity(equation), tuple(one.identity for one in operands)
    return [
        Constant((*identity, place), functools.partial(lambda place: results()[place], place))
        for place in range(len(equation.outvars))
    ]


def _moved_numbers(
    equation: core.JaxprEqn, arguments: Sequence[Any], ranks: Sequence[int], leading: tuple[int, ...]
) -> list[np.ndarray]:
    """Results of a move on numbers, once for each of the leading axes."""
    if equation.primitive.name == "gather":
        equation = equation.replace(params=equation.params | {"fill_value": _NO_ELEMENT})
    move = core.jaxpr_as_fun(one_equation(equation))
    given = [(arguments[place], arguments[place].ndim > ranks[place]) for place in distinct_operands(equation)]
    for _ in leading:
        move = jax.vmap(move, [0 if has_leading else None for _, has_leading in given])
    with jax.ensure_compile_time_eval():
        return [np.asarray(one) for one in move(*(jnp.asarray(one) for one, _ in given))]
