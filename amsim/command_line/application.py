"""The `amsim` command: its subcommands, and how errors end."""

import importlib.metadata
import sys
from typing import Annotated

import typer
from rich.console import Console

from amsim.command_line.compare_command import compare
from amsim.command_line.show_command import show
from amsim.command_line.sweep_command import sweep
from amsim.command_line.train_command import train
from amsim.command_line.validate_command import validate

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
errors = Console(stderr=True)

USER_ERRORS = (ValueError, OSError, FloatingPointError, MemoryError)


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"amsim {importlib.metadata.version('amsim')}")
        raise typer.Exit
    return wanted


@app.callback()
def _application(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Accuracy, energy, latency and area of neural networks on multiply-accumulate circuits."""


for command in (compare, sweep, show, train, validate):
    app.command()(command)


def main() -> None:
    """Run the command; a user's error ends in one line and exit status 2."""
    try:
        app(standalone_mode=True)
    except USER_ERRORS as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("Interrupted; nothing was written.")
        sys.exit(130)
