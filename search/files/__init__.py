"""Files and folders, local or at a URL: written completely or not at all, read with size limits."""
