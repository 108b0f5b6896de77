"""The search: it tries recipes in trials, records their results, and recommends a student."""
