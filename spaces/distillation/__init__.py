"""The distillation axis: the loss that trains a student."""
