"""The only files that use Ray, except the Ray node that serves as a target."""
