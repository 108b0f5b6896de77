"""Weights stored in few bits, which are decoded when the file is loaded."""
