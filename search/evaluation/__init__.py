"""From a network to its file, and the file's cost and quality."""
