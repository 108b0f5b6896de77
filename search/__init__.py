"""How choices are tried: the trial, the search around it, and the store of its results."""
