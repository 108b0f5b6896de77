"""Numbers of few bits: their grids and levels, what each layer suffers, training under them."""
