"""Post-training calibration: word ranges, converter ranges and batch statistics from sample data."""
