"""Units and long names of settings, so that the axes of a study label themselves."""

_UNITS = {
    "F": (
        "unit_capacitance", "line_parasitic", "bottom_parasitic", "cell_parasitic", "cell_capacitance", "parasitic",
        "input_capacitance", "linear_capacitance", "exponential_capacitance", "logic_capacitance", "low_parasitic",
        "flip_flop_capacitance", "full_adder_capacitance", "xor_capacitance", "nand_capacitance",
        "clock_pin_capacitance", "control_capacitance", "channel_capacitance", "feedthrough_capacitance",
    ),
    "m2": (
        "area", "bit_area", "cell_area", "comparator_area", "flip_flop_area", "full_adder_area", "nand_area",
        "xor_area", "unit_area",
    ),
    "V": (
        "supply", "supply_noise", "noise", "offset_sigma", "kickback", "swing", "clock_swing", "overdrive", "threshold",
        "mean", "sigma",
    ),
    "s": (
        "hold_time", "access_time", "integration_time", "regeneration_time_constant", "nand_delay", "time_constant",
        "load_time",
    ),
    "A": ("current", "cell_leakage", "nand_leakage", "unit_leakage"),
    "A/bit": ("leakage",),
    "K": ("temperature", "temperature_scale", "leakage_scale"),
    "Hz": ("clock",),
    "1/s": ("rate",),
    "Ohm": ("resistance", "off_resistance", "supply_resistance"),
    "J": ("mac_energy", "energy_floor", "read_energy"),
    "J/bit": ("access_energy", "image_energy"),
    "J V2": ("energy_noise_product",),
    "V/K": ("threshold_slope",),
    "F/m2": ("capacitor_density",),
    "F^0.5": ("mismatch_coefficient",),
    "LSB": ("bow_sigma", "delay_sigma", "ladder_mismatch"),
    "bit": (
        "bits", "weight_bits", "input_bits", "accumulator_bits", "instruction_bits", "capacity", "word_width",
        "load_width", "low_bits",
    ),
}  # fmt: skip
"""Settings by unit; the others have none."""

_BY_PART = {
    ("adc", "offset_sigma"): "LSB",
    ("trim", "range"): "V",
    ("wire", "capacitance"): "F/m",
    ("wire", "resistance"): "Ohm/m",
    ("cell", "mean"): "V",
}
"""Units of settings whose name means something else in another part."""

_UNIT_OF = {name: unit for unit, names in _UNITS.items() for name in names}


def setting_label(path: str) -> tuple[str, str]:
    """Unit and long name of a setting.

    Args:
        path: As in `amsim.system.settings`.

    Returns:
        The unit, "1" for a setting without one, and the words of the path: `macro.comparator.noise` is
        "comparator noise", `weight_memory.supply` "weight memory supply".
    """
    words = path.split(".")
    part = words[-2] if len(words) > 1 else ""
    unit = _BY_PART.get((part, words[-1]), _UNIT_OF.get(words[-1], "1"))
    said = words[1:] if words[0] == "macro" and len(words) > 1 else words
    return unit, " ".join(said).replace("_", " ")
