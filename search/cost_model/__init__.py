"""The cost of a recipe, predicted or measured before its student is trained."""
