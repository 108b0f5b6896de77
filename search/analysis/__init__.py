"""Analysis of a study's results: frontier, recommendation, importance, history."""
