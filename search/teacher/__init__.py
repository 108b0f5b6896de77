"""The teacher: where it comes from, and several as one."""
