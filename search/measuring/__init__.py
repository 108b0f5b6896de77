"""From a network to its file, and what the file is worth: by the runtime that serves it."""
