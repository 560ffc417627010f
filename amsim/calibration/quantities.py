"""Units and long names of what calibrations return."""

LABELS = {
    "step": ("1", "step from the plain network to the chip"),
    "accuracy_loss": ("1", "loss of accuracy in a step, mean over dies"),
    "accuracy_loss_low": ("1", "lower end of the 95 % interval of the mean loss of accuracy"),
    "accuracy_loss_high": ("1", "upper end of the 95 % interval of the mean loss of accuracy"),
    "input_low": ("unit of the input", "smallest input that is coded"),
    "input_high": ("unit of the input", "largest input that is coded"),
    "input_scale": ("unit of the input", "step of the inputs' code"),
    "zero_point": ("1", "word of the input 0"),
    "weight_limit": ("unit of the weight", "largest weight that is coded, mean over columns"),
    "weight_scale": ("unit of the weight", "step of the weights' code, mean over columns"),
    "readout_range": ("1", "full scale of the converters relative to the swing of the driven rows"),
    "input_snr": ("dB", "signal-to-noise ratio of the inputs' code"),
    "weight_snr": ("dB", "signal-to-noise ratio of the weights' code"),
}
"""Unit and long name by name."""
