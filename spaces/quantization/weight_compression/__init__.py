"""Weights in few bits, which the runtime decodes when it loads the file."""
