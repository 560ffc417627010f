"""Units and long names of what several rooms return; each room has its own in `LABELS`, beside its results."""

QUANTITIES = {
    "accuracy": ("1", "classification accuracy"),
    "accuracy_mean": ("1", "mean accuracy over dies"),
    "accuracy_low": ("1", "lower end of the 95 % interval of the mean accuracy"),
    "accuracy_high": ("1", "upper end of the 95 % interval of the mean accuracy"),
    "energy": ("J", "energy per inference"),
    "latency": ("s", "time per inference"),
    "area": ("m2", "chip area"),
    "macs": ("1", "multiply-accumulates per inference"),
    "supply": ("V", "supply"),
    "clock": ("Hz", "clock"),
    "bits": ("bit", "word length of weights and inputs"),
    "design": ("1", "design"),
    "site": ("1", "site"),
    "component": ("1", "component"),
    "memory": ("1", "memory"),
    "die": ("1", "die"),
    "item": ("1", "item"),
    "read": ("1", "read"),
    "column": ("1", "column"),
    "clipped_inputs": ("1", "fraction of inputs outside their range"),
    "clipped_weights": ("1", "fraction of weights outside their range"),
    "clipped_adc": ("1", "fraction of line values outside the ADC range"),
    "clipped_thresholds": ("1", "fraction of thresholds outside the bias DAC range"),
    "clipped_accumulator": ("1", "fraction of sums outside the accumulator"),
}
"""Unit and long name by name."""
