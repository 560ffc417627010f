"""Any result as tables and pictures."""
