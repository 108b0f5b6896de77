"""Ready studies, as YAML."""
