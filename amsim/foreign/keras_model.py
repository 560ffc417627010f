"""A network from a Keras 3 model that runs on JAX: its own function, with its variables as parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from amsim.circuits.checks import shown

SEED_STATE = "seed_generator_state"
"""Name of the variables that Keras draws random numbers from, which an inference needs none of."""


def from_keras(model: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Network of a Keras 3 model, in inference mode; nothing is exported, JAX traces the model itself.

    Args:
        model: A built `keras.Model` on Keras' JAX backend, which is not changed.

    Returns:
        The function `network(params, *inputs)` and its parameters for `amsim.deploy`: trainable variables and
        others, such as running means, in dicts nested as Keras names them, `params["conv2d"]["kernel"]`. Inputs are
        those of the model, in order, in Keras' layout; several of them also as one dict by name.

    Raises:
        ImportError: `keras` is not installed; the text says how to.
        ValueError: Another kind of model, one that is not built, or another backend.

    Validity: what JAX can trace. Parameters are copies: the model's later training does not change them.
    """
    try:
        import keras
    except ImportError:
        raise ImportError("Networks of Keras need `keras`: pip install 'amsim[keras]'.") from None
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"Argument `model` must run on JAX, but Keras runs on {keras.backend.backend()}: set the environment "
            "variable KERAS_BACKEND=jax before Keras is imported."
        )
    if not isinstance(model, keras.Model):
        raise ValueError(f"Argument `model` must be a keras.Model, but is {shown(model)}.")
    if not model.built:
        raise ValueError(f"Argument `model` must be built, but {model.name!r} is not: call it on an example first.")
    trainable, others = list(model.trainable_variables), list(model.non_trainable_variables)
    places = _places([*trainable, *others], model.name)
    params: dict[str, Any] = {}
    for variable, place in zip([*trainable, *others], places, strict=True):
        if place is not None:
            _put(params, place, jnp.array(variable.value))
    seeds = {variable.path: jnp.array(variable.value) for variable in others if _is_seed(variable)}

    def network(params: Mapping[str, Any], *inputs: Any) -> Any:
        values = [
            seeds[variable.path] if place is None else _of(params, place)
            for variable, place in zip([*trainable, *others], places, strict=True)
        ]
        given = inputs[0] if len(inputs) == 1 else list(inputs)
        return model.stateless_call(values[: len(trainable)], values[len(trainable) :], given, training=False)[0]

    network.__name__ = network.__qualname__ = model.name
    return network, params


def _is_seed(variable: Any) -> bool:
    return variable.path.rpartition("/")[2] == SEED_STATE


def _places(variables: Sequence[Any], model: str) -> list[tuple[str, ...] | None]:
    """Place of each variable in the nested parameters: the path of its layer, without the name of the model itself.

    Layers of one name, of which Keras allows several, get a number. Seeds have no place.
    """
    paths = [tuple(variable.path.split("/")) for variable in variables]
    paths = [path[1:] if path[0] == model and len(path) > 2 else path for path in paths]
    found: list[tuple[str, ...] | None] = []
    for path, variable in zip(paths, variables, strict=True):
        place, number = path, 1
        while place in found:
            number += 1
            place = (*path[:-2], f"{path[-2]}_{number}", path[-1]) if len(path) > 1 else (f"{path[0]}_{number}",)
        found.append(None if _is_seed(variable) else place)
    return found


def _put(tree: dict[str, Any], place: tuple[str, ...], value: Array) -> None:
    *groups, last = place
    for group in groups:
        tree = tree.setdefault(group, {})
    tree[last] = value


def _of(params: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    found: Any = params
    for name in place:
        if not isinstance(found, Mapping) or name not in found:
            raise ValueError(f"Argument `params` must have {'/'.join(place)!r}, as `from_keras` returned it.")
        found = found[name]
    if not isinstance(found, jax.Array | float | int) and not hasattr(found, "shape"):
        raise ValueError(f"Argument `params` must have an array {'/'.join(place)!r}, but has {shown(found)}.")
    return found
