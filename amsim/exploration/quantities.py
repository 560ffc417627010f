"""Units and long names of what explorations return."""

LABELS = {
    "dot": ("1", "trained network on a circuit"),
    "accuracy_target": ("1", "accuracy that is asked for"),
    "circuit_family": ("1", "circuit family of the dot"),
    "circuit": ("1", "settings of the circuit that its accuracy depends on"),
    "network": ("1", "network"),
    "configuration": ("1", "settings of the network"),
    "network_bits": ("bit", "bits of weights"),
    "seed": ("1", "seed of the training"),
    "steps": ("1", "steps of training"),
    "dies": ("1", "dies of the accuracy, 0 where that is not known"),
    "source": ("1", "where the accuracy is from"),
    "setting": ("1", "design point of least energy within the limits"),
    "average_power": ("W", "average power"),
    "weight_bits": ("bit", "bits of all weights"),
    "points": ("1", "design points"),
    "allowed_points": ("1", "design points within the limits"),
    "on_front": ("1", "whether no other dot has less energy and as much accuracy, or more accuracy and no more energy"),
    "remark": ("1", "why there is no accuracy, or no design point"),
    "best_dot": ("1", "dot of least energy of a family that reaches the accuracy, -1 for none"),
    "why": ("1", "why the family wins or loses"),
}
"""Unit and long name by name."""
