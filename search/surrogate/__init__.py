"""A Gaussian process that predicts the utility of recipes."""
