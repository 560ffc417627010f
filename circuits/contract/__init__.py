"""What every macro offers: products, neurons, work and cost."""
