"""Post-training quantization: static int8, and the sensitivity of each layer to it."""
