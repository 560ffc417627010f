"""Units and long names of what comparisons of circuit families return."""

LABELS = {
    "plain_accuracy": ("1", "accuracy of the network without circuits"),
    "item_accuracy": ("1", "share of the dies on which the answer for an image is right"),
    "chosen_setting": ("1", "settings that the procedure chose"),
    "family": ("1", "circuit family"),
    "family_energy": ("J", "energy per inference at the accuracy that all families reach"),
    "family_accuracy": ("1", "accuracy of the design that it is of"),
    "family_design": ("1", "design of least energy"),
    "common_accuracy": ("1", "highest mean accuracy that all families reach"),
    "array_energy": ("J", "energy per operation in the array"),
    "operation_energy": ("J", "energy per operation in the whole system"),
    "array_area": ("m2", "area of the array per multiply-accumulate in a cycle"),
    "flexibility": ("1", "flexibility"),
}
"""Unit and long name by name."""
