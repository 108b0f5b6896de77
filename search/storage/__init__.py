"""Studies and trials in SQL, who runs them, and the way of results to the store."""
