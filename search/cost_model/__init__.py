"""What a recipe will cost, known before its student is trained."""
