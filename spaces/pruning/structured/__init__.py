"""Structured pruning of channels along the dependency graph, of attention heads and of blocks."""
