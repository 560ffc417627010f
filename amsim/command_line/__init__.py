"""The `amsim` command, with one file per subcommand."""

from amsim.command_line.interruption import main as main
