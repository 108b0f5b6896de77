"""Studies and trials in SQL, the leases of running studies, and the retry of failed writes."""
