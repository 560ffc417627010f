"""Division of labelled items into two parts that share none."""

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from amsim.datasets.split import Split


def set_aside(name: str, share: float, data: Split, key: PRNGKeyArray) -> tuple[Split, Split]:
    """Items that are kept and items that are set aside, each in their order.

    Args:
        name: Argument that the share is of, for errors.
        share: Fraction to set aside, above 0 and below 1.
        data: The items.
        key: Draws which.

    Raises:
        ValueError: A share that leaves no items on one side.
    """
    order = np.asarray(jax.random.permutation(key, len(data)))
    count = round(float(share) * len(data))
    if not 0 < count < len(data):
        raise ValueError(f"Argument `{name}` must leave items on both sides, but is {share} of {len(data)} items.")
    return data[np.sort(order[count:])], data[np.sort(order[:count])]
