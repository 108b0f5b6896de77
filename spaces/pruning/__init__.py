"""The pruning axis: which channels are taken out of a trained student."""
