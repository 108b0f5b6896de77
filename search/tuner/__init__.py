"""The tuner: it chooses the next trial, stops trials, retries them, and adds branches."""
