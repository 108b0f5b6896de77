"""Files and folders: whole or not at all, here or at a URL, read within ceilings."""
