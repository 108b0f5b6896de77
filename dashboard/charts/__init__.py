"""Figures of a study's trials, by kind. Pure: records or frames in, a plotly figure out."""
