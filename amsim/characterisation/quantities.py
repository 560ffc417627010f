"""Units and long names of what the characterisation of a macro returns, beside the values of its lines."""

LABELS = {
    "count": ("1", "ideal sum of products"),
    "count_read": ("1", "sum of products as read, mean over reads"),
    "count_sigma": ("1", "standard deviation of the sum over reads"),
    "error": ("1", "sum as read less ideal sum"),
    "out_of_range": ("1", "fraction of line values outside the readout's range"),
    "decided_up": ("1", "probability of the decision +1"),
    "source": ("1", "source of error"),
    "variance": ("1", "mean square error of a read, counts squared"),
    "share": ("1", "share of the mean square error"),
    "error_sigma": ("1", "root mean square error of a read, counts"),
    "compute_snr": ("dB", "signal-to-noise ratio of the sum of products"),
}
"""Unit and long name by name."""
