"""Where a student is served: this machine, another one over an agent or ssh, or a node of Ray."""
