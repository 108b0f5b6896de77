"""Which trial is next, who stops, who is tried again, and what else is made of it."""
