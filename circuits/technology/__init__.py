"""Technology nodes, gates, wires and memories."""
