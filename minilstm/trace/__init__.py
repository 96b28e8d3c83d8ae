"""What happened at each time step: states, gates and gradients, where they came from, how far they reach."""
