"""Files from untrusted sources: arrays and JSON, written whole or not at all; reading them never runs code."""
