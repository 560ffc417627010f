"""A network on dies: accuracy, detection, unseen dies and sources of error by site."""
