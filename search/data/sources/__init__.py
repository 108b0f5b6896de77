"""Where images come from: one file for each way in which data sets are kept."""
