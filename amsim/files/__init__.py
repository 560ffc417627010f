"""Files that need no trust: arrays and JSON, written whole or not at all, never run."""
