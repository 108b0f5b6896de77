"""What a person asks for: study files, typed."""
