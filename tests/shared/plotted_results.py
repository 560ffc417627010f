"""Results made up for plots, and what a drawing shows of them."""

import numpy as np
from scipy import stats

from amsim.characterisation.quantities import LABELS
from amsim.results.labelled import labelled

DESIGNS = {
    "switched-capacitor-1b": (0.872, 1.0e-7),
    "digital-binary-1b": (0.8745, 2.3e-7),
    "switched-capacitor-2b": (0.890, 3.4e-7),
    "multi-precision-2b": (0.889, 1.2e-6),
    "multi-precision-4b": (0.906, 2.1e-6),
    "multi-precision-8b": (0.909, 5.0e-6),
}
COMPONENTS = ["mac", "weight_memory", "activation_memory", "dram", "control"]


def make_comparison(designs=DESIGNS, dies=16):
    generator = np.random.default_rng(0)
    names, mean, total = list(designs), *np.array(list(designs.values())).T
    spread = np.array([[0.003 if name.startswith("switched") else 0.0] for name in names])
    accuracy = mean[:, None] + spread * generator.normal(size=(len(names), dies))
    half = 2 * accuracy.std(axis=1) / np.sqrt(dies) if dies > 1 else np.where(spread[:, 0] > 0, np.nan, 0)
    share = generator.dirichlet([3, 3, 2, 1, 1.5], size=len(names))
    variables = {
        "accuracy": (("design", "die"), accuracy),
        "accuracy_mean": (("design",), accuracy.mean(axis=1)),
        "accuracy_low": (("design",), accuracy.mean(axis=1) - half),
        "accuracy_high": (("design",), accuracy.mean(axis=1) + half),
        "energy": (("design", "component"), share * total[:, None]),
    }
    coordinates = {"design": names, "die": np.arange(dies), "component": COMPONENTS}
    return labelled(variables, coordinates, {"network": "", "data": "fashion-mnist-mini", "images": 2000})


def make_cost():
    energy = np.array([[3, 2, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]) * 1e-9
    return labelled({"energy": (("site", "component"), energy)}, {"site": ["a", "b", "c"], "component": COMPONENTS}, {})


def make_characteristic(sigma=2.0, clipped_from=40):
    """Reads in steps of 2 counts that clip beyond `clipped_from`."""
    counts = np.arange(-64, 65, 2)
    noise = np.random.default_rng(1).normal(0, sigma, (2, 5, 3, len(counts)))
    read = np.clip(counts + 2 * np.round(noise / 2), -clipped_from, clipped_from)
    per_column = ("die", "column", "count")
    variables = {
        "count_read": (per_column, read.mean(axis=1)),
        "count_sigma": (per_column, read.std(axis=1)),
        "error": (("die", "read", "column", "count"), read - counts),
        "out_of_range": (("count",), (abs(counts) > clipped_from).astype(float)),
    }
    coordinates = {"die": range(2), "read": range(5), "column": range(3), "count": counts}
    return labelled(variables, coordinates, {}, labels=LABELS)


def make_decisions():
    counts = np.arange(-64, 65, 2)
    offset = np.array([[-2.0, 0.0, 1.0], [0.5, -1.0, 3.0]])[..., None]
    probability = np.round(stats.norm.cdf(counts + 1, offset, 3), 3)
    coordinates = {"die": range(2), "column": range(3), "count": counts}
    variables = {"decided_up": (("die", "column", "count"), probability)}
    return labelled(variables, coordinates, {}, labels=LABELS)
