"""The catalogue of methods: what a recipe may choose, and what each choice does to a model."""
