"""Optuna's samplers, and one that knows what recipes cost: only how good they are is uncertain."""
