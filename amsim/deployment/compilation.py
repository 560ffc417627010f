"""Compiled functions of a network: compiled once, and anew where something that the network reads has changed."""

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import equinox as eqx
import jax

from amsim.files.reached_values import Reached, reached_from

Function = TypeVar("Function", bound=Callable[..., Any])

REMEMBERED = 128
"""Networks that are remembered, those met last."""


class ReadState:
    """What a network reads besides its arguments; equal where that is, so that a compiled function can be found by it.

    Attributes:
        network: The network.
        digest: Digest of all that it reaches.
        unknown: Values that only their identity tells from others.
    """

    def __init__(self, network: Any, reached: Reached) -> None:
        self.network, self.digest, self.unknown = network, reached.digest, reached.unknown

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, ReadState)
            and self.digest == other.digest
            and list(map(id, self.unknown)) == list(map(id, other.unknown))
        )

    def keep(self) -> None:
        """Take what the network itself has changed while it was traced, such as a counter of calls, for no change."""
        known = _KNOWN.get(_identity(self.network))
        if known is not None and not known.reached.stands():
            _remember(self.network, self)


class _Known(NamedTuple):
    reached: Reached
    state: ReadState


_KNOWN: OrderedDict[Any, _Known] = OrderedDict()


def compiled(network_of: Callable[..., Any]) -> Callable[[Function], Function]:
    """Compile a function as `eqx.filter_jit` does, and anew where something that a network reads has changed.

    A network reads what `amsim.files.reached_values` finds: numbers, arrays and objects in its globals, cells,
    defaults and attributes and those of the functions that it calls. To look costs microseconds a call, and for an
    array of NumPy the time to read it. A function under the user's own `jax.jit` keeps what it read, as JAX says.

    Args:
        network_of: Gives the network, from the arguments of the function.
    """

    def decorate(function: Function) -> Function:
        def traced(state: ReadState, *arguments: Any) -> Any:
            outputs = function(*arguments)
            state.keep()
            return outputs

        named = inspect.unwrap(traced)  # a type checker may stand around it
        named.__name__ = named.__qualname__ = function.__name__
        by_state = eqx.filter_jit(traced)

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            return by_state(_state_of(network_of(*arguments)), *arguments)

        return cast(Function, call)

    return decorate


def _state_of(network: Any) -> ReadState:
    if type(network) is jax.tree_util.Partial and not network.args and not network.keywords:
        network = network.func  # a chip's, made anew whenever the chip passes through a transformation
    known = _KNOWN.get(_identity(network))
    return known.state if known is not None and known.reached.stands() else _remember(network, None)


def _identity(network: Any) -> Any:
    # A bound method is made anew whenever it is named.
    parts = getattr(network, "__self__", None), getattr(network, "__func__", None)
    return id(network) if None in parts else tuple(map(id, parts))


def _remember(network: Any, state: ReadState | None) -> ReadState:
    """State of a network as it is now, or the one given, remembered with what it goes by."""
    arrays = [leaf for leaf in jax.tree.leaves(network) if eqx.is_array(leaf)]  # arguments of what is compiled
    reached = reached_from(network, without=list(map(id, arrays)))
    state = ReadState(network, reached) if state is None else state
    if not any(isinstance(one, jax.core.Tracer) for one in (*arrays, *reached.unknown)):
        _KNOWN[_identity(network)] = _Known(reached, state)
        _KNOWN.move_to_end(_identity(network))
        if len(_KNOWN) > REMEMBERED:
            _KNOWN.popitem(last=False)
    return state
