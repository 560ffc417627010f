"""A traced function as a flat list of steps, with what each value depends on.

Calls without a gradient rule of their own are always inlined; those with one only when a site lies inside, and their
rule then stands around what they consist of. Loops and branches with a site inside keep their place, and hold their
bodies as programs of the same kind.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from jax.extend import core

from amsim.circuits.selection.value_range import ValueRange
from amsim.deployment.tracing import custom_rules
from amsim.deployment.tracing.inner_products import products_inside
from amsim.deployment.tracing.plain_step import distinct_operands
from amsim.deployment.tracing.primitives import (
    CALLS_WITH_RULES,
    CUSTOM_DERIVATIVES,
    IDENTITIES,
    PRODUCTS,
    SELECTIONS,
    TRANSPARENT_CALLS,
    call_body,
)
from amsim.deployment.tracing.quantisers import Quantisers, of_every_element, rounds_inside
from amsim.deployment.tracing.ranges import UNKNOWN, constant_range, dtype_range, hull, output_ranges
from amsim.deployment.tracing.steps import Enclosure, Program, Quantised, Region, Step, Value

CHIP_CALL = "run_deployed_chip"
"""Name of the call that a chip makes; a chip inside a network that is deployed stays on its own macros."""
_PASSES_TO_KNOW_A_RANGE = 2


class _Flattener:
    def __init__(self, activation_products: bool, ruled: Collection[int]) -> None:
        self.activation_products = activation_products
        self.ruled = ruled
        self.regions: list[Region] = []
        self.constants: dict[int, Any] = {}
        self.steps: list[Step] = []
        self.enclosures: tuple[Enclosure, ...] = ()
        self.quantisers = Quantisers(self._program_of)
        self.count = 0
        self.enclosed = 0

    def value(
        self, params: frozenset[int], data: bool, known: ValueRange, shape: tuple[int, ...], **more: Any
    ) -> Value:
        self.count += 1
        return Value(self.count - 1, params, data, known, shape, **more)

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
            if self._inlines(equation, inputs):
                outputs = self._inline(equation, inputs)
            elif equation.primitive.name in self._with_bodies and self._holds_products(equation, inputs):
                outputs = self._with_bodies[equation.primitive.name](equation, inputs)
            else:
                outputs = self._step(equation, inputs)
            known |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    @property
    def _with_bodies(self) -> dict[str, Callable[[core.JaxprEqn, list[Value]], list[Value]]]:
        return {"scan": self._scan, "while": self._while, "cond": self._cond}

    def _inlines(self, equation: core.JaxprEqn, inputs: Sequence[Value]) -> bool:
        name = equation.primitive.name
        if name in TRANSPARENT_CALLS:
            return not is_chip(equation)
        return name in CALLS_WITH_RULES and self._holds_products(equation, inputs)

    def _inline(self, equation: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
        inner, inner_consts = call_body(equation)
        if equation.primitive.name not in CUSTOM_DERIVATIVES:
            return self.run(inner, inner_consts, inputs)
        start, ruled = self.count, id(equation) in self.ruled
        entering = self._program_of(custom_rules.without_derivative(equation.invars), inputs) if ruled else inputs
        results = self.run(inner, inner_consts, entering)
        self.regions.append(Region(equation, range(start, self.count), tuple(results)))
        if not ruled:
            return results
        operands = [inputs[index] for index in distinct_operands(equation)]
        attached = self._program_of(custom_rules.with_rule(equation), [*results, *operands])
        return [new if old.data else old for new, old in zip(attached, results, strict=True)]

    def _program_of(self, closed: core.ClosedJaxpr, inputs: list[Value]) -> list[Value]:
        return self.run(closed.jaxpr, closed.consts, inputs)

    def _holds_products(self, equation: core.JaxprEqn, inputs: Sequence[Value]) -> bool:
        return bool(products_inside(equation, inputs, of_activations=self.activation_products))

    def _step(self, equation: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
        ranges = output_ranges(equation, [value.range for value in inputs])
        elements, name = _elements_of(equation, inputs), equation.primitive.name
        from_weights = any(value.params for value in elements) and all(one.chosen or not one.data for one in elements)
        data = any(value.data for value in inputs)
        chosen = data and from_weights and name not in PRODUCTS
        read = elements if chosen else inputs
        params = frozenset().union(*(value.params for value in read))
        loops = frozenset().union(*(value.loops for value in inputs))
        origin = inputs[0].source if name in IDENTITIES else -1
        same, quantiser = self.quantisers.passed_through(equation, inputs), self._quantiser(equation, inputs, ranges)
        if same is not None:
            ranges, quantiser = [same.range], same.quantised
        outputs = [
            self.value(
                params,
                data,
                known,
                tuple(getattr(variable.aval, "shape", ())),
                loops=loops,
                origin=origin,
                chosen=chosen,
                quantised=quantiser,
            )
            for variable, known in zip(equation.outvars, ranges, strict=True)
        ]
        self.steps.append(Step(equation, tuple(inputs), tuple(outputs)))
        if outputs:
            self.quantisers.note(equation, inputs, outputs[0])
        return outputs

    def _quantiser(
        self, equation: core.JaxprEqn, inputs: list[Value], ranges: Sequence[ValueRange]
    ) -> Quantised | None:
        """Grid of a result whose step is a value; of a call with a rule, by the steps that it consists of."""
        if equation.primitive.name not in CALLS_WITH_RULES:
            return self.quantisers.of(equation, inputs)
        if ranges[0].step or not (rounds_inside(equation) or any(value.quantised for value in inputs)):
            return None
        before = len(self.steps)
        inside = self.run(*call_body(equation), inputs)[0].quantised
        if inside is None or inside.factor.number in {value.number for value in inputs}:
            del self.steps[before:]
        return inside

    def _scan(self, equation: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
        params: dict[str, Any] = equation.params
        loop, first = self._enclosure("scan", params["length"]), params["num_consts"]
        last = first + params["num_carry"]
        slices = [
            self._like(
                value,
                variable.aval.shape,
                loops=value.loops | {loop},
                origin=value.source,
                quantised=of_every_element(value),
            )
            for value, variable in zip(inputs[last:], params["jaxpr"].jaxpr.invars[last:], strict=True)
        ]
        body = self._loop_body(params["jaxpr"], inputs[:first], inputs[first:last], slices, loop)
        results = [*body.inputs[first:last], *body.outputs[last - first :]]
        return self._after(equation, inputs, (body,), [[result] for result in results], loop)

    def _while(self, equation: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
        params: dict[str, Any] = equation.params
        loop, own = self._enclosure("while", None), params["cond_nconsts"]
        first = own + params["body_nconsts"]
        body = self._loop_body(params["body_jaxpr"], inputs[own:first], inputs[first:], [], loop)
        carry = body.inputs[first - own :]
        condition = self._body(params["cond_jaxpr"], [*inputs[:own], *carry], loop)
        # How many turns there are, and so what is left, depends on all that the condition does.
        sources = [[value, *condition.outputs] for value in carry]
        return self._after(equation, inputs, (condition, body), sources, loop)

    def _cond(self, equation: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
        branch = self._enclosure("cond", None)
        bodies = tuple(self._body(closed, inputs[1:], branch) for closed in equation.params["branches"])
        sources = [[*results, inputs[0]] for results in zip(*(body.outputs for body in bodies), strict=True)]
        return self._after(equation, inputs, bodies, sources, branch, len(bodies))

    def _after(
        self,
        equation: core.JaxprEqn,
        inputs: Sequence[Value],
        bodies: tuple[Program, ...],
        sources: Sequence[Sequence[Value]],
        enclosure: Enclosure,
        alternatives: int = 1,
    ) -> list[Value]:
        """Results of a loop or branch as one step; each comes from some values inside, the first of them directly."""
        late, outputs = any(value.data for value in inputs), []
        for variable, values in zip(equation.outvars, sources, strict=True):
            params = frozenset().union(*(value.params for value in values))
            data = any(value.data for value in values)
            outputs.append(
                self.value(
                    params,
                    # Not there before the data are, even where it does not depend on them.
                    data or late,
                    hull([value.range for value in values[:alternatives]]),
                    tuple(variable.aval.shape),  # type: ignore[attr-defined]
                    loops=frozenset().union(*(value.loops for value in values)) - {enclosure},
                    chosen=bool(params) and late and not data,
                )
            )
        self.steps.append(Step(equation, tuple(inputs), tuple(outputs), bodies))
        return outputs

    def _loop_body(
        self,
        closed: core.ClosedJaxpr,
        fixed: Sequence[Value],
        start: Sequence[Value],
        slices: Sequence[Value],
        loop: Enclosure,
    ) -> Program:
        """Body of a loop, once what is known of the values it carries no longer changes from turn to turn."""
        carry = [self._like(value, value.shape, loops=value.loops, origin=value.source) for value in start]
        avals = [variable.aval for variable in closed.jaxpr.invars[len(fixed) :]]
        passes = 0
        while True:
            body = self._body(closed, [*fixed, *carry, *slices], loop)
            after = [
                self._next_carry(before, result, loop, aval, passes)
                for before, result, aval in zip(carry, body.outputs, avals, strict=False)
            ]
            if all(_without_number(before) == _without_number(one) for before, one in zip(carry, after, strict=True)):
                return body
            carry, passes = after, passes + 1

    def _next_carry(self, before: Value, result: Value, loop: Enclosure, aval: Any, passes: int) -> Value:
        """Carried value that covers both `before`, at one turn, and `result`, at the next."""
        if before.number == result.number:
            return before
        known = hull([before.range, result.range])
        if known != before.range and passes >= _PASSES_TO_KNOW_A_RANGE:
            known = dtype_range(aval)
        return self.value(
            before.params | result.params,
            before.data or result.data,
            dtype_range(aval) if known == UNKNOWN else known,
            before.shape,
            loops=before.loops | result.loops | {loop},
            chosen=before.chosen and result.chosen,
        )

    def _body(self, closed: core.ClosedJaxpr, arguments: Sequence[Value], enclosure: Enclosure) -> Program:
        outside = self.constants, self.steps, self.enclosures
        self.constants, self.steps, self.enclosures = {}, [], (*self.enclosures, enclosure)
        body = self.program(closed, arguments)
        self.constants, self.steps, self.enclosures = outside
        return body

    def program(self, closed: core.ClosedJaxpr, arguments: Sequence[Value]) -> Program:
        outputs = self.run(closed.jaxpr, closed.consts, arguments)
        # A weight or threshold that is computed after a product must be there when the product is replaced.
        steps = sorted(self.steps, key=lambda step: any(value.data for value in step.inputs))
        return Program(tuple(arguments), self.constants, tuple(steps), tuple(outputs), self.enclosures)

    def _like(self, value: Value, shape: tuple[int, ...], **more: Any) -> Value:
        return self.value(value.params, value.data, value.range, tuple(shape), chosen=value.chosen, **more)

    def _enclosure(self, primitive: str, turns: int | None) -> Enclosure:
        self.enclosed += 1
        return Enclosure(self.enclosed, primitive, turns)


def _elements_of(equation: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
    """Operands that a result's elements are taken or computed from, without those that only select elements."""
    if equation.primitive.name == "select_n":
        return inputs[1:]
    return inputs[:1] if equation.primitive.name in SELECTIONS else inputs


def _without_number(value: Value) -> tuple[Any, ...]:
    return value[1:]


def flatten(
    closed: core.ClosedJaxpr,
    parameter_leaves: int,
    *,
    activation_products: bool = False,
    ruled: Collection[int] = (),
) -> Program:
    """Flat program of a traced function.

    Args:
        closed: The function.
        parameter_leaves: How many of its first inputs are parameters.
        activation_products: Whether calls and loops are also opened for products of two activations.
        ruled: `id` of each equation, among those of the program's regions, whose rule stays in force.
    """
    flattener = _Flattener(activation_products, ruled)
    inputs = []
    for index, variable in enumerate(closed.jaxpr.invars):
        own = frozenset({index}) if index < parameter_leaves else frozenset()
        known = dtype_range(variable.aval)
        shape = tuple(variable.aval.shape)
        inputs.append(flattener.value(own, not own, known, shape))
    return flattener.program(closed, inputs)._replace(regions=tuple(flattener.regions))


def is_chip(equation: core.JaxprEqn) -> bool:
    """Whether a call is that of a deployed chip."""
    return equation.params.get("name") == CHIP_CALL
