"""Weights that take less room in the file than in memory, decoded when the file is loaded."""
