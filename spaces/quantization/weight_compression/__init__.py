"""Weights stored in fewer bits than they are computed with, decoded when the file is loaded."""
