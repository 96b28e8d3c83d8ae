"""The loop of fit, and what it prints."""
