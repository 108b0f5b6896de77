"""The five axes of a recipe, and what a method of each must do."""
