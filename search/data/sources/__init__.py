"""Sources of images: one file for each way in which data sets are stored."""
