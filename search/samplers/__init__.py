"""Optuna's samplers, and one that knows what recipes cost, so that only quality is uncertain."""
