"""The results of a study: the frontier, which student to take, and why. Pure functions."""
