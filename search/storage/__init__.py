"""Studies and trials in SQL, the leases of running studies, and retries of failed writes."""
