"""Digest of a traced program and of all that it holds, to tell one computation from another."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from amsim.files.array_content import array_content
from amsim.files.one_equation import one_equation
from amsim.files.python_parts import PLAIN
from amsim.files.reached_values import reached_from

RULES = {"custom_jvp_call": ("jvp_jaxpr_fun",), "custom_vjp_call": ("fwd_jaxpr_thunk", "bwd", "out_trees")}
"""Calls with a derivative of their own, and the settings that hold it as Python functions."""


def program_digest(closed: ClosedJaxpr, *, derivatives: bool) -> str:
    """Hexadecimal digest of a program, the same in every process with one version of JAX.

    It covers every operation with its settings, and every number and bit of an array at any depth; of functions that
    are called while the program runs (`jax.pure_callback`) all that `amsim.files.reached_values` finds. Names of
    variables, places in files and addresses do not count.

    Args:
        closed: The program.
        derivatives: Whether it will be differentiated: the derivatives that its functions define count too.
    """
    return _Contents(derivatives).program(closed)


class _Contents:
    """Contents of programs as nested plain values, each program and array as a digest that is computed once.

    Attributes:
        derivatives: Whether derivatives of calls count. Those of calls inside a derivative do not: nothing takes them.
    """

    def __init__(self, derivatives: bool) -> None:
        self.derivatives = derivatives
        self._known: dict[int, tuple[Any, Any]] = {}  # with the value, so that no identity is used again
        self._types: dict[Any, str] = {}

    def program(self, closed: ClosedJaxpr) -> str:
        return _digest([self._body(closed.jaxpr), [self.value(one) for one in closed.consts]])

    def _body(self, jaxpr: Jaxpr) -> str:
        return self._once(jaxpr, lambda: _digest(self._operations(jaxpr)))

    def _once(self, value: Any, content: Callable[[], Any]) -> Any:
        if id(value) not in self._known:
            self._known[id(value)] = value, content()
        return self._known[id(value)][1]

    def _operations(self, jaxpr: Jaxpr) -> list[Any]:
        numbers: dict[Any, int] = {}

        def written(variables: Iterable[Any]) -> list[str]:
            types = []
            for variable in variables:
                numbers[variable] = len(numbers)
                types.append(self._type(variable.aval))
            return types

        def read(atom: Any) -> Any:
            return [self._type(atom.aval), self.value(atom.val)] if isinstance(atom, Literal) else numbers[atom]

        found: list[Any] = [written([*jaxpr.constvars, *jaxpr.invars])]
        for equation in jaxpr.eqns:
            inputs = [read(atom) for atom in equation.invars]
            found.append([inputs, self._operation(equation), written(equation.outvars)])
        return [*found, [read(atom) for atom in jaxpr.outvars]]

    def _type(self, aval: Any) -> str:
        if aval not in self._types:
            self._types[aval] = repr(aval)
        return self._types[aval]

    def _operation(self, equation: JaxprEqn) -> list[Any]:
        name = equation.primitive.name
        rule = RULES.get(name, ())
        settings = [[key, self.value(one)] for key, one in sorted(equation.params.items()) if key not in rule]
        found = [name, repr(getattr(equation, "ctx", None)), settings]
        return [*found, _derivative(equation)] if rule and self.derivatives else found

    def value(self, value: Any) -> Any:
        """A setting or a constant."""
        kind = type(value)
        if kind in PLAIN:
            return [kind.__name__, repr(value)]
        if isinstance(value, ClosedJaxpr):
            return self._once(value, lambda: self.program(value))
        if isinstance(value, Jaxpr):
            return self._body(value)
        if kind.__name__ == "PRNGImpl":
            # Kinds of keys are known by their name, as to JAX.
            return [kind.__name__, value.name, list(value.key_shape)]
        if isinstance(value, tuple | list):
            return [kind.__name__, [self.value(one) for one in value]]
        if isinstance(value, Mapping):
            return [kind.__name__, [[self.value(name), self.value(one)] for name, one in value.items()]]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return [kind.__name__, self.value(fields)]
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            return self._once(value, lambda: array_content(value))
        return self._once(value, lambda: reached_from(value).digest)


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _derivative(equation: JaxprEqn) -> str:
    """Digest of the program of a call's own derivative; of none where its rule gives none."""
    call = one_equation(equation)
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in call.in_avals]
    moves = [jnp.issubdtype(shape.dtype, jnp.inexact) for shape in shapes]

    def slope(operands: list[Any]) -> Any:
        def results(*moved: Any) -> Any:
            given = iter(moved)
            own = [next(given) if one_moves else one for one_moves, one in zip(moves, operands, strict=True)]
            return jaxpr_as_fun(call)(*own)

        moved = [one for one_moves, one in zip(moves, operands, strict=True) if one_moves]
        if equation.primitive.name == "custom_jvp_call":
            return jax.jvp(results, moved, moved)[1]
        found, pull = jax.vjp(results, *moved)
        return pull([one if jnp.issubdtype(one.dtype, jnp.inexact) else _no_slope(one) for one in found])

    try:
        return _Contents(derivatives=False).program(jax.make_jaxpr(slope)(shapes))
    except Exception as error:  # whatever the user's rule raises
        return f"none: {type(error).__name__}"


def _no_slope(value: Any) -> np.ndarray:
    return np.zeros(value.shape, jax.dtypes.float0)
