"""How long the frontier takes, against what a user would write instead."""
