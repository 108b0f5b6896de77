"""Teachers: where they come from, and their logits for every view."""
