"""`amsim inspect`: what a network is to hardware."""

from typing import Annotated

import typer
from rich.console import Console

from amsim.command_line.output import print_json


def inspect(
    network: Annotated[str, typer.Argument(help="Reference network, .onnx or .npz file.")],
    data: Annotated[
        str | None, typer.Option(help="Data whose shape is taken: a data set, .npz file or folder of pictures.")
    ] = None,
    hardware: Annotated[
        str | None, typer.Option("--hardware", "--macro", help="Design FAMILY-Nb or published chip to place sites on.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Print the sites of a network: shapes, MACs, weights, rows in use on a macro, what stays digital and why."""
    from amsim.comparison.inspection import inspect as inspect_network
    from amsim.report.inspection import inspection_lines, inspection_tables

    result = inspect_network(network, data=data, hardware=hardware)
    if as_json:
        print_json(result)
        return
    console = Console(markup=False, emoji=False, highlight=False)
    for table in inspection_tables(result):
        console.print(table)
        console.print()
    for line in inspection_lines(result):
        console.print(line, soft_wrap=True)
