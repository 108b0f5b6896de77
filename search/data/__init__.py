"""Data sets: images of any source, divided into three parts that worker processes share."""
