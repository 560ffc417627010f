"""The `amsim` command, with one file per subcommand."""

from amsim.command_line.application import main as main
