"""Time to the frontier, compared with the scripts that a user would write instead."""
