"""From a traced function to a flat program with the ranges and inner products of its values."""
