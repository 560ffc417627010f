"""The `amsim` command: its subcommands, and how errors end."""

import functools
import importlib.metadata
import inspect
import reprlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand
from typer.models import OptionInfo

from amsim.command_line.cascade_command import cascade
from amsim.command_line.compare_command import compare
from amsim.command_line.explore_command import explore
from amsim.command_line.inspect_command import inspect as inspect_network
from amsim.command_line.option_values import named_as_typed, with_options
from amsim.command_line.output import quiet
from amsim.command_line.report_command import report
from amsim.command_line.show_command import show
from amsim.command_line.sweep_command import sweep
from amsim.command_line.train_command import train
from amsim.command_line.validate_command import validate

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, context_settings=HELP)
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
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache",
            envvar="AMSIM_CACHE",
            metavar="FOLDER",
            help="Keep compiled programs in this folder, from which later commands start sooner.",
        ),
    ] = None,
) -> None:
    """Accuracy, energy, latency and area of neural networks on multiply-accumulate circuits."""
    if cache is None:
        return
    from amsim.deployment import compilation_cache  # loads JAX, which `--help` does not

    with named_as_typed({"folder": "--cache"}):
        compilation_cache(cache)


def _naming_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command, whose errors name options as they were typed."""

    @functools.wraps(command)
    def run_command(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except USER_ERRORS as error:
            raise ValueError(with_options(str(error), _typed(command, options))) from None

    return run_command


def _with_quiet(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with the option that every command has."""
    option = typer.Option("--quiet", "-q", help="No progress bar, and no line that names the files written.")
    own = inspect.signature(command)
    added = inspect.Parameter(
        "be_quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
    )

    @functools.wraps(command)
    def run_command(*arguments: Any, be_quiet: bool = False, **options: Any) -> None:
        quiet.set(be_quiet)
        command(*arguments, **options)

    run_command.__dict__["__signature__"] = own.replace(parameters=[*own.parameters.values(), added])
    return run_command


def _typed(command: Callable[..., None], given: Mapping[str, Any]) -> dict[str, str]:
    """Options of a command that were given, by the names of their arguments."""
    found = {}
    for name, parameter in inspect.signature(command).parameters.items():
        is_option = any(isinstance(one, OptionInfo) for one in getattr(parameter.annotation, "__metadata__", ()))
        if is_option and given.get(name) != parameter.default:
            found[name] = f"--{name.replace('_', '-')}"
    return found


class _Command(TyperCommand):
    """A command whose options take no empty text, which as a path would be the current folder, and no NUL."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, *_ = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in self.params:
            name, value = parameter.opts[0], given.get(parameter.name or "")
            for text in value if isinstance(value, list | tuple) else [value]:
                if isinstance(text, str) and (not text or "\0" in text):
                    raise ValueError(f"Argument `{name}` must not be empty or have NUL, but is {reprlib.repr(text)}.")
        return super().parse_args(ctx, args)


for command in (compare, explore, inspect_network, cascade, sweep, show, report, train, validate):
    app.command(cls=_Command, context_settings=HELP)(_with_quiet(_naming_options(command)))


def run(interrupted: Callable[[], bool] = lambda: False) -> int:
    """Exit status of the command: a user's error ends in one line and status 2, an interrupt in 130 and no line.

    Args:
        interrupted: Whether a signal has come; errors after it are its consequences, and no news.
    """
    try:
        app(standalone_mode=True)
    except USER_ERRORS as error:
        if not interrupted():
            errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
