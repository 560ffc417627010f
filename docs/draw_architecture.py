"""Draw `docs/architecture.svg`: the storeys of `tests/test_layout.py`, the ground floor at the bottom.

Run it from the root of the repository as `python docs/draw_architecture.py` when a room comes or moves.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, LEFT, GAP = 760, 44, 40, 8
FONT = 'font-family="sans-serif" font-size="14"'


def storeys() -> tuple[tuple[str, ...], ...]:
    """Rooms of each storey, the ground floor first."""
    for node in ast.parse((ROOT / "tests" / "test_layout.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "STOREYS":
            return ast.literal_eval(node.value)
    raise ValueError("tests/test_layout.py has no STOREYS.")


def drawing() -> str:
    """The picture as SVG text."""
    floors = storeys()
    bottom = GAP + len(floors) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 24}" role="img">',
        f'<rect width="{WIDTH}" height="{bottom + 24}" fill="white"/>',
    ]
    for number, rooms in enumerate(floors):
        top = bottom - (number + 1) * (HEIGHT + GAP)
        parts.append(f'<text x="{LEFT / 2}" y="{top + 27}" text-anchor="middle" {FONT} fill="#555">{number}</text>')
        wide = (WIDTH - LEFT - GAP * len(rooms)) / len(rooms)
        for place, name in enumerate(rooms):
            left = LEFT + place * (wide + GAP)
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{HEIGHT}" fill="#eef3f8" stroke="#35556e"/>'
                f'<text x="{left + wide / 2:.1f}" y="{top + 27}" text-anchor="middle" {FONT}>{name}</text>'
            )
    parts.append(f'<text x="{LEFT}" y="{bottom + 14}" {FONT} fill="#555">imports go down, or stay in their room</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (ROOT / "docs" / "architecture.svg").write_text(drawing())
