"""What drives a search: which recipe is next, who stops, what is made of it all again."""
