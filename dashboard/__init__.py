"""The dashboard that shows the results of studies."""
