"""Units and long names of what searches return."""

LABELS = {
    "step": ("1", "step of the search"),
    "setting": ("1", "setting by its path"),
    "setting_value": ("SI unit of the setting", "value of the setting"),
    "trial": ("1", "combination of choices"),
    "choice": ("1", "value of the setting, as text"),
    "circuit": ("1", "circuit in the order of the tests"),
    "accuracy_bound": ("1", "accuracy that a circuit surely has on fresh dies and unseen items"),
    "limit": ("1", "accuracy asked for"),
    "feasible": ("1", "whether the accuracy asked for is reached"),
    "smooth_accuracy": ("1", "smooth approximation of the accuracy"),
    "multiplier": ("1", "relative change of the energy per unit of accuracy at the limit"),
    "evaluations": ("1", "passes over all dies and data, a backward one counted as two"),
}
"""Unit and long name by name."""
