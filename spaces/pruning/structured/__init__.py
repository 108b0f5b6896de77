"""Structured pruning: cut channels along the dependency graph, attention heads and blocks."""
