"""Names of parameter leaves by their paths."""

from typing import Any

import jax


def leaf_name(path: tuple[Any, ...]) -> str:
    """Name of a parameter leaf by its path, such as `conv1.kernel`; a site bears that of its weight."""
    in_variable = len(path) > 1 and isinstance(path[-2], jax.tree_util.DictKey)
    if in_variable and path[-1] == jax.tree_util.GetAttrKey("value"):
        # Flax NNX keeps an array in a variable of the module; the variable is the weight.
        path = path[:-1]
    parts = [str(getattr(entry, "key", getattr(entry, "idx", getattr(entry, "name", entry)))) for entry in path]
    return ".".join(parts) or "weight"
