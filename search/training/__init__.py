"""Fitting a network to the data: epochs, steps, and what they need."""
