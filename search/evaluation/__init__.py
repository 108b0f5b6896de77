"""From a network to its file, and what the file is worth."""
