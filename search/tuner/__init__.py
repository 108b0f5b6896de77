"""The tuner: it chooses the next trial, stops and retries trials, and adds branches."""
