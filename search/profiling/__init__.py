"""Measuring on the machine that will serve: an agent on it, and who asks it."""
