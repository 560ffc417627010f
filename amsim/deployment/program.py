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
LOOPS = ("scan", "while", "cond", "shard_map")


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


class Program(NamedTuple):
    """A flat function.

    Attributes:
        inputs: Values of parameters and inputs, in order.
        constants: Numbers by place in the environment.
        steps: Operations in order.
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
        return name in CALLS_WITH_RULES and contains_site(equation, [(value.is_weight, value.data) for value in inputs])

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
        shape = tuple(variable.aval.shape)  # type: ignore[attr-defined]
        inputs.append(flattener.value(own, not own, known, shape))
    outputs = flattener.run(closed.jaxpr, closed.consts, inputs)
    return Program(tuple(inputs), flattener.constants, tuple(flattener.steps), tuple(outputs))


def inner_jaxpr(equation: core.JaxprEqn) -> tuple[core.Jaxpr, Sequence[Any]]:
    """Body of a call and its constants."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if inner is not None:
            return (inner.jaxpr, inner.consts) if isinstance(inner, core.ClosedJaxpr) else (inner, ())
    raise ValueError(f"Operation {equation.primitive.name} has no body that can be read.")


def contains_site(equation: core.JaxprEqn, flow: Sequence[tuple[bool, bool]]) -> bool:
    """Whether a product of a weight with data lies inside a call or loop.

    Args:
        equation: The call.
        flow: For each input, whether it is a weight and whether it depends on data.
    """
    bodies = [inner.jaxpr if isinstance(inner, core.ClosedJaxpr) else inner for inner in _bodies(equation)]
    for body in bodies:
        # A loop's bodies may take fewer inputs than the loop: the last ones are theirs.
        given = list(flow)[len(flow) - len(body.invars) :] if len(flow) >= len(body.invars) else [(False, True)]
        marks = dict(zip(body.invars, given, strict=False))
        if _site_in_body(body, marks):
            return True
    return False


def _site_in_body(body: core.Jaxpr, marks: dict[Any, tuple[bool, bool]]) -> bool:
    for equation in body.eqns:
        flow = [
            (False, False) if isinstance(atom, core.Literal) else marks.get(atom, (False, False))
            for atom in equation.invars
        ]
        if equation.primitive.name in PRODUCTS:
            if any(weight for weight, _ in flow) and any(data for _, data in flow):
                return True
        elif contains_site(equation, flow):
            return True
        data = any(is_data for _, is_data in flow)
        weight = any(is_weight for is_weight, _ in flow) and not data
        marks |= dict.fromkeys(equation.outvars, (weight, data))
    return False


def _bodies(equation: core.JaxprEqn) -> list[Any]:
    found = []
    for parameter in equation.params.values():
        for item in parameter if isinstance(parameter, tuple | list) else (parameter,):
            if isinstance(item, core.ClosedJaxpr | core.Jaxpr):
                found.append(item)
    return found
