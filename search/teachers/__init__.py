"""Teachers: their sources, and their logits for every view."""
