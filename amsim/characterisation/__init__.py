"""One macro on the bench: transfer curves, error budgets, line values, measured tables and fitted parameters."""
