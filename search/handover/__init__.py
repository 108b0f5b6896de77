"""Handing a student over: what goes with it, and how others see that it is what it claims."""
