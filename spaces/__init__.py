"""What may be chosen, and what each choice does to a model."""
