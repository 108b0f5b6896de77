"""The pruning axis: the channels, blocks or weights to remove from a trained student."""
