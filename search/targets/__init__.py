"""Where a student is served: this machine, another by an agent or ssh, or a node of Ray."""
