"""Optuna's samplers, and one that knows what recipes cost: only accuracy is uncertain."""
