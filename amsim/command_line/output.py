"""What commands say beside their tables: results as JSON, progress, and where files are."""

import json
import math
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from rich.console import Console

quiet: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether the running command was given `--quiet`."""


def shows_progress() -> bool:
    """Whether the running command shows a bar while it works."""
    return not quiet.get()


def print_written(*paths: Path) -> None:
    """Say where the files of a command are, unless it is to be quiet."""
    if not quiet.get():
        named = ", ".join(map(str, paths))
        Console(markup=False, emoji=False, highlight=False).print(f"Written: {named}", soft_wrap=True)


def print_json(result: Any) -> None:
    """Print the content of a result as JSON."""
    print(json.dumps(plain(result), indent=1))


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
