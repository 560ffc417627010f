"""Units and long names of what comparisons of circuit families return."""

LABELS = {
    "plain_accuracy": ("1", "accuracy of the network without circuits"),
    "family": ("1", "circuit family"),
    "array_energy": ("J", "energy per operation in the array"),
    "operation_energy": ("J", "energy per operation in the whole system"),
    "array_area": ("m2", "area of the array per multiply-accumulate in a cycle"),
    "flexibility": ("1", "flexibility"),
}
"""Unit and long name by name."""
