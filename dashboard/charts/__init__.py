"""Figures of a study's trials, one module per kind.

All are pure functions from records or frames to a plotly figure.
"""
