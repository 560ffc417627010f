"""Circuit families side by side on one network."""
