"""Nothing is lost: who holds a study, the way to the store, artifacts on the disk."""
