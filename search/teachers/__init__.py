"""Teachers: their sources, and their cached logits for every view."""
