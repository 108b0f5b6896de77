"""Post-training quantization: int8 with calibration, and each layer's sensitivity to it."""
