"""The training axis: the optimization of a network's weights."""
