"""The `amsim` command, a file for each of its commands."""

from amsim.command_line.application import main as main
