"""Where an operation puts an axis of its operand: which axis of the result it becomes, if it does not end there."""

from collections.abc import Callable
from typing import Any

from jax.extend import core

SUMMARY, ONE, TOGETHER, UNKNOWN = "summary", "one", "together", "unknown"
"""A value of the whole axis, such as a mean; that of one place; those each made of several; and none of it is known."""

Outcome = tuple[int, int] | str
"""Axis of the result and elements of it from one place to the next, or where the axis ends."""

_MOVES: dict[str, Callable[[core.JaxprEqn, int, int, int], Outcome]] = {}


def moved_axis(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    """Where an operation puts an axis of one of its operands.

    Args:
        equation: The operation.
        operand: Number of the operand.
        axis: Number of the axis.
        inner: Elements of it from one place to the next, where it is joined with others.
    """
    move = _MOVES.get(equation.primitive.name)
    return UNKNOWN if move is None else move(equation, operand, axis, inner)


def _of(*names: str) -> Callable[[Callable[..., Outcome]], Callable[..., Outcome]]:
    def keep(move: Callable[..., Outcome]) -> Callable[..., Outcome]:
        _MOVES.update(dict.fromkeys(names, move))
        return move

    return keep


@_of("broadcast_in_dim")
def _broadcast(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    return int(equation.params["broadcast_dimensions"][axis]), inner


@_of("transpose")
def _transposed(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    return tuple(equation.params["permutation"]).index(axis), inner


@_of("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "argmax", "argmin")
def _reduced(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    axes = [int(other) for other in equation.params["axes"]]
    return SUMMARY if axis in axes else (axis - sum(other < axis for other in axes), inner)


@_of("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
def _accumulated(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    return TOGETHER if equation.params["axis"] == axis else (axis, inner)


@_of("sort")
def _sorted(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    return TOGETHER if equation.params["dimension"] == axis else (axis, inner)


@_of("reduce_window_sum", "reduce_window_max", "reduce_window_min")
def _pooled(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    return TOGETHER if equation.params["window_dimensions"][axis] > 1 else (axis, inner)


@_of("concatenate")
def _joined(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    return UNKNOWN if equation.params["dimension"] == axis else (axis, inner)


@_of("slice", "dynamic_slice", "pad", "split")
def _cut(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    sizes = {_size(variable, axis) for variable in equation.outvars}
    if sizes == {_size(equation.invars[operand], axis)}:
        return axis, inner
    return ONE if sizes == {1} else UNKNOWN


@_of("rev")
def _reversed(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    return UNKNOWN if axis in equation.params["dimensions"] else (axis, inner)


@_of("gather")
def _looked_up(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    numbers, rank = equation.params["dimension_numbers"], _rank(equation.outvars[0])
    if operand != 1 or numbers.operand_batching_dims or axis == _rank(equation.invars[1]) - 1:
        return UNKNOWN
    return [place for place in range(rank) if place not in numbers.offset_dims][axis], inner


@_of("dot_general")
def _multiplied(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    summed, batch = equation.params["dimension_numbers"]
    if axis in summed[operand]:
        return TOGETHER
    if axis in batch[operand]:
        return tuple(batch[operand]).index(axis), inner
    free = [_free(equation, number) for number in (0, 1)]
    first = len(batch[0]) + (len(free[0]) if operand else 0)
    return first + free[operand].index(axis), inner


def _free(equation: core.JaxprEqn, operand: int) -> list[int]:
    summed, batch = equation.params["dimension_numbers"]
    return [axis for axis in range(_rank(equation.invars[operand])) if axis not in (*summed[operand], *batch[operand])]


@_of("conv_general_dilated")
def _convolved(equation: core.JaxprEqn, operand: int, axis: int, inner: int) -> Outcome:
    numbers: Any = equation.params["dimension_numbers"]
    if operand or (equation.params["feature_group_count"] > 1 and axis == numbers.lhs_spec[1]):
        return UNKNOWN
    return (int(numbers.out_spec[0]), inner) if axis == numbers.lhs_spec[0] else TOGETHER


def _rank(atom: Any) -> int:
    return len(atom.aval.shape)


def _size(variable: Any, axis: int) -> int:
    return int(variable.aval.shape[axis])
