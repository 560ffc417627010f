"""The `amsim` command: its subcommands, and how errors end."""

import functools
import importlib.metadata
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.models import OptionInfo

from amsim.command_line.compare_command import compare
from amsim.command_line.show_command import show
from amsim.command_line.sweep_command import sweep
from amsim.command_line.train_command import train
from amsim.command_line.validate_command import validate

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
errors = Console(stderr=True)

_said = threading.Event()
"""Whether a command has said that it was interrupted."""

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


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which says itself that it was interrupted: typer says "Aborted" and ends with status 1."""

    @functools.wraps(command)
    def run_command(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except typer.Exit as ended:
            if ended.exit_code == 130:
                _said.set()
            raise
        except KeyboardInterrupt:
            _said.set()
            typer.echo("Interrupted; files are whole or not there; the same command starts again.", err=True)
            raise typer.Exit(130) from None
        except USER_ERRORS as error:
            raise ValueError(_with_options(str(error), command, options)) from None

    return run_command


def _with_options(message: str, command: Callable[..., None], given: Mapping[str, Any]) -> str:
    """The message, which names options as they were typed."""
    for name, parameter in inspect.signature(command).parameters.items():
        typed = any(isinstance(one, OptionInfo) for one in getattr(parameter.annotation, "__metadata__", ()))
        if typed and given.get(name) != parameter.default:
            message = message.replace(f"Argument `{name}`", f"Argument `--{name.replace('_', '-')}`")
    return message


for command in (compare, sweep, show, train, validate):
    app.command()(_interruptible(command))


def run() -> int:
    """Exit status of the command; a user's error ends in one line and status 2."""
    try:
        app(standalone_mode=True)
    except USER_ERRORS as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    except SystemExit as ended:
        if ended.code == 130 and not _said.is_set():
            raise KeyboardInterrupt from None  # typer's own end, without a line
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
