"""A traced function as one flat list of steps, with what each value depends on.

Calls without a gradient rule of their own are always inlined; those with one only when a site lies inside, so that a
user's custom derivatives stay in force everywhere else.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.extend import core

from amsim.circuits.operands import ValueRange
from amsim.deployment.ranges import constant_range, dtype_range, output_ranges

PRODUCTS = ("dot_general", "conv_general_dilated")
TRANSPARENT_CALLS = ("jit", "pjit", "closed_call", "core_call")
CALLS_WITH_RULES = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "remat", "remat2", "checkpoint")


class Value(NamedTuple):
    """One value of the program.

    Attributes:
        number: Its place in the environment.
        params: Parameter leaves it depends on.
        data: Whether it depends on the function's inputs.
        range: What is known of it before any data are seen.
        shape: Its shape.
    """

    number: int
    params: frozenset[int]
    data: bool
    range: ValueRange
    shape: tuple[int, ...]

    @property
    def is_weight(self) -> bool:
        """Whether it depends on parameters and on nothing else."""
        return bool(self.params) and not self.data


class Step(NamedTuple):
    """One operation: its equation, and the values it reads and writes."""

    equation: core.JaxprEqn
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def primitive(self) -> str:
        """Name of the operation."""
        return self.equation.primitive.name

    @property
    def dtype(self) -> Any:
        """Type of its first result."""
        return self.equation.outvars[0].aval.dtype  # type: ignore[attr-defined]


class Program(NamedTuple):
    """A flat function.

    Attributes:
        inputs: Values of parameters and inputs, in order.
        constants: Numbers by place in the environment.
        steps: Operations in an order in which they can run, those on parameters alone first.
        outputs: Values returned.
    """

    inputs: tuple[Value, ...]
    constants: dict[int, Any]
    steps: tuple[Step, ...]
    outputs: tuple[Value, ...]


class _Flattener:
    def __init__(self) -> None:
        self.constants: dict[int, Any] = {}
        self.steps: list[Step] = []
        self.count = 0

    def value(self, params: frozenset[int], data: bool, known: ValueRange, shape: tuple[int, ...]) -> Value:
        self.count += 1
        return Value(self.count - 1, params, data, known, shape)

    def constant(self, number: Any) -> Value:
        value = self.value(frozenset(), False, constant_range(number), np.shape(number))
        self.constants[value.number] = number
        return value

    def run(self, jaxpr: core.Jaxpr, consts: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
        known: dict[core.Var, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
        known |= {variable: self.constant(number) for variable, number in zip(jaxpr.constvars, consts, strict=True)}

        def read(atom: Any) -> Value:
            return self.constant(atom.val) if isinstance(atom, core.Literal) else known[atom]

        for equation in jaxpr.eqns:
            inputs = [read(atom) for atom in equation.invars]
            if self._inlined(equation, inputs):
                inner, inner_consts = inner_jaxpr(equation)
                outputs = self.run(inner, inner_consts, inputs)
            else:
                outputs = self._step(equation, inputs)
            known |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _inlined(self, equation: core.JaxprEqn, inputs: Sequence[Value]) -> bool:
        name = equation.primitive.name
        if name in TRANSPARENT_CALLS:
            return True
        return name in CALLS_WITH_RULES and bool(products_inside(equation, inputs))

    def _step(self, equation: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
        params = frozenset().union(*(value.params for value in inputs))
        data = any(value.data for value in inputs)
        ranges = output_ranges(equation, [value.range for value in inputs])
        outputs = [
            self.value(params, data, known, tuple(getattr(variable.aval, "shape", ())))
            for variable, known in zip(equation.outvars, ranges, strict=True)
        ]
        self.steps.append(Step(equation, tuple(inputs), tuple(outputs)))
        return outputs


def flatten(closed: core.ClosedJaxpr, parameter_leaves: int) -> Program:
    """Flat program of a traced function whose first `parameter_leaves` inputs are its parameters."""
    flattener = _Flattener()
    inputs = []
    for index, variable in enumerate(closed.jaxpr.invars):
        own = frozenset({index}) if index < parameter_leaves else frozenset()
        known = ValueRange() if own else dtype_range(variable.aval)
        shape = tuple(variable.aval.shape)
        inputs.append(flattener.value(own, not own, known, shape))
    outputs = flattener.run(closed.jaxpr, closed.consts, inputs)
    # A weight or threshold that is computed after a product must be there when the product is replaced.
    steps = sorted(flattener.steps, key=lambda step: any(value.data for value in step.inputs))
    return Program(tuple(inputs), flattener.constants, tuple(steps), tuple(outputs))


def inner_jaxpr(equation: core.JaxprEqn) -> tuple[core.Jaxpr, Sequence[Any]]:
    """Body of a call and its constants."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if inner is not None:
            return (inner.jaxpr, inner.consts) if isinstance(inner, core.ClosedJaxpr) else (inner, ())
    raise ValueError(f"Operation {equation.primitive.name} has no body that can be read.")


class Mark(NamedTuple):
    """What a value inside a call or loop depends on.

    Attributes:
        weights: Inputs of the outermost call or loop that are weights.
        data: Whether it depends on data.
    """

    weights: frozenset[int] = frozenset()
    data: bool = False


def products_inside(equation: core.JaxprEqn, inputs: Sequence[Value]) -> list[frozenset[int]]:
    """Products of a weight with data inside a call or loop; of each, the inputs that its weight is made from."""
    marks = [Mark(frozenset({i} if value.is_weight else ()), value.data) for i, value in enumerate(inputs)]
    return _through(equation, marks)[0]


def _through(equation: core.JaxprEqn, marks: list[Mark]) -> tuple[list[frozenset[int]], list[Mark]]:
    """Products inside an operation, and the marks of its outputs."""
    params: dict[str, Any] = equation.params
    if equation.primitive.name == "scan":
        return _looped(params["jaxpr"].jaxpr, marks, params["num_consts"], params["num_carry"])
    if equation.primitive.name == "while":
        own, body = params["cond_nconsts"], params["body_nconsts"]
        found, carried = _looped(params["body_jaxpr"].jaxpr, marks[own:], body, len(marks) - own - body)
        return found + _follow(params["cond_jaxpr"].jaxpr, marks[:own] + carried)[0], carried
    found = []
    for body in _bodies(equation):
        # A branch of a `cond` takes all inputs but the first.
        found += _follow(body, marks[len(marks) - len(body.invars) :])[0]
    return found, [_joined(marks)] * len(equation.outvars)


def _follow(body: core.Jaxpr, marks: list[Mark]) -> tuple[list[frozenset[int]], list[Mark]]:
    found: list[frozenset[int]] = []
    known: dict[Any, Mark] = dict(zip(body.invars, marks, strict=True))
    for equation in body.eqns:
        read = [_mark_of(atom, known) for atom in equation.invars]
        if equation.primitive.name in PRODUCTS and any(mark.data for mark in read):
            found += [mark.weights for mark in read if mark.weights and not mark.data]
        inside, outputs = _through(equation, read)
        found += inside
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return found, [_mark_of(atom, known) for atom in body.outvars]


def _mark_of(atom: Any, known: dict[Any, Mark]) -> Mark:
    return Mark() if isinstance(atom, core.Literal) else known.get(atom, Mark())


def _looped(
    body: core.Jaxpr, marks: list[Mark], constants: int, carried: int
) -> tuple[list[frozenset[int]], list[Mark]]:
    """Follow a body until what it carries from turn to turn depends on nothing new."""
    while True:
        found, outputs = _follow(body, marks)
        carry = slice(constants, constants + carried)
        after = [_joined(pair) for pair in zip(marks[carry], outputs[:carried], strict=True)]
        if after == marks[carry]:
            return found, outputs
        marks = [*marks[:constants], *after, *marks[constants + carried :]]


def _joined(marks: Sequence[Mark]) -> Mark:
    return Mark(frozenset().union(*(mark.weights for mark in marks)), any(mark.data for mark in marks))


def _bodies(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    found = []
    for parameter in equation.params.values():
        for item in parameter if isinstance(parameter, tuple | list) else (parameter,):
            body = item.jaxpr if isinstance(item, core.ClosedJaxpr) else item
            if isinstance(body, core.Jaxpr) and len(body.invars) <= len(equation.invars):
                found.append(body)
    return found
