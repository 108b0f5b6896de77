"""The quantization axis: the number format that a student is shipped in."""
