"""The distillation axis: what a student is asked to match."""
