"""What a search maximises and what it bounds: tables of metrics and limits, budget, dominance."""
