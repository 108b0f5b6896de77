"""Fitting a network to the data: epochs, steps, and what goes with them."""
