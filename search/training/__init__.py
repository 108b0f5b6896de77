"""Training of a network: epochs, steps, augmentation, distillation and checkpoints."""
