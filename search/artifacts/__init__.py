"""The folder of a finished student on disk."""
