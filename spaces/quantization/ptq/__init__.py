"""Post-training quantization: int8 with calibration, and how much each layer suffers from it."""
