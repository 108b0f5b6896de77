"""Figures of a study's trials, one module a kind.

All are pure functions from records or frames to a plotly figure.
"""
