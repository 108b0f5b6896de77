"""Optuna's samplers, and a sampler that predicts costs, so that only quality is uncertain."""
