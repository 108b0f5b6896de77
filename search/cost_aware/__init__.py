"""A sampler that knows what recipes cost: only their accuracy is uncertain."""
