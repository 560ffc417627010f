"""Training of networks, on ideal arithmetic and through the errors of the hardware."""
