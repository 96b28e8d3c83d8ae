"""Backpropagation through time in NumPy, the lesson: cell, lstm, steps, tape, segments, in this order."""
