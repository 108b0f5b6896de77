"""The catalogue of methods that a recipe can choose, and the effect of each method on a model."""
