"""Study files: TOML that describes one sweep."""
