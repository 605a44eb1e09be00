"""How a network is run, cut and differentiated."""
