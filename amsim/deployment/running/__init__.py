"""Execution of a mapped program: products on macros, control flow and decision rules."""
