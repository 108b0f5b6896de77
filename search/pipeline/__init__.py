"""The stages of one recipe, from its student to the measured artifact."""
