"""Tables of 60 columns or fewer lose no number and break none."""

import io

import pytest
from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from amsim.results.fitting_table import FittingTable

NUMBERS = ["90.32", "89.22 .. 91.43", "0.158 uJ"]


def printed(width, rows=2):
    table = FittingTable(title="some designs", box=None, pad_edge=False)
    for heading in ("design, source", "accuracy\n%", "95 % inter-\nval", "energy"):
        table.add_column(heading, overflow="fold")
    for number in range(rows):
        name = Group(Text(f"switched-capacitor-{number}b"), Padding(Text("Bankman"), (0, 0, 0, 2)))
        table.add_row(name, *NUMBERS, style="red")
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_a_table_that_fits_is_a_table():
    lines = printed(80).splitlines()
    assert NUMBERS[0] in next(line for line in lines if "switched-capacitor-0b" in line)
    # Words are whole also where it just fits.
    assert "90.32" in next(line for line in printed(50).splitlines() if "switched-capacitor-0b" in line)


@pytest.mark.parametrize("width", [38, 44])
def test_one_that_does_not_is_a_list(width):
    text = printed(width)
    assert "accuracy %: 90.32\n" in "\n".join(line.strip() for line in text.splitlines()) + "\n"
    assert text.count("95 % interval: 89.22 .. 91.43") == 2
    assert text.index("switched-capacitor-1b") > text.index("energy: 0.158 uJ")
    assert max(map(len, text.splitlines())) <= width
    assert text.splitlines()[0] == "some designs"
