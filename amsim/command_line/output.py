"""Results as JSON."""

import math
from typing import Any


def plain(result: Any) -> dict[str, Any]:
    """Content of a result as JSON can hold it."""

    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(one) for one in value]
        # JSON has no NaN.
        return None if isinstance(value, float) and not math.isfinite(value) else value

    variables = {**result.coords, **result.data_vars}
    return {
        "attributes": dict(result.attrs),
        "variables": {
            name: {"dims": list(array.dims), "units": array.attrs["units"], "values": clean(array.values.tolist())}
            for name, array in variables.items()
        },
    }
