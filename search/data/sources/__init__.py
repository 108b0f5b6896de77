"""Sources of images: one module for each storage format of data sets."""
