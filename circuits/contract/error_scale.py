"""All errors of a circuit made smaller or larger together, for training that starts with little noise."""

import dataclasses
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float


def with_scaled_errors(part: Any, scale: Float[Array, ""]) -> Any:
    """A part whose error sizes, and those of the parts inside it, are multiplied by `scale`.

    A part names the fields that are standard deviations or probabilities of its errors in its class attribute
    `error_sizes`; a part without it has none. Draws of a die are standard ones, so that this scales the same die.

    Args:
        part: A frozen part of a circuit.
        scale: At least 0, shape (), 1; may be traced.

    Returns:
        The part; values are not checked again.
    """
    own = getattr(type(part), "error_sizes", ())
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.name in own and value is not None:
            changed[field.name] = value * scale
        elif isinstance(value, eqx.Module):
            changed[field.name] = with_scaled_errors(value, scale)
    if not changed:
        return part
    # Not `replace`, whose checks of a traced value would run at every step.
    return eqx.tree_at(lambda one: [getattr(one, name) for name in changed], part, list(changed.values()))
