"""Where a student is served: this machine, another one by an agent or ssh, or a Ray node."""
