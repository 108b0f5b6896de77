"""Runs that produce the figures in README.md and docs/."""
