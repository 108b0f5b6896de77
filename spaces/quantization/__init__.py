"""The quantization axis: the number format of a student's model file."""
