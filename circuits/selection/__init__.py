"""Integer codes of operands and their choice from data."""
