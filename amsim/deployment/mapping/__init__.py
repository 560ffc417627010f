"""Sites, fused neurons and the macros that take them."""
