"""Units and long names of what evaluations return."""

LABELS = {
    "accuracy_worst": ("1", "accuracy of the worst die"),
    "yield": ("1", "fraction of the dies that reach the accuracy limit"),
    "yield_low": ("1", "lower end of the 95 % interval of the yield"),
    "yield_high": ("1", "upper end of the 95 % interval of the yield"),
    "part": ("1", "dies seen or unseen in training"),
    "data": ("1", "items seen or unseen in training"),
    "source": ("1", "source of error"),
    "accuracy_loss": ("1", "loss of accuracy by a source alone"),
    "loss_increase": ("1", "loss that a source alone adds"),
    "loss_increase_error": ("1", "standard error over dies of the loss that a source alone adds"),
    "loss_slope_alone": ("1", "slope of the loss with respect to the logarithm of the variance of a source alone"),
    "loss_slope": ("1", "slope of the loss with respect to the logarithm of a source's variance"),
    "loss_slope_by_energy": ("1", "slope of the loss over the site's share of the energy"),
}
"""Unit and long name by name."""
