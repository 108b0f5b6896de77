"""The training axis: how a network's weights are fitted."""
