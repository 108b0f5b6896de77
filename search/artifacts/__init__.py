"""What a finished student is on disk."""
