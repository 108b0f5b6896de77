"""Objectives and limits of a search: tables of metrics and limits, goal, budget, dominance."""
