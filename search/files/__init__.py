"""Files and folders: written whole or not at all, here or at a URL, and read within size limits."""
