"""Compares who proposes recipes, at equal numbers of trained trials."""
