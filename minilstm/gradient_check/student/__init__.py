"""Checks of functions that somebody wrote by hand, and the likely cause of what is wrong with them."""
