"""Statistics of dies: intervals, yield, paired differences and Pareto fronts."""
