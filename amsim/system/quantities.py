"""Units and long names of what costs of a system return."""

LABELS = {
    "cycles": ("1", "clock cycles per inference"),
    "stalls": ("1", "clock cycles in which nothing is computed"),
    "utilisation": ("1", "multiply-accumulates relative to what all cells could do"),
    "unrolling": ("1", "loops that fill rows and columns of units"),
    "stored_bits": ("bit", "bits of stored weights"),
    "working_set_bits": ("bit", "working set: inputs and outputs held at the same time"),
    "bits_read": ("bit", "bits read per inference"),
    "bits_written": ("bit", "bits written per inference"),
    "bandwidth": ("bit/s", "bits per second that a memory can move"),
    "peak_macs": ("1", "multiply-accumulates per cycle that all cells could do"),
    "rate": ("1/s", "inferences per second, one after the other"),
    "fits": ("1", "whether the network fits the memories"),
    "keeps_rate": ("1", "whether the rate asked for is possible"),
    "component_area": ("m2", "area"),
}
"""Unit and long name by name."""
