"""The cost of a recipe, known before its student is trained."""
