"""Data sets: images of any source, split into three parts that worker processes share."""
