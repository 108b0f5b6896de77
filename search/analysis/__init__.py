"""What a study came to: the frontier, which student to take, and why. Pure functions."""
