"""A finished student's folder, and the measurement of what is in it."""
