"""What `minilstm` does from the shell."""
