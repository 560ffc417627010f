"""Contract of every macro: products, operands, neurons, work and cost."""
