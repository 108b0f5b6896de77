"""A study as one HTML file, to send to someone."""
