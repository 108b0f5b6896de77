"""Structured pruning of coupled channels, of attention heads and of residual blocks."""
