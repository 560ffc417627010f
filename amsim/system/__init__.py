"""The hardware of a whole system and its cost: accelerators, memories, settings and supply."""
