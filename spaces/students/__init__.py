"""The student axis: the network to train."""
