"""The only files that know Ray, but for the Ray node that stands for a target."""
