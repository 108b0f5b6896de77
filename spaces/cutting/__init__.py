"""What pruning takes out: channels along the dependency graph, heads, blocks, single weights."""
