"""The runs behind the figures in README.md and docs/."""
