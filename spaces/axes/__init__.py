"""The five axes of a recipe, and the interface of each axis's methods."""
