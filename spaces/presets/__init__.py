"""Ready-made study files, in YAML."""
