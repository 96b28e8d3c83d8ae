"""Layers in a row: what fit, evaluate, predict and trace share below `Sequential`."""
