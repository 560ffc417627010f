"""Labels and provenance of results: units, long names, and all that is needed to run them again."""
