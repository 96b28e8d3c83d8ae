"""The network of 1997 as its paper has it, and the published results that `minilstm reproduce` runs."""
