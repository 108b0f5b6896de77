"""Study files, typed."""
