"""What a study would do, without doing it."""
