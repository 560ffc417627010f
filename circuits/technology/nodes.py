"""Published fits of CMOS nodes from 180 to 7 nm: energy, delay and area.

Energy and area: Stillmaker & Baas, Integration 58 (2017), as tabulated in the public nodeScale (facts 7.2). Its energy
at 180 nm is a line, 24.64 V - 17.98, not a parabola. Delay: alpha-power laws, each fitted to the source's cubic (for an
interpolated node, to the interpolated cubics) over the supplies at which it falls; the cubics themselves turn upward.
Nominal supplies are recalled.
"""

from typing import NamedTuple

VARIANTS = ("high-performance", "low-power")
"""Transistor variants of the source; 180 to 65 nm have one, which stands for both."""


class Fit(NamedTuple):
    """Coefficients (a, b, c) of energy with its lowest supply, V, and (K, V_T, alpha) of delay.

    Energy `a V^2 + b V + c` and delay `K V / (V - V_T)^alpha` in the source's own units; an interpolated node has no
    energy of its own.
    """

    energy: tuple[float, float, float] | None
    lowest: float
    delay: tuple[float, float, float]


class Node(NamedTuple):
    """Nominal supply of the high-performance variant, highest supply of the fits, V, and area relative to 45 nm."""

    nominal: float
    highest: float
    area: float


NODES = {
    "180nm": Node(1.8, 2.15, 19.0),
    "130nm": Node(1.3, 1.55, 6.4),
    "90nm": Node(1.2, 1.45, 2.8),
    "65nm": Node(1.1, 1.3, 1.5),
    "45nm": Node(1.0, 1.2, 1.0),
    "32nm": Node(0.9, 1.1, 0.46),
    "20nm": Node(0.9, 1.1, 0.21),
    "16nm": Node(0.85, 1.0, 0.19),
    "14nm": Node(0.8, 0.95, 0.17),
    "10nm": Node(0.75, 0.9, 0.1),
    "7nm": Node(0.7, 0.85, 0.059),
}
HIGH_PERFORMANCE = {
    "180nm": Fit((0.0, 24.64, -17.98), 1.1, (109.6, 0.137, 1.87)),
    "130nm": Fit((7.171, -6.709, 2.904), 0.65, (27.42, 0.241, 1.56)),
    "90nm": Fit((4.762, -4.781, 2.092), 0.7, (21.17, 0.171, 1.84)),
    "65nm": Fit((3.755, -4.398, 1.975), 0.75, (16.01, 0.156, 2.0)),
    "45nm": Fit((1.018, -0.3107, 0.1539), 0.5, (4.421, 0.357, 2.0)),
    "40nm": Fit(None, 0.5, (3.357, 0.379, 2.0)),
    "32nm": Fit((0.8367, -0.4341, 0.1701), 0.5, (1.931, 0.415, 2.0)),
    "28nm": Fit(None, 0.5, (2.134, 0.388, 2.0)),
    "22nm": Fit(None, 0.5, (3.948, 0.319, 1.6)),
    "20nm": Fit((0.373, -0.1582, 0.04104), 0.5, (6.322, 0.214, 1.34)),
    "16nm": Fit((0.2958, -0.1241, 0.03024), 0.5, (4.073, 0.21, 1.4)),
    "14nm": Fit((0.2363, -0.09675, 0.02239), 0.5, (2.601, 0.311, 1.09)),
    "10nm": Fit((0.2068, -0.09311, 0.02375), 0.5, (2.071, 0.307, 1.12)),
    "7nm": Fit((0.1776, -0.09097, 0.02447), 0.5, (1.575, 0.266, 1.3)),
}
LOW_POWER = {
    "45nm": Fit((1.103, -0.362, 0.2767), 0.55, (26.92, 0.315, 2.0)),
    "40nm": Fit(None, 0.75, (24.37, 0.321, 2.0)),
    "32nm": Fit((0.9559, -0.7823, 0.471), 0.75, (17.85, 0.35, 2.0)),
    "28nm": Fit(None, 0.75, (17.17, 0.313, 2.0)),
    "22nm": Fit(None, 0.75, (9.544, 0.278, 2.0)),
    "20nm": Fit((0.2632, -0.14, 0.06841), 0.55, (7.303, 0.228, 2.0)),
    "16nm": Fit((0.2139, -0.1187, 0.05639), 0.55, (4.639, 0.242, 2.0)),
    "14nm": Fit((0.1556, -0.06472, 0.03066), 0.5, (2.899, 0.258, 2.0)),
    "10nm": Fit((0.1261, -0.0518, 0.02769), 0.5, (2.389, 0.26, 2.0)),
    "7nm": Fit((0.09365, -0.03409, 0.02043), 0.5, (2.026, 0.255, 2.0)),
}
INTERPOLATED = {"40nm": ("45nm", "32nm"), "28nm": ("32nm", "20nm"), "22nm": ("32nm", "20nm")}
LOWEST_DELAY_SUPPLY = {"180nm": 0.8}


def feature_size(node: str) -> float:
    """Feature size in the name of a node, m."""
    return float(node.removesuffix("nm")) * 1e-9


def parts(node: str) -> tuple[tuple[str, float], ...]:
    """Nodes of the source that make up a node, with weights linear in feature size."""
    if node not in INTERPOLATED:
        return ((node, 1.0),)
    coarse, fine = (feature_size(part) for part in INTERPOLATED[node])
    weight = (feature_size(node) - fine) / (coarse - fine)
    return tuple(zip(INTERPOLATED[node], (weight, 1 - weight), strict=True))


def fit(node: str, variant: str) -> Fit:
    """Fit of a node and variant."""
    return LOW_POWER.get(node, HIGH_PERFORMANCE[node]) if variant == "low-power" else HIGH_PERFORMANCE[node]


def energy_coefficients(node: str, variant: str) -> tuple[float, float, float]:
    """Coefficients (a, b, c) of energy, interpolated where the source does not have the node."""
    rows = [(fit(part, variant).energy, weight) for part, weight in parts(node)]
    a, b, c = (sum(weight * row[i] for row, weight in rows if row is not None) for i in range(3))
    return a, b, c
